"""`authproxy images push`: images in files, or in the local docker daemon, into a registry."""

import os
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
    plain_file,
)
from authproxy.cli.registry_run import Report, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from authproxy.images.push import Failed, Pushed, Pusher

EXAMPLES = examples(
    "authproxy images push app.tar r.example.org",
    "authproxy images push app.tar r.example.org/team/app:v2",
    "authproxy images push saved/ r.example.org/mirror/",
    "authproxy images push --docker 'team/*' r.example.org",
)


def push(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE... DST", help="Archives or folders of them; with --docker, patterns of names."),
    ],
    *,
    docker: Annotated[bool, typer.Option("--docker", help="Push what the local docker daemon holds.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be pushed, and push nothing.")] = False,
    user: User = None,
    password_stdin: PasswordStdin = False,
    ca: Ca = None,
    plain_http: PlainHttp = False,
    jobs: Jobs = 4,
    chunk_size: ChunkSize = None,
    as_json: Json = False,
) -> None:
    """Push images out of archives, or out of the docker daemon, into a registry.

    An archive is what docker save, podman save, buildah and skopeo write, plain or compressed with gzip or zstd, or
    an OCI image layout. DST is a registry, or a prefix that ends with a slash: images keep their names below it,
    and a registry in their names is replaced. Any other DST is the one repository that one image goes to. What is
    there already is not pushed again. Signatures and SBOMs that a layout has for its images go with them.
    Compressed archives and plain layers take room below TMPDIR.

    Exit code: 0 all is there, 1 something is not, or there was nothing to push, 2 the command is wrong.
    """
    *given, destination = sources
    if not given and not docker:
        raise typer.BadParameter("name what to push and then where to, or --docker", param_hint="SOURCE... DST")
    for text in given:
        plain_file(text, "SOURCE")
    destination, host = parse_destination(destination)
    registries = open_registries(
        user, ca, host, password_stdin=password_stdin, plain_http=plain_http, chunk_size=chunk_size
    )
    report = Report(as_json=as_json)

    async def work() -> None:
        import asyncio

        from authproxy.images.push import Pusher

        async with registries:
            with shown() as progress:
                pusher = Pusher(destination, registries.to_push, dry_run, asyncio.Semaphore(jobs), progress)
                await _tell(_push_local(pusher, given) if docker else _push_files(pusher, given), report)

    run(work(), report, "docker" if docker else destination)


def _push_files(pusher: "Pusher", given: "Sequence[str]") -> "AsyncIterator[Pushed | Failed]":
    return pusher.push_archives([Path(text) for text in given])


async def _push_local(pusher: "Pusher", patterns: "Sequence[str]") -> "AsyncIterator[Pushed | Failed]":
    from authproxy.images.daemon import find_socket, open_daemon

    async with open_daemon(find_socket(os.environ)) as daemon:
        async for outcome in pusher.push_local(daemon, patterns):
            yield outcome


async def _tell(outcomes: "AsyncIterator[Pushed | Failed]", report: Report) -> None:
    """Print each outcome as it comes."""
    from authproxy.images.push import Pushed

    async for outcome in outcomes:
        if not isinstance(outcome, Pushed):
            report.fail(outcome.what, outcome.why)
            continue
        digest = None if outcome.digest is None else str(outcome.digest)
        line = " ".join(word for word in (outcome.outcome, outcome.name, digest) if word)
        report.say(
            with_referrers(line, outcome.referrers),
            name=outcome.name,
            outcome=outcome.outcome,
            digest=digest,
            moved_bytes=outcome.moved_bytes,
            referrers=outcome.referrers,
        )
