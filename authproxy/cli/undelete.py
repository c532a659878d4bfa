"""`authproxy undelete`: bring back what was deleted or collected, as long as it is in the trash."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from authproxy.cli.audited import operator, record_change
from authproxy.cli.examples import examples
from authproxy.cli.json_output import AsJson
from authproxy.cli.local_storage import StorageOption, act_as_owner, find_local, is_read_only, opened
from authproxy.cli.output import counted, in_hours
from authproxy.cli.settings import ConfigOption
from authproxy.errors import StartError

if TYPE_CHECKING:
    from authproxy.config.settings import Settings
    from authproxy.digest import Digest
    from authproxy.reference import Repository, Tag
    from authproxy.registry.trash import Deleted
    from authproxy.registry.undelete import Restored
    from authproxy.storage.driver import Driver

# Names of one deletion that are shown in its line; all are in the JSON.
MAX_NAMED = 3

EXAMPLES = examples(
    "authproxy undelete --list",
    "authproxy undelete team/app:v1",
    "authproxy undelete team/app",
)


def undelete(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="REPO:TAG, REPO@DIGEST, or REPO for all of it; with --list: only of REPO."),
    ] = None,
    *,
    shows: Annotated[bool, typer.Option("--list", help="Show what is in the trash.")] = False,
    storage: StorageOption = None,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """Restore what was deleted or collected in the storage on this machine: manifests with their blobs, and tags.

    A tag that was pushed again since stays as it is. How long this is possible is set by storage.gc.trash; --list says
    for how long at least.
    """
    if name is None and not shows:
        raise typer.BadParameter("name what to restore: REPO:TAG, REPO@DIGEST or REPO; --list shows what there is")
    import asyncio

    repository, what = _parse(name) if name is not None else (None, None)
    settings, root = find_local(config, storage)
    if not shows and is_read_only(settings):
        raise StartError("storage.maintenance.readonly is on, so nothing may be restored; turn it off first")
    by = operator()
    act_as_owner(root)
    if shows:
        asyncio.run(_list(root, repository, _trash_s(settings), as_json=as_json))
        return
    assert repository is not None
    restored = asyncio.run(_restore(root, repository, what, by))
    record_change(f"restored {name}: {_counts(restored)}", settings)
    _tell(repository, restored, as_json=as_json)


def _parse(name: str) -> "tuple[Repository, Tag | Digest | None]":
    from authproxy.digest import parse_digest
    from authproxy.errors import RegistryError
    from authproxy.reference import parse_repository, parse_tag

    host, _, path = name.partition("/")
    if ":" in host and path:
        raise typer.BadParameter(f"{name}: leave out the host: {path}")
    try:
        if "@" in name:
            repository, _, digest = name.partition("@")
            return parse_repository(repository), parse_digest(digest)
        repository, colon, tag = name.rpartition(":")
        return (parse_repository(repository), parse_tag(tag)) if colon else (parse_repository(name), None)
    except RegistryError as error:
        raise typer.BadParameter(f"{error}; write REPO:TAG, REPO@DIGEST or REPO") from error


async def _restore(root: Path, repository: "Repository", what: "Tag | Digest | None", by: str) -> "Restored":
    from authproxy.registry.undelete import NotRestorable, Undelete

    async with opened(root) as driver:
        try:
            return await Undelete(driver, by=f"undelete by {by}").restore(repository, what)
        except NotRestorable as error:
            raise StartError(f"{error}; `authproxy undelete --list` shows what there is") from error


def _tell(repository: "Repository", restored: "Restored", *, as_json: bool) -> None:
    if as_json:
        fields: dict[str, Any] = {
            "repository": repository,
            "tags": {tag: str(digest) for tag, digest in sorted(restored.tags.items())},
            "tags_kept": sorted(restored.tags_kept),
            "manifests": sorted(map(str, restored.manifests)),
            "blobs": sorted(map(str, restored.blobs)),
            "missing": sorted(map(str, restored.missing)),
        }
        typer.echo(json.dumps(fields, indent=2))
    else:
        for tag, digest in sorted(restored.tags.items()):
            typer.echo(f"{repository}:{tag} is {digest} again")
        for tag in sorted(restored.tags_kept):
            typer.echo(f"{repository}:{tag} was pushed again since, and stays as it is")
        for digest in sorted(restored.missing):
            typer.echo(f"{repository}@{digest} is gone: push it again", err=True)
        typer.echo(f"restored {_counts(restored)}")
    if restored.missing:
        raise typer.Exit(1)


def _counts(restored: "Restored") -> str:
    manifests, blobs = counted(len(restored.manifests), "manifest"), counted(len(restored.blobs), "blob")
    return f"{manifests}, {blobs} and {counted(len(restored.tags), 'tag')}"


def _trash_s(settings: "Settings | None") -> float:
    from authproxy.maintenance.gc.collector import CollectOptions

    if settings is None or settings.storage is None:
        return CollectOptions().trash_s
    return settings.storage.gc.trash.total_seconds()


async def _list(root: Path, repository: "Repository | None", trash_s: float, *, as_json: bool) -> None:
    async with opened(root, read_only=True) as driver:
        await _list_from(driver, repository, trash_s, as_json=as_json)


async def _list_from(driver: "Driver", repository: "Repository | None", trash_s: float, *, as_json: bool) -> None:
    from authproxy.maintenance.ticks import Ticks
    from authproxy.registry.trash import Trash
    from authproxy.storage import state_layout
    from authproxy.storage.records import Records

    trash, records = Trash(driver), Records(driver)
    count = await Ticks(records).read()
    is_collected = await records.read(state_layout.gc_enabled()) is not None
    names = [repository] if repository is not None else [name async for name in trash.repositories()]
    is_empty = True
    for each in names:
        async for deleted in trash.of(each):
            is_empty = False
            left_s = max(0.0, trash_s - count.since_s(deleted.tick)) if is_collected else None
            typer.echo(_json_line(deleted, left_s) if as_json else _line_of(deleted, left_s))
    if as_json:
        return
    if is_empty:
        typer.echo(f"nothing {'' if repository is None else f'of {repository} '}is in the trash")
    elif not is_collected:
        typer.echo("collection is off: what is in the trash stays there until `authproxy gc --enable`", err=True)


def _json_line(deleted: "Deleted", left_s: float | None) -> str:
    links = deleted.links
    fields = {
        "repository": deleted.repository,
        "at": deleted.at.isoformat(timespec="seconds"),
        "left_s": None if left_s is None else round(left_s),
        "by": deleted.by,
        "why": deleted.why,
        "tags": {tag: str(digest) for tag, digest in links.tags.items()},
        "manifests": sorted(map(str, links.revisions)),
        "blobs": len(links.layers),
    }
    return json.dumps(fields, ensure_ascii=False)


def _line_of(deleted: "Deleted", left_s: float | None) -> str:
    from authproxy.cli.registry_run import printable

    links, repository = deleted.links, deleted.repository
    what = [f"{repository}:{tag}" for tag in links.tags] or [f"{repository}@{name}" for name in links.revisions]
    shown = ", ".join(what[:MAX_NAMED]) + (f" and {len(what) - MAX_NAMED} more" if len(what) > MAX_NAMED else "")
    shown = shown or f"{repository}: {counted(len(links.layers), 'blob')}"
    left = "" if left_s is None else f", {in_hours(left_s)} left" if left_s else ", until the next run"
    who = f", by {deleted.by}" if deleted.by else ""
    line = printable(f"{deleted.at:%Y-%m-%d %H:%M} UTC{left}: {shown}{who}: {deleted.why}")
    return line.replace("\n", "\\n")  # a subject must not make lines of its own
