"""`authproxy doctor`: our own configuration on this machine."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import typer

from authproxy.cli.doctor.findings import line_of, row_of
from authproxy.config.load import Loaded, find_file, load, load_values
from authproxy.doctor.finding import Finding, Level, conclude
from authproxy.doctor.machine.account import find_account
from authproxy.doctor.machine.examine import examine
from authproxy.doctor.machine.installation import Installation
from authproxy.errors import StartError
from authproxy.quickstart import Layout


def examine_machine(config: Path | None, hosts: Sequence[str], account: str | None, *, as_json: bool) -> Level:
    """Examine what would be served here, print the findings, and return the verdict. Raises StartError."""
    serving = find_account(account, os.environ)
    loaded, has_file = _find(config)
    installation = Installation(
        loaded, time.time(), has_file=has_file, names=tuple(hosts), hands_over=serving.hands_over
    )
    findings = examine(installation, serving)
    verdict = conclude(findings)
    typer.echo(_as_json(loaded, findings, verdict) if as_json else _in_words(loaded, findings, verdict))
    return verdict


def _find(config: Path | None) -> tuple[Loaded, bool]:
    """The configuration that `serve` would read here, and whether it is a file or the embedded default."""
    layout = Layout(Path())
    if config is None and layout.data.is_dir():
        return load_values(layout.values(), "embedded default", os.environ), False
    try:
        file = config or find_file(os.environ)
    except StartError:
        raise StartError(
            f"there is no {layout.data} in this folder (`authproxy serve --embedded` creates it), and no configuration"
            " in the usual places; name one: authproxy doctor CONFIG"
        ) from None
    return load(file, os.environ), True


def _in_words(loaded: Loaded, findings: Sequence[Finding], verdict: Level) -> str:
    return "\n".join([f"{loaded.origin}: {verdict.value}", *map(line_of, findings)])


def _as_json(loaded: Loaded, findings: Sequence[Finding], verdict: Level) -> str:
    content = {"config": loaded.origin, "verdict": verdict.value, "findings": list(map(row_of, findings))}
    return json.dumps(content, indent=2, ensure_ascii=False)
