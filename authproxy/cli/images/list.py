"""`authproxy images list`: every image of a registry, a line each, while it is read."""

import shlex
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from authproxy.cli.examples import examples
from authproxy.cli.registry_options import (
    Ca,
    Json,
    PasswordStdin,
    PlainHttp,
    User,
    open_registries,
    parse_name,
    parse_registry,
    plain_name,
)
from authproxy.cli.registry_run import Report, printable, remote_faults, run
from authproxy.program import command

if TYPE_CHECKING:
    from authproxy.images.details import Details
    from authproxy.images.registries import Registries
    from authproxy.registry_client.client import RegistryClient

EXAMPLES = examples(
    "authproxy images list r.example.org",
    "authproxy images list --long --filter 'team/*:v1.*' r.example.org",
    "authproxy images list --tree localhost:5000",
    "authproxy images list ghcr.io/owner/app",
)

# How many repositories, and with --long images, are read at the same time.
AHEAD = 8


class Tagged(NamedTuple):
    """One line."""

    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


def list_images(
    registry: Annotated[
        str,
        typer.Argument(
            metavar="REGISTRY", help="A host, with a port where it has one, or one repository: HOST/REPOSITORY."
        ),
    ],
    *,
    pattern: Annotated[
        str | None,
        typer.Option("--filter", metavar="GLOB", help="Only these: team/*, team/*:v1.*; * matches slashes too."),
    ] = None,
    long: Annotated[bool, typer.Option("--long", help="With digest, size, date and platforms.")] = False,
    tree: Annotated[bool, typer.Option("--tree", help="Tags below their repository.")] = False,
    user: User = None,
    password_stdin: PasswordStdin = False,
    ca: Ca = None,
    plain_http: PlainHttp = False,
    as_json: Json = False,
) -> None:
    """List every image of a registry as repository:tag, one a line, as soon as it is known.

    A registry that does not list its repositories, as ghcr.io, is asked for one of them. Exit code: 0 all were read,
    1 something could not be, 2 the command is wrong.
    """
    if tree and as_json:
        raise typer.BadParameter("--json has a line for each image, and no tree", param_hint="--tree")
    host, repository = _parse(registry)
    registries = open_registries(user, ca, host, password_stdin=password_stdin, plain_http=plain_http)
    report = Report(as_json=as_json)
    run(_list(registries, host, repository, report, pattern, long=long, tree=tree), report, registry)


def _parse(text: str) -> tuple[str, str | None]:
    from authproxy.images.names import is_pattern

    bare = plain_name(text, "REGISTRY")
    is_api = "://" in text and bare.rstrip("/").endswith(("/v1", "/v2"))
    if "/" not in bare.rstrip("/") or is_api:
        return parse_registry(text), None
    if is_pattern(bare):
        host, _, pattern = bare.partition("/")
        raise typer.BadParameter(
            f"{text}: a pattern is given by --filter: {command(f'images list --filter {shlex.quote(pattern)} {host}')}",
            param_hint="REGISTRY",
        )
    name = parse_name(bare.rstrip("/"))
    if "@" in bare or ":" in bare.rpartition("/")[2]:
        raise typer.BadParameter(
            f"{text}: a repository is named without a tag; `authproxy images inspect` shows one image",
            param_hint="REGISTRY",
        )
    return name.host, name.repository


async def _list(
    registries: "Registries",
    host: str,
    only: str | None,
    report: Report,
    pattern: str | None,
    *,
    long: bool,
    tree: bool,
) -> None:
    async with registries:
        names = _names(await registries.open(host, only or ""), only, pattern, report)
        before = None
        async for tagged, details in _with_details(registries, host, names, report) if long else _without(names):
            if tree and tagged.repository != before:
                typer.echo(printable(tagged.repository))
            before = tagged.repository
            _tell(tagged, details, f"  {tagged.tag}" if tree else str(tagged), report)


async def _names(
    client: "RegistryClient", only: str | None, pattern: str | None, report: Report
) -> AsyncIterator[Tagged]:
    """The matching images in the registry's order. Reads the first page of tags of several repositories ahead."""
    from authproxy.images.listing import find_repositories, tag_pages
    from authproxy.images.names import matches
    from authproxy.images.ordered import in_order

    async def begin(repository: str) -> tuple[list[str], AsyncIterator[list[str]]]:
        pages = tag_pages(client, repository, may_be_missing=only is None)
        return await anext(pages, []), pages

    repositories = _one(only) if only is not None else find_repositories(client, pattern)
    async for repository, begun in in_order(repositories, begin, at_once=AHEAD):
        try:
            page, pages = begun.result()
            while page:
                for tag in page:
                    if pattern is None or matches(pattern, f"{repository}:{tag}"):
                        yield Tagged(repository, tag)
                page = await anext(pages, [])
        except remote_faults() as error:
            report.fail(f"{client.host}/{repository}", error)


async def _one(repository: str) -> AsyncIterator[str]:
    yield repository


async def _without(names: AsyncIterator[Tagged]) -> "AsyncIterator[tuple[Tagged, Details | None]]":
    async for tagged in names:
        yield tagged, None


async def _with_details(
    registries: "Registries", host: str, names: AsyncIterator[Tagged], report: Report
) -> "AsyncIterator[tuple[Tagged, Details | None]]":
    from authproxy.images.details import read_details
    from authproxy.images.ordered import in_order

    async def read(tagged: Tagged) -> "Details":
        return await read_details(await registries.repository(host, tagged.repository), tagged.tag)

    async for tagged, reading in in_order(names, read, at_once=AHEAD):
        try:
            details = reading.result()
        except remote_faults() as error:
            report.fail(str(tagged), error)
            continue
        yield tagged, details


def _tell(tagged: Tagged, details: "Details | None", shown: str, report: Report) -> None:
    from authproxy.cli.output import in_words

    fields = {"name": str(tagged), "repository": tagged.repository, "tag": tagged.tag}
    if details is None:
        report.say(shown, **fields)
        return
    created, digest = details.created, str(details.manifest.digest)
    text = created.strftime("%Y-%m-%d %H:%M") if created else "-"
    columns = (shown, digest, in_words(details.size), text, ",".join(details.platforms) or "-")
    report.say(
        "  ".join(columns),
        **fields,
        digest=digest,
        size=details.size,
        created=None if created is None else created.isoformat(),
        platforms=details.platforms,
    )
