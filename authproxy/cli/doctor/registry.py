"""`authproxy doctor --registry`: would another registry take our tokens, and if not, why not."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import typer

from authproxy.cli.doctor.findings import line_of, row_of
from authproxy.cli.doctor.our_tokens import read_ours
from authproxy.cli.json_output import in_json
from authproxy.cli.settings import find_loaded
from authproxy.config.find import find_home
from authproxy.doctor.finding import Finding, Level, conclude
from authproxy.doctor.tokens.examine import Ours, VersionVerdict, examine, overall, signing_now, versions_of
from authproxy.doctor.tokens.live import ask
from authproxy.doctor.tokens.registry import RegistryConfig, read_registry, read_variables
from authproxy.doctor.tokens.version import VERSIONS, Version
from authproxy.errors import StartError
from authproxy.registry_client.trust import find_own_authority

IN_WORDS = {
    Level.OK: "ok, it would accept our tokens",
    Level.FAILED: "failed, it would refuse our tokens",
    Level.UNKNOWN: "unknown",
}


@dataclass(frozen=True, slots=True)
class OtherRegistry:
    """The options about the other registry. `version` None: every version that it may be."""

    registry: Path
    version: str | None = None
    bundle: Path | None = None
    jwks: Path | None = None
    env_file: Path | None = None
    live: str | None = None
    ca: Path | None = None


def examine_registry(asked: OtherRegistry, config: Path | None, *, as_json: bool) -> Level:
    """Read its configuration, print the findings, and return the verdict. Raises StartError."""
    now = time.time()
    theirs = _read_registry(asked)
    ours = read_ours(find_loaded(config).settings, now)
    answers = () if asked.live is None else _ask(asked.live, ours, asked.ca, now)
    versions = versions_of(theirs) if asked.version is None else _named(asked.version)
    verdicts = examine(ours, theirs, versions, now)
    verdict = conclude(answers) if answers else overall(verdicts)
    if as_json:
        typer.echo(_as_json(asked.registry, verdicts, answers, verdict))
    else:
        typer.echo(_in_words(asked.registry, verdicts, answers))
    return verdict


def _named(name: str) -> Sequence[Version]:
    return [version for version in VERSIONS if version.name == name]


def _read_registry(asked: OtherRegistry) -> RegistryConfig:
    try:
        variables = {} if asked.env_file is None else read_variables(asked.env_file)
    except (OSError, UnicodeDecodeError) as exc:
        raise StartError(f"--env-file {asked.env_file}: cannot be read: {exc}") from exc
    return read_registry(asked.registry, variables, bundle=asked.bundle, jwks=asked.jwks)


def _ask(url: str, ours: Ours, ca: Path | None, now: float) -> tuple[Finding, ...]:
    token = signing_now(ours, now)
    if token is None:
        return (Finding(Level.UNKNOWN, "live", "not asked: the key that signs has no certificate yet"),)
    return asyncio.run(ask(url, token, ca, now, find_own_authority(find_home(os.environ))))


def _in_words(registry: Path, verdicts: Sequence[VersionVerdict], answers: Sequence[Finding]) -> str:
    lines: list[str] = []
    for findings, alike in groupby(verdicts, key=lambda one: one.findings):  # versions with the same findings
        names = " and ".join(one.version for one in alike)
        lines.append(f"{registry}, read by CNCF Distribution {names}: {IN_WORDS[conclude(findings)]}")
        lines += map(line_of, findings)
    if answers:
        lines += [f"asked itself: {IN_WORDS[conclude(answers)]}", *map(line_of, answers)]
    elif len({one.verdict for one in verdicts}) > 1:
        lines.append("the versions differ; name the registry's: --version 2.8, 3.0 or 3.1")
    return "\n".join(lines)


def _as_json(registry: Path, verdicts: Sequence[VersionVerdict], answers: Sequence[Finding], verdict: Level) -> str:
    content = {
        "registry": str(registry),
        "verdict": verdict.value,
        "versions": [
            {
                "version": one.version,
                "verdict": one.verdict.value,
                "findings": [row_of(finding) for finding in one.findings],
            }
            for one in verdicts
        ],
        "live": [row_of(finding) for finding in answers],
    }
    return in_json(content)
