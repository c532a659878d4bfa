"""`authproxy doctor`: our own configuration on this machine."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import typer

from authproxy.cli.doctor.findings import line_of, row_of
from authproxy.cli.json_output import in_json
from authproxy.cli.settings import find_told, load_found
from authproxy.config.load import Loaded
from authproxy.doctor.finding import Finding, Level, conclude
from authproxy.doctor.machine.account import find_account
from authproxy.doctor.machine.examine import examine
from authproxy.doctor.machine.installation import Installation


def examine_machine(config: Path | None, hosts: Sequence[str], account: str | None, *, as_json: bool) -> Level:
    """Examine what would be served here, print the findings, and return the verdict. Raises StartError."""
    serving = find_account(account, os.environ)
    found = find_told(config)
    loaded = load_found(found)
    installation = Installation(
        loaded, time.time(), has_file=found.file is not None, names=tuple(hosts), hands_over=serving.hands_over
    )
    findings = examine(installation, serving)
    verdict = conclude(findings)
    typer.echo(_as_json(loaded, findings, verdict) if as_json else _in_words(loaded, findings, verdict))
    return verdict


def _in_words(loaded: Loaded, findings: Sequence[Finding], verdict: Level) -> str:
    return "\n".join([f"{loaded.origin}: {verdict.value}", *map(line_of, findings)])


def _as_json(loaded: Loaded, findings: Sequence[Finding], verdict: Level) -> str:
    content = {"config": loaded.origin, "verdict": verdict.value, "findings": list(map(row_of, findings))}
    return in_json(content)
