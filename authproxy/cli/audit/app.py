"""`authproxy audit …`: is the log whole, what is happening, and what has happened."""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from authproxy.cli.audit.files import Since, Until, find_files, find_log, list_log, parse_option, telling_faults
from authproxy.cli.examples import examples
from authproxy.cli.group import Commands
from authproxy.cli.json_output import AsJson, in_json
from authproxy.cli.output import counted
from authproxy.cli.settings import ConfigOption

if TYPE_CHECKING:
    from authproxy.audit.read import AuditEntry, Growing
    from authproxy.audit.verify import ChainReport

# How long `tail --follow` waits between two looks, in seconds.
LOOK_EVERY_S = 0.5

app = Commands()

Files = Annotated[
    list[Path] | None, typer.Argument(help="Files of the log, in any order. Without them: those of the configuration.")
]
Json = Annotated[bool, typer.Option("--json", help="Lines as they are in the file.")]


@app.callback()
def audit() -> None:
    """Read the audit log, and see whether it is whole."""


@app.command(
    epilog=examples(
        "authproxy audit verify",
        "authproxy audit verify audit.log audit.log.1",
        "authproxy audit verify --head 3f7a09 --config config.yml",
    )
)
def verify(
    files: Files = None,
    *,
    head: Annotated[
        list[str] | None, typer.Option(help="A hash that was saved: its line must be there, so that no tail was cut.")
    ] = None,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """Find lines that were changed, removed, moved or put in; print each writer's head, the hash of its last line.

    Exit code 0: the log is whole; 1: it is not; 2: it cannot be read, or these files hold no line of a log.
    """
    from authproxy.audit.read import read_raw
    from authproxy.audit.verify import verify

    with telling_faults():
        paths = find_files(files, config)
        report = verify(((str(path), read_raw(path)) for path in paths), head or ())
    if as_json:
        typer.echo(in_json(_as_json(report)))
    else:
        for line in (*map(str, report.faults), *_summary(report)):
            typer.echo(line)
    if not report.lines and not report.faults:
        typer.echo("authproxy: these files hold no audit lines, so nothing was verified", err=True)
        raise typer.Exit(2)
    raise typer.Exit(1 if report.faults else 0)


@app.command(epilog=examples("authproxy audit tail -n 50", "authproxy audit tail --follow --json | jq ."))
def tail(
    files: Files = None,
    *,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    as_json: Json = False,
    config: ConfigOption = None,
) -> None:
    """Show the last lines, of all writers together in the order of time."""
    from authproxy.audit.read import Growing, parse_all

    with telling_faults(), ExitStack() as stack:
        log = None if files else find_log(config)
        growing = {path: stack.enter_context(closing(Growing(path))) for path in _newest(files, log)}
        last = [entry for file in growing.values() for entry in parse_all(file.last(lines))]
        _show(sorted(last, key=lambda entry: entry.time)[-lines:] if lines else (), as_json=as_json)
        try:
            while follow:
                time.sleep(LOOK_EVERY_S)
                for path in _newest(files, log):
                    if path not in growing:  # that of a worker which has only begun to write
                        growing[path] = stack.enter_context(closing(Growing(path)))
                _show(_news(growing), as_json=as_json)
        except KeyboardInterrupt:
            raise typer.Exit from None


@app.command(
    epilog=examples(
        "authproxy audit search --user alice --denied --since 24h",
        "authproxy audit search --repository 'team/*' --json",
        "authproxy audit search --request-id 7d3e12ff1c94c0f12ee9",
    )
)
def search(
    files: Files = None,
    *,
    user: Annotated[str | None, typer.Option(help='A user\'s name; "" is a caller without credentials.')] = None,
    repository: Annotated[str | None, typer.Option(help="A requested repository; * matches anything: team/*.")] = None,
    client: Annotated[str | None, typer.Option(help="An address that it came from.")] = None,
    kind: Annotated[str | None, typer.Option(help="A kind of line: token issued, login refused, …")] = None,
    request_id: Annotated[str | None, typer.Option(help="The X-Request-ID of an answer.")] = None,
    jti: Annotated[str | None, typer.Option(help="The jti of a token: its issue, and what was denied to it.")] = None,
    denied: Annotated[
        bool, typer.Option("--denied", help="Only lines in which a caller got less than requested.")
    ] = False,
    since: Since = None,
    until: Until = None,
    as_json: Json = False,
    config: ConfigOption = None,
) -> None:
    """Show the lines that match all options, oldest first.

    Exit code 0: there are some; 1: there are none; 2: the log cannot be read.
    """
    from authproxy.audit.event import EventKind
    from authproxy.audit.read import read_merged
    from authproxy.audit.search import LineFilter

    if kind is not None and kind not in set(EventKind):
        raise typer.BadParameter(f'"{kind}" is no kind; allowed: {", ".join(EventKind)}', param_hint="--kind")
    now = time.time()
    wanted = LineFilter(
        user=user,
        repository=repository,
        client=client,
        kind=EventKind(kind) if kind is not None else None,
        request_id=request_id,
        jti=jti,
        since=parse_option(since, now, "--since"),
        until=parse_option(until, now, "--until"),
        is_denial=denied,
    )
    with telling_faults():
        entries = read_merged(find_files(files, config))
        count = _show((entry for entry in entries if wanted.includes(entry.line.fields)), as_json=as_json)
    if not count:
        typer.echo("authproxy: no line of the log matches", err=True)
    raise typer.Exit(0 if count else 1)


def _newest(files: list[Path] | None, log: Path | None) -> list[Path]:
    """The files that are written now: those that were named, or of the log's those that have not been rotated."""
    if log is None:
        return list(dict.fromkeys(files or ()))
    return [path for path in list_log(log) if not path.suffix[1:].isdecimal()]


def _news(growing: "dict[Path, Growing]") -> "list[AuditEntry]":
    from authproxy.audit.read import parse_all

    news = [entry for file in growing.values() for entry in parse_all(file.more())]
    return sorted(news, key=lambda entry: entry.time)


def _show(entries: "Iterable[AuditEntry]", *, as_json: bool) -> int:
    from authproxy.audit.search import render

    count = 0
    for count, entry in enumerate(entries, start=1):  # noqa: B007 - it is returned
        typer.echo(entry.raw.decode("utf-8", "replace").rstrip("\n") if as_json else render(entry.line.fields))
    return count


def _summary(report: "ChainReport") -> Iterator[str]:
    if report.passed_over:
        yield f"passed over: {counted(report.passed_over, 'line')} of other output"
    for chain in report.chains:
        first, last = chain.first.line.link, chain.last.line.link
        missing = "" if chain.is_from_the_start else ", older lines are not in these files"
        yield f"writer {last.writer}: {first.sequence} to {last.sequence}{missing}; head {last.hash}"
    if report.lines or report.faults:
        verdict = counted(len(report.faults), "fault") if report.faults else "whole"
        yield f"{counted(report.lines, 'line')}: {verdict}"


def _as_json(report: "ChainReport") -> dict[str, Any]:
    return {
        "lines": report.lines,
        "whole": not report.faults and report.lines > 0,
        "faults": [
            {
                "file": None if fault.place is None else fault.place.file,
                "line": None if fault.place is None else fault.place.number,
                "message": fault.text,
            }
            for fault in report.faults
        ],
        "writers": [
            {
                "writer": chain.last.line.link.writer,
                "first": chain.first.line.link.sequence,
                "last": chain.last.line.link.sequence,
                "from_the_start": chain.is_from_the_start,
                "head": chain.last.line.link.hash,
            }
            for chain in report.chains
        ],
        "passed_over": report.passed_over,
    }
