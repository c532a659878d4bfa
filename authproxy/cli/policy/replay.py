"""`authproxy policy replay`: what other rules would have decided for the requests in an audit log."""

import time
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.audit.files import Since, Until, list_log, log_of, parse_option, telling_faults
from authproxy.cli.examples import examples
from authproxy.cli.output import counted
from authproxy.cli.policy.files import policies_of
from authproxy.cli.settings import ConfigOption, find_loaded
from authproxy.program import command

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from authproxy.audit.read import AuditEntry

# More faults of a log are counted and not named: `authproxy audit verify` names them all.
MAX_FAULTS = 10


EXAMPLES = examples(
    "authproxy policy replay",
    "authproxy policy replay draft.yaml --audit audit.log --since 24h",
    "authproxy policy replay draft.yaml --each --json | jq .",
)


def replay(
    policies: Annotated[
        Path | None, typer.Argument(help="A policy file or folder. Default: the configuration's, or policies/.")
    ] = None,
    *,
    audit: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH", help="A file of the log, with those beside it of other writers and older ones; or a folder."
        ),
    ] = None,
    since: Since = None,
    until: Until = None,
    each: Annotated[
        bool, typer.Option("--each", help="Each decision that changes by itself, in the order of time.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --each an object a line.")] = False,
    config: ConfigOption = None,
) -> None:
    """Decide the requests of an audit log again, each at its own time, and report the decisions that would change.

    Exit code 0: none would; 1: some would, or are unknown; 2: the log or the policies cannot be read.
    """
    from authproxy.audit.read import read_merged
    from authproxy.cli.policy.replay_report import Replayed, change_lines, change_to_json, to_json, to_lines
    from authproxy.policy.load import load_policies
    from authproxy.policy.replay import Replay

    now = time.time()
    span = parse_option(since, now, "--since"), parse_option(until, now, "--until")
    with telling_faults():
        # It is read once, and only for what was not named.
        find = cache(partial(find_loaded, config))
        replayed = Replayed(Replay(load_policies(policies or policies_of(find()))))
        files = _expand(audit) if audit else list_log(log_of(find()))
        _warn_of_faults(files)
        for change in replayed.take(_within(read_merged(files), *span)):
            if each:
                typer.echo(change_to_json(change) if as_json else "\n".join(change_lines(change)))
    if not replayed.lines:
        typer.echo("authproxy: these files hold no audit lines, or none of that time", err=True)
        raise typer.Exit(2)
    if not as_json:
        for line in to_lines(replayed, with_groups=not each):
            typer.echo(line)
    elif not each:
        typer.echo(to_json(replayed))
    raise typer.Exit(0 if replayed.is_as_it_was else 1)


def _expand(named: "Sequence[Path]") -> list[Path]:
    """The files of the log. Raises OSError."""
    from authproxy.audit.file import list_files, list_folder

    found: dict[Path, None] = {}
    for path in named:
        # A missing file is reported when it is read.
        found.update(dict.fromkeys(list_folder(path) if path.is_dir() else list_files(path) or [path]))
    return list(found)


def _warn_of_faults(files: "Sequence[Path]") -> None:
    from authproxy.audit.read import read_raw
    from authproxy.audit.verify import verify

    faults = verify((str(path), read_raw(path)) for path in files).faults
    for fault in islice(faults, MAX_FAULTS):
        typer.echo(f"authproxy: warning: {fault}", err=True)
    if len(faults) > MAX_FAULTS:
        typer.echo(
            f"authproxy: warning: {counted(len(faults) - MAX_FAULTS, 'more fault')};"
            f" `{command('audit verify')}` names them",
            err=True,
        )


def _within(entries: "Iterable[AuditEntry]", since: str | None, until: str | None) -> "Iterator[AuditEntry]":
    from authproxy.audit.search import LineFilter

    wanted = LineFilter(since=since, until=until)
    return (entry for entry in entries if wanted.includes(entry.line.fields))
