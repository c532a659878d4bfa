"""`authproxy gc`, and `garbage-collect` as CNCF Distribution has it: what of a storage nothing needs."""

import errno
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.examples import examples
from authproxy.cli.json_output import AsJson
from authproxy.cli.local_storage import StorageOption, act_as_owner, find_root, root_of
from authproxy.cli.output import counted, in_words
from authproxy.cli.settings import ConfigArgument, ConfigToo, find_loaded, named_config
from authproxy.errors import StartError

if TYPE_CHECKING:
    from datetime import timedelta

    from authproxy.config.settings import Settings
    from authproxy.digest import Digest
    from authproxy.maintenance.gc.collector import CollectOptions
    from authproxy.maintenance.gc.findings import RepositoryFindings, Totals
    from authproxy.maintenance.gc.marking import Marking
    from authproxy.maintenance.gc.purge import Purged
    from authproxy.registry.upload_purge import AbandonedUpload
    from authproxy.storage.driver import Driver
    from authproxy.storage.records import Fields

EXAMPLES = examples(
    "authproxy gc --dry-run",
    "authproxy gc --dry-run --storage /var/lib/registry",
    "authproxy gc --dry-run --delete-untagged --json config.yml",
    "authproxy gc --enable",
    "authproxy gc --now",
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
    now: Annotated[
        bool, typer.Option("--now", help="End the trash first: what was deleted can't be restored any more.")
    ] = False,
    purge: Annotated[
        list[str],
        typer.Option("--purge", metavar="DIGEST", help="Only remove this content, at once and everywhere."),
    ] = [],  # noqa: B006 - typer copies it
    enable: Annotated[
        bool, typer.Option("--enable", help="Turn collection on: no other program writes to the storage from now on.")
    ] = False,
    disable: Annotated[bool, typer.Option("--disable", help="Turn collection off: every run is a dry run.")] = False,
    throttle: Annotated[
        float,
        typer.Option(min=0, max=0.99, metavar="SHARE", help="Rest this share of the time: 0.75 of a slow disk's."),
    ] = 0.0,
    storage: StorageOption = None,
    as_json: AsJson = False,
    config_option: ConfigToo = None,
) -> None:
    """Remove what nothing needs from the storage on this machine, beside the server and its pushes.

    A run removes what the run before has condemned, if the grace is over and nobody has asked for it since; and it
    condemns what nothing needs now. Until `--enable` every run is a dry run, which only reads: what would be removed,
    why, and how much it frees. A dry run may run beside CNCF Distribution. Exit code: 0 all was read, 1 something could
    not be read, 2 the command is wrong.
    """
    if sum((dry_run, enable, disable, bool(purge))) > 1:
        raise typer.BadParameter("--dry-run, --enable, --disable and --purge exclude each other")
    settings, root = _find(named_config(config, config_option), storage)
    how = _How(delete_untagged=delete_untagged, ends_trash=now, throttle=throttle, as_json=as_json)
    act_as_owner(root)
    if enable or disable:
        _switch(root, is_on=enable, as_json=as_json)
    elif purge:
        _purge(root, purge, as_json=as_json)
    else:
        _run(settings, root, how, is_dry=dry_run)


def garbage_collect(
    config: ConfigArgument = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-d", help="As of gc.")] = False,
    delete_untagged: Annotated[bool, typer.Option("--delete-untagged", "-m", help="As of gc.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the last line.")] = False,
) -> None:
    """Do what `authproxy gc` does, with the arguments of CNCF Distribution's `registry garbage-collect`."""
    settings, root = _find(config, None)
    act_as_owner(root)
    _run(settings, root, _How(delete_untagged=delete_untagged, is_quiet=quiet), is_dry=dry_run)


@dataclass(frozen=True)
class _How:
    """The options of a run."""

    delete_untagged: bool
    ends_trash: bool = False
    throttle: float = 0.0
    as_json: bool = False
    is_quiet: bool = False


def _find(config: Path | None, storage: Path | None) -> "tuple[Settings | None, Path]":
    """The settings, if there are any, and the folder of the storage."""
    if storage is not None:
        return None, find_root(config, storage)
    settings = find_loaded(config).settings
    return settings, root_of(settings, None)


def _run(settings: "Settings | None", root: Path, how: _How, *, is_dry: bool) -> None:
    import asyncio

    from authproxy.log.configure import log_to_stderr

    os.nice(NICENESS)
    log_to_stderr()
    begun = time.monotonic()
    if not is_dry and asyncio.run(_is_enabled(root)):
        _tell_collected(asyncio.run(_collect(settings, root, how)), how)
        return
    try:
        why = "" if is_dry else "; collection is off until `authproxy gc --enable`"
        typer.echo(f"a dry run: nothing is removed{why}", err=True)
        marking, uploads = asyncio.run(_mark(settings, root, how))
    except OSError as error:
        raise _no_temporary_file(error) from error
    with marking:
        if how.as_json:
            _write_json(marking, uploads, root, how, seconds=time.monotonic() - begun)
        else:
            _tell(marking, uploads, is_quiet=how.is_quiet)


