"""`authproxy images tag`: another name for an image in its registry, without a transfer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.examples import examples
from authproxy.cli.registry_options import Ca, Json, PasswordStdin, PlainHttp, User, open_registries, parse_name
from authproxy.cli.registry_run import Report, run

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from authproxy.digest import Digest
    from authproxy.images.registries import Registries
    from authproxy.images.repository import RegistryRepository
    from authproxy.oci.image_name import ImageName
    from authproxy.oci.manifest import Descriptor, Manifest

EXAMPLES = examples(
    "authproxy images tag r.example.org/app:v1.2.3 r.example.org/app:stable",
    "authproxy images tag r.example.org/app:v1 r.example.org/release/app:v1",
)


def tag(
    name: Annotated[str, typer.Argument(metavar="SRC", help="An image, by a tag or a digest.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its new name, in the same registry.")],
    *,
    user: User = None,
    password_stdin: PasswordStdin = False,
    ca: Ca = None,
    plain_http: PlainHttp = False,
    as_json: Json = False,
) -> None:
    """Give an image another name in its registry. In another repository its blobs are mounted, never moved."""
    source, target = parse_name(name), parse_name(new)
    if source.host != target.host:
        raise typer.BadParameter("it is in another registry: that takes `authproxy images copy`", param_hint="NEW")
    if target.tag is None or target.digest is not None:
        raise typer.BadParameter("a new name is repository:tag, without a digest", param_hint="NEW")
    registries = open_registries(user, ca, source.host, password_stdin=password_stdin, plain_http=plain_http)
    report = Report(as_json=as_json)
    run(_tag(registries, source, target, report), report, new)


async def _tag(registries: "Registries", source: "ImageName", target: "ImageName", report: Report) -> None:
    from authproxy.images.transfer import transfer_image

    async with registries:
        origin = await registries.to_pull(source)
        repository, new_tag = await registries.to_push(str(target), source)
        manifest = await origin.manifest(source.digest or source.reference)
        destination = _MountOnly(repository, str(target))
        await transfer_image(origin, destination, manifest, new_tag)
    report.say(f"tagged {target} {manifest.digest}", name=str(target), digest=str(manifest.digest))


@dataclass(frozen=True, slots=True)
class _MountOnly:
    """A MountingDestination that only accepts cross-repository mounts; it never uploads blob data."""

    repository: "RegistryRepository"
    name: str

    async def has(self, descriptor: "Descriptor") -> bool:
        return await self.repository.has(descriptor)

    def lock(self, digest: "Digest") -> "asyncio.Lock":
        return self.repository.lock(digest)

    async def mount(self, descriptor: "Descriptor") -> bool:
        return await self.repository.mount(descriptor)

    async def put_blob(self, descriptor: "Descriptor", chunks: "AsyncIterator[bytes]", start: int = 0) -> None:
        """Always raises TransferError: `images tag` transfers no blobs."""
        from authproxy.images.transfer import TransferError

        del chunks, start
        await self.repository.cancel_upload(descriptor)
        raise TransferError(
            f"{self.name}: the registry does not hand {descriptor.digest} on from the other repository;"
            " `authproxy images copy` moves it"
        )

    async def put_manifest(self, manifest: "Manifest", reference: str | None) -> None:
        await self.repository.put_manifest(manifest, reference)
