"""`authproxy images copy`: images from registry to registry, or within one, whole repositories by a pattern."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.examples import examples
from authproxy.cli.images.progress import shown
from authproxy.cli.output import with_referrers
from authproxy.cli.registry_options import (
    Ca,
    ChunkSize,
    Jobs,
    Json,
    PasswordStdin,
    PlainHttp,
    User,
    open_registries,
    parse_destination,
    parse_name,
    parse_platform,
    plain_name,
)
from authproxy.cli.registry_run import Report, remote_faults, run
from authproxy.program import command

if TYPE_CHECKING:
    from authproxy.images.copying import Copied, Copier
    from authproxy.images.registries import Registries

EXAMPLES = examples(
    "authproxy images copy r.example.org/team/app:v1 m.example.org/team/app:v1",
    "authproxy images copy 'r.example.org/team/*' m.example.org/",
    "authproxy images copy --platform linux/arm64 alpine r.example.org/base/",
    "authproxy images copy --dry-run 'r.example.org/*:v2.*' m.example.org/old/",
)

# Images that are copied concurrently: small ones mostly wait for responses.
AT_ONCE = 4

# Endings of files that people take for images.
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.zst")


def copy(
    source: Annotated[
        str,
        typer.Argument(metavar="SRC", help="An image, or a pattern: host/team/*, host/*:v1; * matches slashes too."),
    ],
    destination: Annotated[
        str, typer.Argument(metavar="DST", help="A name, or a registry or a prefix/ below which names are kept.")
    ],
    *,
    platform: Annotated[str | None, typer.Option(help="One platform, linux/arm64. Default: all of them.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be copied, and copy nothing.")] = False,
    no_referrers: Annotated[
        bool, typer.Option("--no-referrers", help="Leave signatures, SBOMs and other referrers behind.")
    ] = False,
    user: User = None,
    password_stdin: PasswordStdin = False,
    ca: Ca = None,
    plain_http: PlainHttp = False,
    jobs: Jobs = 4,
    chunk_size: ChunkSize = None,
    as_json: Json = False,
) -> None:
    """Copy images to another registry, or within one, where blobs are mounted in place of moved.

    Signatures, SBOMs and whatever else refers to an image, or is tagged with its digest as cosign does, come with it.
    What is there already is left as it is, so a copy that was broken off goes on where it was. --user is for the
    registry of DST, and for that of SRC only where it is the same. Exit code: 0 all were copied, 1 something could not
    be, 2 the command is wrong.
    """
    from authproxy.images.names import is_pattern, is_prefix

    if source.endswith(_ARCHIVES) and ("/" not in source or Path(source).is_file()):
        raise typer.BadParameter(
            f"{source} is a file: {command(f'images push {shlex.quote(source)} {shlex.quote(destination)}')}",
            param_hint="SRC",
        )
    source = plain_name(source, "SRC")
    destination, host = parse_destination(destination)
    if is_pattern(source) and not is_prefix(destination):
        raise typer.BadParameter("several images need a registry, or a prefix that ends with /", param_hint="DST")
    if not is_pattern(source):
        parse_name(source)
    chosen = parse_platform(platform)
    registries = open_registries(
        user, ca, host, password_stdin=password_stdin, plain_http=plain_http, chunk_size=chunk_size
    )
    report = Report(as_json=as_json)

    async def work() -> None:
        import asyncio

        from authproxy.images.copying import Copier

        async with registries:
            with shown() as progress:
                turns = asyncio.Semaphore(jobs)
                copier = Copier(
                    registries, destination, chosen, dry_run, turns, progress, has_referrers=not no_referrers
                )
                await _copy(registries, copier, source, report)

    run(work(), report, source)


async def _copy(registries: "Registries", copier: "Copier", source: str, report: Report) -> None:
    from authproxy.images.copying import find_sources
    from authproxy.images.ordered import in_order

    found = False
    async for name, copying in in_order(find_sources(registries, source), copier.copy, at_once=AT_ONCE):
        found = True
        try:
            _tell(copying.result(), report)
        except remote_faults() as error:
            report.fail(str(name), error)
    if not found:
        report.fail(source, "there is no such image")


def _tell(copied: "Copied", report: Report) -> None:
    report.say(
        with_referrers(f"{copied.outcome} {copied.name} {copied.digest}", copied.referrers),
        name=copied.name,
        outcome=copied.outcome,
        digest=str(copied.digest),
        moved_bytes=copied.moved_bytes,
        referrers=copied.referrers,
    )