def _no_temporary_file(error: OSError) -> StartError:
    return StartError(
        f"a temporary file can't be written ({error.strerror or error}); name a folder with some 300 bytes of space for"
        " each blob: TMPDIR=FOLDER"
    )


async def _is_enabled(root: Path) -> bool:
    from authproxy.storage import state_layout
    from authproxy.storage.filesystem.driver import FilesystemDriver
    from authproxy.storage.records import Records

    driver = FilesystemDriver(root, read_only=True)
    try:
        return await Records(driver).read(state_layout.gc_enabled()) is not None
    finally:
        await driver.close()


def _options(settings: "Settings | None") -> "CollectOptions":
    from authproxy.config.sections.storage import GarbageCollection, UploadPurging
    from authproxy.wiring.collection import collect_options

    if settings is None or settings.storage is None:
        return collect_options(GarbageCollection(), UploadPurging())
    return collect_options(settings.storage.gc, settings.storage.maintenance.uploadpurging)


async def _collect(settings: "Settings | None", root: Path, how: _How) -> "Fields":
    """Collect under the lease of the job. Raises StartError."""
    from authproxy.cli.registry_run import printable
    from authproxy.errors import Unavailable
    from authproxy.maintenance.gc.collector import Collector
    from authproxy.maintenance.gc.job import NAME, space_of
    from authproxy.maintenance.gc.marking import Incomplete
    from authproxy.maintenance.gc.options import Untagged
    from authproxy.maintenance.gc.pace import Pace
    from authproxy.maintenance.gc.sweep import Superseded
    from authproxy.maintenance.jobs import Job, Jobs
    from authproxy.maintenance.lease import LeaseLost
    from authproxy.storage.filesystem.driver import FilesystemDriver
    from authproxy.storage.records import Records

    options = _options(settings)
    untagged = Untagged.REMOVE if how.delete_untagged else options.untagged
    driver = FilesystemDriver(root)
    progress = Progress()
    collector = Collector(
        driver,
        replace(options, untagged=untagged, ends_trash=how.ends_trash),
        pace=Pace(how.throttle),
        folder=_temporary_folder(),
        space=lambda: space_of(root),
        progress=progress,
    )

    async def work() -> "Fields":
        return {"collected": (await collector.run()).to_json()}

    try:
        report = await Jobs(Records(driver)).run_now(
            Job(NAME, work, 1.0), waiting=lambda why: typer.echo(why, err=True)
        )
    except (Incomplete, Unavailable, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):  # of the storage: Unavailable
            raise _no_temporary_file(error) from error
        raise StartError(printable(f"the run ended early: {error}; the next one goes on")) from error
    except (Superseded, LeaseLost) as error:
        raise StartError("another collector has taken over; see `authproxy gc` later") from error
    finally:
        progress.end()
        await driver.close()
    collected: Fields = report["collected"]
    return collected


def _tell_collected(collected: "Fields", how: _How) -> None:
    from authproxy.cli.registry_run import printable

    if how.as_json:
        typer.echo(json.dumps(collected, indent=2, ensure_ascii=False))
        return
    removed = collected["removed"]
    if not how.is_quiet:
        for repository, count in collected["removed_links"].items():
            typer.echo(printable(f"{repository}: {counted(count, 'link')} removed"))
        if collected["uploads"]:
            uploads = counted(collected["uploads"], "abandoned upload")
            typer.echo(f"{uploads} of {in_words(collected['upload_bytes'])} removed")
        if collected["trash_ended"]:
            typer.echo(f"the trash: {counted(collected['trash_ended'], 'deletion')} can't be restored any more")
    waits = collected["grace_left_s"]
    condemned = f"{collected['condemned']} links and blobs, {in_words(collected['condemned_bytes'])}"
    if collected["is_waiting"]:
        typer.echo(f"nothing was read: {condemned}, wait for the end of their grace, in about {_hours(waits)}")
        return
    links = removed["revisions"] + removed["layers"]
    spared = f"; {removed['spared']} were asked for since, and stay" if removed["spared"] else ""
    if links or removed["blobs"] or spared:
        blobs = counted(removed["blobs"], "blob")
        typer.echo(f"freed {in_words(removed['bytes'])}: {blobs} and {counted(links, 'link')} removed{spared}")
    else:
        typer.echo("nothing else was removed" if collected["uploads"] else "nothing was removed")
    if waits is not None:
        typer.echo(
            f"condemned: {condemned}; a run after their grace of {_hours(waits)} removes what is not needed then"
        )


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.0f} h" if hours >= 2 else f"{max(1, round(seconds / 60))} min"  # noqa: PLR2004


def _switch(root: Path, *, is_on: bool, as_json: bool) -> None:
    import asyncio

    asyncio.run(_write_switch(root, is_on=is_on))
    if as_json:
        typer.echo(json.dumps({"storage": str(root), "enabled": is_on}))
    elif is_on:
        typer.echo(
            f"collection is on: from now on no other program may write to {root}, nor a server of authproxy before 0.3."
            " The first run condemns what nothing needs; a run after the grace removes it."
        )
    else:
        typer.echo("collection is off: every run is a dry run")


