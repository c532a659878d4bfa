"""`authproxy gc`, and `garbage-collect` as CNCF Distribution has it: what of a storage nothing needs."""

import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.audited import record_change
from authproxy.cli.examples import examples
from authproxy.cli.gc_report import progress_words, show_dry_run, show_run, write_json
from authproxy.cli.json_output import AsJson
from authproxy.cli.local_storage import StorageOption, act_as_owner, find_local, is_read_only, opened
from authproxy.cli.output import in_words
from authproxy.cli.progress_line import ProgressLine
from authproxy.cli.settings import ConfigArgument, ConfigToo, named_config
from authproxy.errors import StartError

if TYPE_CHECKING:
    from datetime import timedelta

    from authproxy.config.settings import Settings
    from authproxy.digest import Digest
    from authproxy.maintenance.gc.collector import CollectOptions
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
    if (enable or disable or purge) and (now or delete_untagged or throttle):
        raise typer.BadParameter("--now, --delete-untagged and --throttle are of a run: leave them out")
    settings, root = find_local(named_config(config, config_option), storage)
    how = _How(delete_untagged=delete_untagged, ends_trash=now, throttle=throttle, as_json=as_json)
    if (enable or disable or purge) and is_read_only(settings):
        raise StartError("storage.maintenance.readonly is on, so nothing may be written; turn it off first")
    act_as_owner(root)
    if enable or disable:
        _switch(root, settings, is_on=enable, as_json=as_json)
    elif purge:
        _purge(root, settings, purge, as_json=as_json)
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
    settings, root = find_local(config, None)
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


def _run(settings: "Settings | None", root: Path, how: _How, *, is_dry: bool) -> None:
    import asyncio

    from authproxy.log.configure import log_to_stderr

    os.nice(NICENESS)
    log_to_stderr()
    begun = time.monotonic()
    if not is_dry and asyncio.run(_is_enabled(root)):
        if is_read_only(settings):
            raise StartError("storage.maintenance.readonly is on, so nothing may be removed; use --dry-run")
        show_run(asyncio.run(_collect(settings, root, how)), as_json=how.as_json, is_quiet=how.is_quiet)
        return
    why = "" if is_dry else "; collection is off until `authproxy gc --enable`"
    typer.echo(f"a dry run: nothing is removed{why}", err=True)
    options = _options(settings, how)
    marking, uploads = asyncio.run(_mark(root, options, how))
    with marking:
        if how.as_json:
            write_json(marking, uploads, root, options, seconds=time.monotonic() - begun)
        else:
            show_dry_run(marking, uploads, is_quiet=how.is_quiet)


def _no_temporary_file(error: OSError) -> StartError:
    return StartError(
        f"a temporary file can't be written ({error.strerror or error}); name a folder with some 300 bytes of space for"
        " each blob: TMPDIR=FOLDER"
    )


async def _is_enabled(root: Path) -> bool:
    from authproxy.storage import state_layout
    from authproxy.storage.records import Records

    async with opened(root, read_only=True) as driver:
        return await Records(driver).read(state_layout.gc_enabled()) is not None


def _options(settings: "Settings | None", how: _How) -> "CollectOptions":
    """By the settings, or their defaults, and the command's options."""
    from authproxy.config.sections.storage import GarbageCollection, UploadPurging
    from authproxy.maintenance.gc.options import Untagged
    from authproxy.wiring.collection import collect_options

    if settings is None or settings.storage is None:
        options = collect_options(GarbageCollection(), UploadPurging())
    else:
        options = collect_options(settings.storage.gc, settings.storage.maintenance.uploadpurging)
    untagged = Untagged.REMOVE if how.delete_untagged else options.untagged
    return replace(options, untagged=untagged, ends_trash=how.ends_trash)


