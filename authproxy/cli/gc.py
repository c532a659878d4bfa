"""`authproxy gc`, and `garbage-collect` as CNCF Distribution has it: what of a storage nothing needs."""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.examples import examples
from authproxy.cli.json_output import AsJson
from authproxy.cli.local_storage import StorageOption, act_as_owner, find_root
from authproxy.cli.output import counted, in_words
from authproxy.cli.settings import ConfigArgument, ConfigToo, named_config
from authproxy.errors import StartError

if TYPE_CHECKING:
    from authproxy.maintenance.gc.findings import RepositoryFindings, Totals
    from authproxy.maintenance.gc.marking import Marking

EXAMPLES = examples(
    "authproxy gc --dry-run",
    "authproxy gc --dry-run --storage /var/lib/registry",
    "authproxy gc --dry-run --delete-untagged --json config.yml",
)
DISTRIBUTION_EXAMPLES = examples("authproxy garbage-collect --dry-run config.yml")

# So much less of the processor than others, as `nice` has it.
NICENESS = 10
# How often the line of progress changes, in seconds.
TOLD_EVERY_S = 0.5

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")]
DeleteUntagged = Annotated[
    bool,
    typer.Option("--delete-untagged", help="Manifests too that no tag leads to; signatures stay with their image."),
]


def gc(
    config: ConfigArgument = None,
    *,
    dry_run: DryRun = False,
    delete_untagged: DeleteUntagged = False,
    throttle: Annotated[
        float,
        typer.Option(min=0, max=0.99, metavar="SHARE", help="Rest this share of the time: 0.75 of a slow disk's."),
    ] = 0.0,
    storage: StorageOption = None,
    as_json: AsJson = False,
    config_option: ConfigToo = None,
) -> None:
    """Find what nothing needs in the storage on this machine: what would be removed, why, and how much it frees.

    It reads only, and may run beside the server, also beside CNCF Distribution's. Every run is a dry run as long as
    collection is off. Exit code: 0 all was read, 1 something could not be read, 2 the command is wrong.
    """
    del dry_run  # as long as every run is one
    root = find_root(named_config(config, config_option), storage)
    _run(root, delete_untagged=delete_untagged, throttle=throttle, as_json=as_json)


def garbage_collect(
    config: ConfigArgument = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-d", help="As of gc.")] = False,
    delete_untagged: Annotated[bool, typer.Option("--delete-untagged", "-m", help="As of gc.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the last line.")] = False,
) -> None:
    """Do what `authproxy gc` does, with the arguments of CNCF Distribution's `registry garbage-collect`."""
    del dry_run
    _run(find_root(config, None), delete_untagged=delete_untagged, is_quiet=quiet)


def _run(
    root: Path, *, delete_untagged: bool, throttle: float = 0.0, as_json: bool = False, is_quiet: bool = False
) -> None:
    import asyncio

    act_as_owner(root)
    os.nice(NICENESS)
    typer.echo("a dry run: nothing is removed; collection is off until `authproxy gc --enable`", err=True)
    begun = time.monotonic()
    try:
        marking = asyncio.run(_mark(root, delete_untagged=delete_untagged, throttle=throttle))
    except OSError as error:
        raise StartError(
            f"a temporary file can't be written ({error.strerror or error}); name a folder with some 300 bytes of space"
            " for each blob: TMPDIR=FOLDER"
        ) from error
    with marking:
        if as_json:
            _write_json(marking, root, delete_untagged=delete_untagged, seconds=time.monotonic() - begun)
        else:
            _tell(marking, is_quiet=is_quiet)


async def _mark(root: Path, *, delete_untagged: bool, throttle: float) -> "Marking":
    from authproxy.cli.registry_run import printable
    from authproxy.maintenance.gc.marking import Incomplete, mark
    from authproxy.maintenance.gc.options import MarkingOptions, Untagged
    from authproxy.maintenance.gc.pace import Pace
    from authproxy.storage.filesystem.driver import FilesystemDriver

    driver = FilesystemDriver(root, read_only=True)
    options = MarkingOptions(untagged=Untagged.REMOVE if delete_untagged else Untagged.KEEP)
    progress = Progress()
    try:
        return await mark(driver, options, pace=Pace(throttle), folder=_temporary_folder(), progress=progress)
    except Incomplete as error:
        raise StartError(printable(str(error))) from error
    finally:
        progress.end()
        await driver.close()


def _temporary_folder() -> Path | None:
    """For gigabytes: `/tmp` is in memory on many machines."""
    usual = Path("/var/tmp")  # noqa: S108 - the files there have no names
    return usual if "TMPDIR" not in os.environ and os.access(usual, os.W_OK) else None


def _tell(marking: "Marking", *, is_quiet: bool) -> None:
    from authproxy.cli.registry_run import printable

    totals = marking.totals
    touched = 0
    for row in marking.repositories():
        touched += row.kept_whole is None
        if not is_quiet:
            typer.echo(printable(_line_of(row)))
    if not is_quiet:
        if totals.unlinked_blobs:
            typer.echo(f"no repository: {counted(totals.unlinked_blobs, 'blob')}, {in_words(totals.unlinked_bytes)}")
        for notice in marking.notices:
            typer.echo(printable(f"note: {notice.repository}{': ' if notice.repository else ''}{notice.what}"))
        if marking.more_notices:
            typer.echo(f"note: {marking.more_notices} more notes are left out")
    typer.echo(
        f"would free {in_words(totals.candidate_bytes)} of {in_words(totals.bytes)}: {totals.candidate_blobs} of"
        f" {counted(totals.blobs, 'blob')}, in {touched} of {totals.repositories} repositories"
    )


def _line_of(row: "RepositoryFindings") -> str:
    if row.kept_whole is not None:
        return f"{row.repository}: kept whole: {row.kept_whole}"
    parts = (
        (row.untagged, "untagged manifest"),
        (row.layers_of_untagged, "layer of untagged manifests", "layers of untagged manifests"),
        (row.unnamed_layers, "layer that no manifest names", "layers that no manifest names"),
    )
    what = ", ".join(
        f"{count} {words[-1] if count > 1 and len(words) > 1 else words[0]}" for count, *words in parts if count
    )
    shared = f", and {in_words(row.shared_bytes)} with other repositories" if row.shared_bytes else ""
    return f"{row.repository}: {what}; frees {in_words(row.own_bytes)}{shared}"


def _write_json(marking: "Marking", root: Path, *, delete_untagged: bool, seconds: float) -> None:
    from authproxy.maintenance.gc.report import to_json

    head = {
        "storage": str(root),
        "dry_run": True,
        "untagged": "remove" if delete_untagged else "keep",
        "seconds": round(seconds, 3),
    }
    for piece in to_json(marking, head):
        typer.echo(piece, nl=False)
    typer.echo()


class Progress:
    """A line on the terminal that changes; nothing elsewhere."""

    def __init__(self) -> None:
        self._is_on = sys.stderr.isatty()
        self._next = 0.0

    def __call__(self, totals: "Totals") -> None:
        """Show the counts, at most twice a second."""
        if self._is_on and time.monotonic() >= self._next:
            self._next = time.monotonic() + TOLD_EVERY_S
            counts = (
                f"{counted(totals.blobs, 'blob')}, {totals.repositories} repositories, {counted(totals.tags, 'tag')}"
            )
            sys.stderr.write(f"\r\x1b[Kread {counts}")
            sys.stderr.flush()

    def end(self) -> None:
        """Remove the line."""
        if self._is_on:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
