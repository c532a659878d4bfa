"""`authproxy images push`: images in files, or in the local docker daemon, into a registry."""

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.bars import shown
from authproxy.cli.faults import tell
from authproxy.cli.remote_options import Ca, Jobs, Json, PasswordStdin, PlainHttp, User, open_registries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from authproxy.images.push import Failed, Pushed, Pusher

EXAMPLES = """Examples:

  authproxy images push app.tar registry.example.org

  authproxy images push app.tar registry.example.org/team/app:v2

  authproxy images push saved/ registry.example.org/mirror/

  authproxy images push --docker 'team/*' registry.example.org
"""


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
    as_json: Json = False,
) -> None:
    """Push images out of archives, or out of the docker daemon, into a registry.

    An archive is what docker save, podman save, buildah and skopeo write, plain or packed with gzip or zstd, or an OCI
    image layout. DST is a registry, or a prefix that ends with a slash: images keep their names below it, and a
    registry in their names is replaced. Any other DST is the one repository that one image goes to. What is there
    already is not pushed again. Packed archives and layers take room below TMPDIR.
    """
    from authproxy.images.push import Pusher

    *given, destination = sources
    if not given and not docker:
        raise typer.BadParameter("name what to push and then where to, or --docker", param_hint="SOURCE... DST")
    registries = open_registries(user, ca, password_stdin=password_stdin, plain_http=plain_http)

    async def run() -> bool:
        async with registries:
            with shown() as progress:
                pusher = Pusher(destination, registries.to_push, dry_run, jobs, progress)
                return await _tell(
                    _push_local(pusher, given) if docker else _push_files(pusher, given), as_json=as_json
                )

    if not asyncio.run(run()):
        raise typer.Exit(1)


def _push_files(pusher: "Pusher", given: "Sequence[str]") -> "AsyncIterator[Pushed | Failed]":
    return pusher.push_archives([Path(text) for text in given])


async def _push_local(pusher: "Pusher", patterns: "Sequence[str]") -> "AsyncIterator[Pushed | Failed]":
    from authproxy.images.daemon.address import find_socket
    from authproxy.images.daemon.client import open_daemon
    from authproxy.images.daemon.faults import DaemonError
    from authproxy.images.push import Failed

    try:
        async with open_daemon(find_socket(os.environ)) as daemon:
            async for outcome in pusher.push_local(daemon, patterns):
                yield outcome
    except DaemonError as error:
        yield Failed("docker", str(error))


async def _tell(outcomes: "AsyncIterator[Pushed | Failed]", *, as_json: bool) -> bool:
    """Print each outcome as it comes. False where one is a failure."""
    from authproxy.images.push import Pushed

    is_good = True
    async for outcome in outcomes:
        if isinstance(outcome, Pushed):
            typer.echo(_as_json(outcome) if as_json else _in_words(outcome))
            continue
        is_good = False
        if as_json:
            typer.echo(json.dumps({"name": outcome.what, "outcome": "failed", "why": outcome.why}))
        tell(Exception(outcome.why if outcome.why.startswith(outcome.what) else f"{outcome.what}: {outcome.why}"))
    return is_good


def _in_words(pushed: "Pushed") -> str:
    digest = "" if pushed.digest is None else f" {pushed.digest}"
    return f"{pushed.outcome} {pushed.name}{digest}"


def _as_json(pushed: "Pushed") -> str:
    digest = None if pushed.digest is None else str(pushed.digest)
    return json.dumps(
        {"name": pushed.name, "outcome": pushed.outcome, "digest": digest, "moved_bytes": pushed.moved_bytes}
    )