async def _collect(settings: "Settings | None", root: Path, how: _How) -> "Fields":
    """Collect under the lease of the job. Raises StartError."""
    from authproxy.cli.registry_run import printable
    from authproxy.errors import Unavailable
    from authproxy.maintenance.gc.collector import Collector
    from authproxy.maintenance.gc.job import NAME, space_of
    from authproxy.maintenance.gc.marking import Incomplete
    from authproxy.maintenance.gc.pace import Pace
    from authproxy.maintenance.gc.sweep import Superseded
    from authproxy.maintenance.jobs import Job, Jobs
    from authproxy.maintenance.lease import LeaseLost
    from authproxy.os_errors import FULL
    from authproxy.storage.records import Records, RecordUnreadable

    line = ProgressLine()
    async with opened(root) as driver:
        collector = Collector(
            driver,
            _options(settings, how),
            pace=Pace(how.throttle),
            folder=_temporary_folder(),
            space=lambda: space_of(root),
            progress=lambda totals: line.show(lambda: progress_words(totals)),
        )

        async def work() -> "Fields":
            return {"collected": (await collector.run()).to_json()}

        try:
            report = await Jobs(Records(driver)).run_now(
                Job(NAME, work, 1.0), waiting=lambda why: typer.echo(why, err=True), counts=False
            )
        except (Incomplete, Unavailable, OSError) as error:
            if isinstance(error, OSError) and error.errno in FULL:  # where the storage is full: Unavailable
                raise _no_temporary_file(error) from error
            # What can't be read has to be repaired first; everything else passes.
            more = "" if isinstance(error, (Incomplete, RecordUnreadable)) else "; the next one goes on"
            raise StartError(printable(f"the run ended early: {error}{more}")) from error
        except (Superseded, LeaseLost) as error:
            raise StartError("another collector has taken over; run `authproxy gc` again later") from error
        finally:
            line.end()
    collected: Fields = report["collected"]
    return collected


def _switch(root: Path, settings: "Settings | None", *, is_on: bool, as_json: bool) -> None:
    import asyncio

    asyncio.run(_write_switch(root, is_on=is_on))
    record_change(f"turned collection {'on' if is_on else 'off'}: {root}", settings)
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
    from authproxy.storage.records import Records

    async with opened(root) as driver:
        if is_on:
            await Records(driver).create(state_layout.gc_enabled(), {"at": datetime.now(UTC).isoformat()})
        else:
            await driver.delete(state_layout.gc_enabled())


def _purge(root: Path, settings: "Settings | None", digests: list[str], *, as_json: bool) -> None:
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
        where = ", ".join(purged.repositories) or "no repository"
        record_change(f"purged {digest} from {where}", settings)
        if as_json:
            typer.echo(json.dumps({"digest": str(digest), **asdict(purged)}, ensure_ascii=False))
        elif not purged.is_gone:
            typer.echo(f"{digest} was pushed again meanwhile, and is there")
        else:
            typer.echo(f"{digest} is gone: {in_words(purged.bytes)}, from {where}")


async def _purge_one(root: Path, digest: "Digest") -> "Purged":
    from authproxy.errors import Unsupported
    from authproxy.maintenance.gc.purge import Purge
    from authproxy.maintenance.gc.sweep import Superseded

    async with opened(root) as driver:
        try:
            return await Purge(driver, folder=_temporary_folder()).purge(digest)
        except Unsupported as error:
            raise StartError(str(error)) from error
        except Superseded as error:
            raise StartError("a collector runs at the moment; try again") from error


async def _mark(root: Path, options: "CollectOptions", how: _How) -> "tuple[Marking, list[AbandonedUpload]]":
    """What a run would find: links and content, and the abandoned uploads. Raises StartError."""
    from authproxy.cli.registry_run import printable
    from authproxy.maintenance.gc.marking import Incomplete, mark
    from authproxy.maintenance.gc.options import MarkingOptions
    from authproxy.maintenance.gc.pace import Pace

    line = ProgressLine()
    async with opened(root, read_only=True) as driver:
        try:
            marking = await mark(
                driver,
                MarkingOptions(options.untagged),
                pace=Pace(how.throttle),
                folder=_temporary_folder(),
                progress=lambda totals: line.show(lambda: progress_words(totals)),
            )
        except Incomplete as error:
            raise StartError(printable(str(error))) from error
        except OSError as error:
            raise _no_temporary_file(error) from error
        finally:
            line.end()
        try:
            return marking, await _abandoned(driver, options.uploads_age)
        except BaseException:
            marking.close()
            raise


async def _abandoned(driver: "Driver", age: "timedelta | None") -> "list[AbandonedUpload]":
    from datetime import UTC, datetime

    from authproxy.registry.upload_purge import purge_uploads

    return [] if age is None else await purge_uploads(driver, older_than=datetime.now(UTC) - age, dry_run=True)


def _temporary_folder() -> Path | None:
    """For gigabytes: `/tmp` is in memory on many machines."""
    usual = Path("/var/tmp")  # noqa: S108 - the files there have no names
    return usual if "TMPDIR" not in os.environ and os.access(usual, os.W_OK) else None