async def _write_switch(root: Path, *, is_on: bool) -> None:
    from datetime import UTC, datetime

    from authproxy.storage import state_layout
    from authproxy.storage.filesystem.driver import FilesystemDriver
    from authproxy.storage.records import Records

    driver = FilesystemDriver(root)
    try:
        if is_on:
            await Records(driver).create(state_layout.gc_enabled(), {"at": datetime.now(UTC).isoformat()})
        else:
            await driver.delete(state_layout.gc_enabled())
    finally:
        await driver.close()


def _purge(root: Path, digests: list[str], *, as_json: bool) -> None:
    import asyncio

    from authproxy.digest import parse_digest
    from authproxy.errors import DigestInvalid

    try:
        wanted = [parse_digest(text) for text in digests]
    except DigestInvalid as error:
        raise typer.BadParameter(str(error), param_hint="--purge") from error
    if any(digest.algorithm != "sha256" for digest in wanted):
        raise typer.BadParameter("content is stored by sha256 digests: name that one", param_hint="--purge")
    for digest in wanted:
        purged = asyncio.run(_purge_one(root, digest))
        if as_json:
            typer.echo(json.dumps({"digest": str(digest), **asdict(purged)}, ensure_ascii=False))
        elif not purged.is_gone:
            typer.echo(f"{digest} was pushed again meanwhile, and is there")
        else:
            where = ", ".join(purged.repositories) or "no repository"
            typer.echo(f"{digest} is gone: {in_words(purged.bytes)}, from {where}")


async def _purge_one(root: Path, digest: "Digest") -> "Purged":
    from authproxy.errors import Unavailable, Unsupported
    from authproxy.maintenance.gc.purge import Purge
    from authproxy.maintenance.gc.sweep import Superseded
    from authproxy.storage.filesystem.driver import FilesystemDriver

    driver = FilesystemDriver(root)
    try:
        return await Purge(driver, folder=_temporary_folder()).purge(digest)
    except (Unsupported, Unavailable) as error:
        raise StartError(str(error)) from error
    except Superseded as error:
        raise StartError("a collector runs at the moment; try again") from error
    finally:
        await driver.close()


async def _mark(settings: "Settings | None", root: Path, how: _How) -> "tuple[Marking, list[AbandonedUpload]]":
    """What a run would find: links and content, and the abandoned uploads. Raises StartError."""
    from authproxy.cli.registry_run import printable
    from authproxy.maintenance.gc.marking import Incomplete, mark
    from authproxy.maintenance.gc.options import MarkingOptions, Untagged
    from authproxy.maintenance.gc.pace import Pace
    from authproxy.storage.filesystem.driver import FilesystemDriver

    driver = FilesystemDriver(root, read_only=True)
    options = MarkingOptions(untagged=Untagged.REMOVE if how.delete_untagged else Untagged.KEEP)
    age = _options(settings).uploads_age
    progress = Progress()
    try:
        pace = Pace(how.throttle)
        marking = await mark(driver, options, pace=pace, folder=_temporary_folder(), progress=progress)
        try:
            return marking, await _abandoned(driver, age)
        except StartError:
            marking.close()
            raise
    except Incomplete as error:
        raise StartError(printable(str(error))) from error
    finally:
        progress.end()
        await driver.close()


async def _abandoned(driver: "Driver", age: "timedelta | None") -> "list[AbandonedUpload]":
    from datetime import UTC, datetime

    from authproxy.cli.registry_run import printable
    from authproxy.errors import Unavailable
    from authproxy.registry.upload_purge import purge_uploads

    if age is None:
        return []
    try:
        return await purge_uploads(driver, older_than=datetime.now(UTC) - age, dry_run=True)
    except (OSError, Unavailable) as error:
        raise StartError(printable(f"uploads can't be read: {error}")) from error


def _temporary_folder() -> Path | None:
    """For gigabytes: `/tmp` is in memory on many machines."""
    usual = Path("/var/tmp")  # noqa: S108 - the files there have no names
    return usual if "TMPDIR" not in os.environ and os.access(usual, os.W_OK) else None


def _tell(marking: "Marking", uploads: "list[AbandonedUpload]", *, is_quiet: bool) -> None:
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
        if uploads:
            typer.echo(f"{counted(len(uploads), 'abandoned upload')}: {in_words(sum(each.size for each in uploads))}")
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


def _write_json(marking: "Marking", uploads: "list[AbandonedUpload]", root: Path, how: _How, *, seconds: float) -> None:
    from authproxy.maintenance.gc.report import to_json

    head = {
        "storage": str(root),
        "dry_run": True,
        "untagged": "remove" if how.delete_untagged else "keep",
        "seconds": round(seconds, 3),
        "abandoned_uploads": {"uploads": len(uploads), "bytes": sum(each.size for each in uploads)},
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
