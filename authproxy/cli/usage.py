"""`authproxy usage`: what uses the space of a storage, and when it was pushed and pulled last."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from authproxy.cli.examples import examples
from authproxy.cli.json_output import AsJson, in_json
from authproxy.cli.local_storage import StorageOption, act_as_owner, find_root
from authproxy.cli.output import counted, in_words
from authproxy.cli.progress_line import ProgressLine
from authproxy.cli.settings import ConfigOption
from authproxy.errors import RegistryError, StartError

if TYPE_CHECKING:
    from authproxy.maintenance.usage.measuring import SpaceTotals, Usage
    from authproxy.maintenance.usage.spaces import Space
    from authproxy.maintenance.usage.tags import TagReader, Times
    from authproxy.registry.pull_times import PullTimes

EXAMPLES = examples(
    "authproxy usage",
    "authproxy usage --tags --sort pulled team/app",
    "authproxy usage --namespaces",
    "authproxy usage --json --storage /var/lib/registry team/",
)


class Sort(StrEnum):
    """What the rows are sorted by: most bytes first, names and times from the first."""

    SIZE = "size"
    OWN = "own"
    NAME = "name"
    PUSHED = "pushed"
    PULLED = "pulled"


class Row(NamedTuple):
    """One line: what it is sorted by, its columns, and its object with --json."""

    name: str
    own: int
    size: int
    times: "Times"
    columns: Sequence[str]
    fields: dict[str, Any]


def usage(
    place: Annotated[
        str | None,
        typer.Argument(metavar="PLACE", help="Only this: REPOSITORY, or NAMESPACE/ with all below it."),
    ] = None,
    *,
    tags: Annotated[bool, typer.Option("--tags", help="A line for each tag.")] = False,
    namespaces: Annotated[bool, typer.Option("--namespaces", help="A line for each namespace.")] = False,
    sort: Annotated[Sort, typer.Option("--sort", help="Sizes: most first. Times: longest ago first.")] = Sort.SIZE,
    storage: StorageOption = None,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """Show what uses the space of the storage on this machine, and when it was pushed and pulled last.

    own is what nothing else needs: deleting the repository frees it. shared is needed by others too. It reads only, and
    may run beside the server, also beside CNCF Distribution's. Exit code: 0 all was read, 1 something could not be
    read, or there is no such place, 2 the command is wrong.
    """
    if tags and namespaces:
        raise typer.BadParameter("a tag is in no namespace: leave out one of the two", param_hint="--tags")
    root = find_root(config, storage)
    act_as_owner(root)
    import asyncio

    asyncio.run(_show(root, place, tags=tags, namespaces=namespaces, sort=sort, as_json=as_json))


async def _show(root: Path, place: str | None, *, tags: bool, namespaces: bool, sort: Sort, as_json: bool) -> None:
    from authproxy.maintenance.gc.pace import Pace
    from authproxy.maintenance.gc.store_reading import Incomplete, StoreReader
    from authproxy.maintenance.usage.measuring import measure
    from authproxy.maintenance.usage.tags import TagReader
    from authproxy.registry.pull_times import PullTimes
    from authproxy.storage.filesystem.driver import FilesystemDriver

    driver = FilesystemDriver(root, read_only=True)
    line = ProgressLine()
    try:
        with await measure(
            driver, progress=lambda totals: line.show(lambda: f"read {counted(totals.blobs, 'blob')}")
        ) as found:
            pulls = await PullTimes.load(driver)
            reader = TagReader(driver, StoreReader(driver, Pace()), pulls)
            make = _tag_rows if tags else _namespace_rows if namespaces else _repository_rows
            rows = [row async for row in make(found, reader, _inside(place))]
            line.end()
            if place is not None and not rows and not any(map(_inside(place), _names(found))):
                raise StartError(f"there is nothing in {place} here; a namespace ends with a slash: team/")
            rows.sort(key=_key(sort))
            if as_json:
                typer.echo(in_json(_document(root, rows, found.totals, pulls)))
            else:
                _tell(rows, _TAG_HEAD if tags else _NAMESPACE_HEAD if namespaces else _HEAD, found.totals, pulls)
    except (Incomplete, OSError, RegistryError) as error:
        raise StartError(_reason(error)) from error
    finally:
        line.end()
        await driver.close()


def _inside(place: str | None) -> Callable[[str], bool]:
    if place is None:
        return lambda _: True
    return (lambda name: name.startswith(place)) if place.endswith("/") else (lambda name: name == place)


def _names(found: "Usage") -> Iterable[str]:
    return (space.name for spaces in (found.spaces.repositories(), found.spaces.namespaces()) for space in spaces)


async def _repository_rows(found: "Usage", reader: "TagReader", is_meant: Callable[[str], bool]) -> AsyncIterator[Row]:
    from authproxy.reference import Repository

    for space in found.spaces.repositories():
        if is_meant(space.name):
            yield _space_row(space, "repository", await reader.times_of(Repository(space.name)))


async def _namespace_rows(found: "Usage", reader: "TagReader", is_meant: Callable[[str], bool]) -> AsyncIterator[Row]:
    from authproxy.maintenance.usage.tags import Times

    del reader
    for space in found.spaces.namespaces():
        if is_meant(space.name):
            yield _space_row(space, "namespace", Times())


async def _tag_rows(found: "Usage", reader: "TagReader", is_meant: Callable[[str], bool]) -> AsyncIterator[Row]:
    from authproxy.reference import Repository

    for space in found.spaces.repositories():
        if is_meant(space.name):
            async for tag in reader.tags(Repository(space.name)):
                name = f"{tag.repository}:{tag.tag}"
                times = tag.times
                columns = (
                    name,
                    in_words(tag.size),
                    _moment(times.pushed),
                    _who(times.pushed, times.pushed_by),
                    _moment(times.pulled),
                    _who(times.pulled, times.pulled_by),
                )
                fields = {
                    "repository": tag.repository,
                    "tag": tag.tag,
                    "digest": str(tag.digest),
                    "size": tag.size,
                    **_time_fields(times),
                    "pushed_by": times.pushed_by,
                    "pulled_by": times.pulled_by,
                }
                yield Row(name, tag.size, tag.size, times, columns, fields)


_HEAD = ("NAME", "OWN", "SHARED", "TAGS", "MANIFESTS", "PUSHED", "PULLED")
_NAMESPACE_HEAD = ("NAME", "OWN", "SHARED", "REPOSITORIES", "TAGS", "MANIFESTS")
_TAG_HEAD = ("TAG", "SIZE", "PUSHED", "BY", "PULLED", "BY")


def _space_row(space: "Space", kind: str, times: "Times") -> Row:
    counts = (str(space.tags), str(space.manifests))
    is_namespace = kind == "namespace"
    columns = (
        space.name,
        in_words(space.own_bytes),
        in_words(space.shared_bytes),
        *(
            (str(space.repositories), *counts)
            if is_namespace
            else (*counts, _moment(times.pushed), _moment(times.pulled))
        ),
    )
    fields = {
        kind: space.name,
        "own_bytes": space.own_bytes,
        "shared_bytes": space.shared_bytes,
        "tags": space.tags,
        "manifests": space.manifests,
        "upload_bytes": space.upload_bytes,
        **({"repositories": space.repositories} if is_namespace else _time_fields(times)),
    }
    return Row(space.name, space.own_bytes, space.own_bytes + space.shared_bytes, times, columns, fields)


def _time_fields(times: "Times") -> dict[str, str | None]:
    return {
        "last_pushed": None if times.pushed is None else _rfc3339(times.pushed),
        "last_pulled": None if times.pulled is None else _rfc3339(times.pulled),
    }


def _key(sort: Sort) -> Callable[[Row], Any]:
    def key(row: Row) -> tuple[Any, ...]:
        match sort:
            case Sort.SIZE:
                return -row.size, row.name
            case Sort.OWN:
                return -row.own, row.name
            case Sort.NAME:
                return (row.name,)
            case Sort.PUSHED:
                return _since(row.times.pushed), row.name
            case Sort.PULLED:
                return _since(row.times.pulled), row.name

    return key


def _since(moment: datetime | None) -> float:
    return 0.0 if moment is None else moment.timestamp()


def _document(root: Path, rows: list[Row], totals: "SpaceTotals", pulls: "PullTimes") -> dict[str, Any]:
    from dataclasses import asdict

    began, unknown = pulls.records_began(), pulls.unknown_until()
    return {
        "storage": str(root),
        "totals": asdict(totals),
        "pulls": {
            "began": None if began is None else _rfc3339(began),
            "unknown_until": None if unknown is None else _rfc3339(unknown),
        },
        "rows": [row.fields for row in rows],
    }


def _tell(rows: list[Row], head: Sequence[str], totals: "SpaceTotals", pulls: "PullTimes") -> None:
    from authproxy.cli.registry_run import printable

    table = [head, *([printable(column).replace("\n", "\\n") for column in row.columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    typer.echo(f"in all: {in_words(totals.bytes)} in {counted(totals.blobs, 'blob')}")
    for count, size, what in (
        (totals.unlinked_blobs, totals.unlinked_bytes, "that no repository holds: authproxy gc removes them"),
        (totals.trash_blobs, totals.trash_bytes, "in the trash alone"),
    ):
        if count:
            typer.echo(f"of that {in_words(size)} in {counted(count, 'blob')} {what}")
    if totals.uploads:
        typer.echo(f"uploads: {in_words(totals.upload_bytes)} in {totals.uploads}, beside that")
    began, unknown = pulls.records_began(), pulls.unknown_until()
    if began is None:
        typer.echo("pulls: not recorded in this storage")
    else:
        typer.echo(f"pulls: recorded since {_moment(began)}")
    if unknown is not None:
        typer.echo(f"pulls: some before {_moment(unknown)} may be missing: a process was killed")


def _who(moment: datetime | None, by: str | None) -> str:
    """The name of a caller; "-" where none is recorded."""
    return "-" if moment is None or by is None else by or "anonymous"


def _moment(moment: datetime | None) -> str:
    return "-" if moment is None else moment.strftime("%Y-%m-%d %H:%M")


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _reason(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(cause, OSError):
        return f"{cause.filename or 'a temporary file'}: {cause.strerror or cause}; what it holds is not counted"
    return str(error)
