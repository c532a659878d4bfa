"""`authproxy images list`: every image of a registry, a line each, while it is read."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.remote_options import Ca, Json, PasswordStdin, PlainHttp, User, open_registries
from authproxy.cli.remote_run import Report, remote_faults, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from authproxy.images.registries import Registries
    from authproxy.remote.client import RegistryClient

EXAMPLES = """Examples:

  authproxy images list registry.example.org

  authproxy images list --filter 'team/*:v1.*' --long registry.example.org

  authproxy images list --tree localhost:5000
"""

# Repositories whose tags are read ahead of the one that is printed.
AHEAD = 8


def list_images(
    registry: Annotated[str, typer.Argument(metavar="REGISTRY", help="A host, with a port where it has one.")],
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

    Exit code: 0 all were read, 1 something could not be, 2 the command is wrong.
    """
    if tree and as_json:
        raise typer.BadParameter("--json has a line for each image, and no tree", param_hint="--tree")
    registries = open_registries(user, ca, password_stdin=password_stdin, plain_http=plain_http)
    report = Report(as_json=as_json)
    run(_list(registries, registry, report, pattern, long=long, tree=tree), report, registry)


async def _list(
    registries: "Registries", host: str, report: Report, pattern: str | None, *, long: bool, tree: bool
) -> None:
    from authproxy.images.pattern import means

    async with registries:
        client = await registries.open(host)
        async for repository, names in _tags_of_all(client, report):
            wanted = [tag for tag in names if pattern is None or means(pattern, f"{repository}:{tag}")]
            if tree and wanted:
                typer.echo(repository)
            if long:
                await _tell_details(registries, host, repository, wanted, report, tree=tree)
                continue
            for tag in wanted:
                name = f"{repository}:{tag}"
                report.say(f"  {tag}" if tree else name, name=name, repository=repository, tag=tag)


async def _tags_of_all(client: "RegistryClient", report: Report) -> "AsyncIterator[tuple[str, list[str]]]":
    """Repositories in the registry's order, each with its tags; a few are read ahead."""
    from authproxy.images.listing import repositories, tags

    async def read(repository: str) -> list[str]:
        return [tag async for tag in tags(client, repository)]

    ahead: deque[tuple[str, asyncio.Task[list[str]]]] = deque()

    async def next_one() -> tuple[str, list[str]]:
        repository, task = ahead.popleft()
        try:
            return repository, await task
        except remote_faults() as error:
            report.fail(repository, error)
            return repository, []

    try:
        async for repository in repositories(client):
            ahead.append((repository, asyncio.create_task(read(repository))))
            if len(ahead) > AHEAD:
                yield await next_one()
        while ahead:
            yield await next_one()
    finally:
        for _, task in ahead:
            task.cancel()
        await asyncio.gather(*(task for _, task in ahead), return_exceptions=True)


async def _tell_details(
    registries: "Registries", host: str, repository: str, names: list[str], report: Report, *, tree: bool
) -> None:
    from authproxy.cli.sizes import in_words
    from authproxy.images.details import read_details

    source = await registries.repository(host, repository)
    for tag in names:
        name = f"{repository}:{tag}"
        try:
            details = await read_details(source, tag)
        except remote_faults() as error:
            report.fail(name, error)
            continue
        created = details.created.strftime("%Y-%m-%d %H:%M") if details.created else "-"
        platforms = ",".join(details.platforms) or "-"
        report.say(
            "  ".join(
                (f"  {tag}" if tree else name, str(details.manifest.digest), in_words(details.size), created, platforms)
            ),
            name=name,
            repository=repository,
            tag=tag,
            digest=str(details.manifest.digest),
            size=details.size,
            created=None if details.created is None else details.created.isoformat(),
            platforms=details.platforms,
        )
