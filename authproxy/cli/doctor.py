"""`authproxy doctor`: would another registry take our tokens, and if not, why not."""

import json
import time
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.settings import find_settings, realm_of, token_of
from authproxy.doctor.finding import Finding, Level, Verdict, conclude
from authproxy.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authproxy.doctor.examine import Opinion, Ours
    from authproxy.doctor.registry import Registry
    from authproxy.doctor.version import Version

EXIT_CODES = {Verdict.TAKEN: 0, Verdict.REFUSED: 1, Verdict.UNSAID: 2}
IN_WORDS = {
    Verdict.TAKEN: "our tokens would be taken",
    Verdict.REFUSED: "our tokens would be refused",
    Verdict.UNSAID: "that cannot be said",
}


class VersionName(Enum):
    """The versions of CNCF Distribution that differ."""

    V2_8 = "2.8"
    V3_0 = "3.0"
    V3_1 = "3.1"


def doctor(
    *,
    registry: Annotated[
        Path,
        typer.Option("--registry", help="The other registry's config.yml (CNCF Distribution).", show_default=False),
    ],
    config: Annotated[
        Path | None, typer.Argument(help="Our configuration. Default: the embedded default in this folder.")
    ] = None,
    version: Annotated[
        VersionName | None,
        typer.Option("--version", help="The registry's version; 3.1 for later ones. Default: all that it may be."),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="A copy of its rootcertbundle, where that lies on another machine.")
    ] = None,
    jwks: Annotated[Path | None, typer.Option(help="A copy of its jwks, likewise.")] = None,
    env_file: Annotated[
        Path | None, typer.Option(help="The REGISTRY_* variables that it is started with, NAME=VALUE a line.")
    ] = None,
    live: Annotated[
        str | None, typer.Option(help="The address of the registry, such as http://localhost:5000: ask it as well.")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="The authorities (PEM) that --live is to trust.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say whether another registry would take our tokens, and why not.

    Exit code: 0 it would, 1 it would not, 2 that cannot be said: a file cannot be read, or versions differ. With --live
    it is what the registry does.
    """
    from authproxy.doctor.examine import examine, overall, versions_of

    now = time.time()
    try:
        theirs = _read_registry(registry, env_file, bundle, jwks)
        ours = _read_ours(config, now)
        answers = () if live is None else _ask(live, ours, ca, now)
    except StartError as error:
        for line in str(error).splitlines():
            typer.echo(f"authproxy: {line}", err=True)
        raise typer.Exit(EXIT_CODES[Verdict.UNSAID]) from None
    versions = versions_of(theirs) if version is None else _named(version.value)
    opinions = examine(ours, theirs, versions, now)
    verdict = conclude(answers) if answers else overall(opinions)
    if as_json:
        typer.echo(_as_json(registry, opinions, answers, verdict))
    else:
        typer.echo(_in_words(registry, opinions, answers))
    raise typer.Exit(EXIT_CODES[verdict])


def _named(name: str) -> "Sequence[Version]":
    from authproxy.doctor.version import VERSIONS

    return [version for version in VERSIONS if version.name == name]


def _read_registry(path: Path, env_file: Path | None, bundle: Path | None, jwks: Path | None) -> "Registry":
    from authproxy.doctor.registry import read_registry, read_variables

    try:
        variables = {} if env_file is None else read_variables(env_file)
    except (OSError, UnicodeDecodeError) as exc:
        raise StartError(f"--env-file {env_file}: cannot be read: {exc}") from exc
    return read_registry(path, variables, bundle=bundle, jwks=jwks)


def _read_ours(config: Path | None, now: float) -> "Ours":
    from authproxy.doctor.examine import Ours
    from authproxy.token.header import HeaderStyle
    from authproxy.token.keyring import read_ring

    settings = find_settings(config)
    token = token_of(settings)
    try:
        keys = read_ring(token.keys, now)
    except OSError as exc:
        raise StartError(
            f"token.keys: cannot read {exc.filename}: {exc.strerror}; run this as the owner of {token.keys}"
        ) from exc
    return Ours(token.issuer, token.service, realm_of(settings, token), HeaderStyle(token.kid, token.x5c), keys)


def _ask(url: str, ours: "Ours", ca: Path | None, now: float) -> tuple[Finding, ...]:
    from authproxy.doctor.examine import signing_now
    from authproxy.doctor.live import ask

    token = signing_now(ours, now)
    if token is None:
        return (Finding(Level.UNSAID, "live", "not asked: the key that signs has no certificate yet"),)
    return tuple(ask(url, token, ca, now))


def _in_words(registry: Path, opinions: "Sequence[Opinion]", answers: "Sequence[Finding]") -> str:
    lines: list[str] = []
    for findings, alike in groupby(opinions, key=lambda opinion: opinion.findings):  # versions that say the same
        names = " and ".join(opinion.version for opinion in alike)
        lines.append(f"{registry}, read by CNCF Distribution {names}: {IN_WORDS[conclude(findings)]}")
        lines += map(_line, findings)
    if answers:
        lines += [f"asked itself: {IN_WORDS[conclude(answers)]}", *map(_line, answers)]
    elif len({opinion.verdict for opinion in opinions}) > 1:
        lines.append("the versions differ; name the registry's: --version 2.8, 3.0 or 3.1")
    return "\n".join(lines)


def _line(finding: Finding) -> str:
    line = f"  {finding.level.value:6}  {finding.check}: {finding.what}"
    return f"{line}\n          → {finding.fix}" if finding.fix else line


def _as_json(registry: Path, opinions: "Sequence[Opinion]", answers: "Sequence[Finding]", verdict: Verdict) -> str:
    content = {
        "registry": str(registry),
        "verdict": verdict.value,
        "versions": [
            {
                "version": opinion.version,
                "verdict": opinion.verdict.value,
                "findings": [_row(finding) for finding in opinion.findings],
            }
            for opinion in opinions
        ],
        "live": [_row(finding) for finding in answers],
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def _row(finding: Finding) -> dict[str, str]:
    return {"level": finding.level.value, "check": finding.check, "what": finding.what, "fix": finding.fix}
