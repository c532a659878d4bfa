"""`authproxy images pull`: images out of registries into a file, or into the local docker daemon."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.examples import examples
from authproxy.cli.images.progress import shown
from authproxy.cli.registry_options import (
    Ca,
    Jobs,
    Json,
    PasswordStdin,
    PlainHttp,
    User,
    open_registries,
    parse_name,
    parse_platform,
    plain_file,
)
from authproxy.cli.registry_run import Report, run
from authproxy.images.archive.output import ArchiveFormat, Target, parse_target

if TYPE_CHECKING:
    from asyncio import Semaphore
    from collections.abc import Sequence

    from authproxy.images.archive.staging import Staging
    from authproxy.images.endpoints import Source
    from authproxy.images.registries import Registries
    from authproxy.images.transfer import Progress, TransferResult
    from authproxy.oci.image_name import ImageName
    from authproxy.oci.manifest import Platform

EXAMPLES = examples(
    "authproxy images pull r.example.org/team/app:v1 -o app.tar",
    "authproxy images pull r.example.org/app r.example.org/db -o both.oci.tar",
    "authproxy images pull --docker r.example.org/team/app:v1",
)

# Go's names for the machines of Python's platform module.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def pull(
    names: Annotated[list[str], typer.Argument(metavar="REF", help="Names of images, with a registry.")],
    *,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="The file: NAME.tar, NAME.oci.tar, with .gz or .zst; NAME/; - for stdout."),
    ] = None,
    form: Annotated[
        ArchiveFormat | None, typer.Option("--format", help="docker: what docker load takes. oci: an OCI image layout.")
    ] = None,
    docker: Annotated[bool, typer.Option("--docker", help="Load them into the local docker daemon.")] = False,
    platform: Annotated[
        str | None,
        typer.Option(help="One platform, linux/arm64. Default: this machine's for docker, all for an OCI layout."),
    ] = None,
    user: User = None,
    password_stdin: PasswordStdin = False,
    ca: Ca = None,
    plain_http: PlainHttp = False,
    jobs: Jobs = 4,
    as_json: Json = False,
) -> None:
    """Write images of registries into one archive, or load them into the docker daemon.

    Images are gathered in a hidden folder beside the file, which needs their room once more until it is written; the
    file gets its name when it is whole, and where one image fails there is none. Exit code: 0 it is written, 1 it is
    not, 2 the command is wrong.
    """
    wanted = [parse_name(name) for name in names]
    chosen = parse_platform(platform)
    if (output is None) != docker:
        raise typer.BadParameter("say where to: a file by -o, or --docker", param_hint="--output")
    target = None if output is None else _parse_output(output, form)
    if docker and form is ArchiveFormat.OCI:
        raise typer.BadParameter("the docker daemon is given what docker load takes", param_hint="--format")
    hosts = [name.host for name in wanted]
    registries = open_registries(user, ca, *hosts, password_stdin=password_stdin, plain_http=plain_http)
    # If standard output receives the archive, messages go to standard error.
    report = Report(as_json=as_json, err=target is not None and target.path is None)

    async def work() -> None:
        import asyncio

        turns = asyncio.Semaphore(jobs)
        for name, digest in await _pull_to(registries, wanted, target, chosen, turns):
            report.say(f"pulled {name} {digest}", name=name, outcome="pulled", digest=digest)

    try:
        run(work(), report, ", ".join(names))
    finally:
        if report.faults:
            typer.echo("authproxy: nothing was written", err=True)


async def _pull_to(
    registries: "Registries",
    names: "Sequence[ImageName]",
    target: Target | None,
    platform: "Platform | None",
    turns: "Semaphore",
) -> list[tuple[str, str]]:
    """Pull into a target, or, without one, into the local daemon. Returns names and digests."""
    if target is not None:
        return await _pull(registries, names, target, platform, turns)
    import tempfile

    with tempfile.TemporaryDirectory(prefix="authproxy-") as folder:
        archive = Path(folder) / "images.tar"
        lines = await _pull(registries, names, Target(archive, ArchiveFormat.DOCKER), platform, turns)
        await _load(archive)
    return lines


async def _pull(
    registries: "Registries",
    names: "Sequence[ImageName]",
    target: Target,
    platform: "Platform | None",
    turns: "Semaphore",
) -> list[tuple[str, str]]:
    import asyncio

    from authproxy.images.archive.staging import open_staging
    from authproxy.images.archive.writing import write_archive

    lines = []
    async with registries:
        with shown() as progress, open_staging(target) as stage:
            for name in names:
                source = await registries.to_pull(name)
                moved = await _pull_image(
                    source, stage, name, form=target.form, platform=platform, turns=turns, progress=progress
                )
                lines.append((name.familiar, str(moved.manifest.digest)))
            await asyncio.to_thread(write_archive, stage, target)
    return lines


async def _pull_image(
    source: "Source",
    stage: "Staging",
    name: "ImageName",
    *,
    form: ArchiveFormat,
    platform: "Platform | None",
    turns: "Semaphore",
    progress: "Progress",
) -> "TransferResult":
    """Stage one image under its familiar name: for one platform, or for all where the format can hold several.

    Raises what the source, the transfer and the archive raise.
    """
    from authproxy.images.transfer import choose_platform, transfer_image

    manifest = await source.manifest(name.digest or name.reference)
    if form is ArchiveFormat.DOCKER and platform is None:
        platform = _own_platform()
    if platform is not None:
        manifest = await choose_platform(source, manifest, platform)
    return await transfer_image(source, stage, manifest, name.familiar, turns=turns, progress=progress)


def _own_platform() -> "Platform":
    """The platform that docker on this machine runs."""
    import platform as machine

    from authproxy.oci.manifest import Platform

    name = machine.machine()
    return Platform("linux", _ARCHITECTURES.get(name, name))


async def _load(archive: Path) -> None:
    from authproxy.images.daemon import find_socket, open_daemon

    with archive.open("rb") as file:
        async with open_daemon(find_socket(os.environ)) as daemon:
            await daemon.load(file)


def _parse_output(text: str, form: ArchiveFormat | None) -> Target:
    plain_file(text, "--output")
    try:
        return parse_target(text, form, is_folder=Path(text).is_dir())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--output") from None
