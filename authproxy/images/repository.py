"""One repository of a registry, as a source and a destination: OCI Distribution 1.1."""

from collections.abc import AsyncIterator

import httpx

from authproxy.access import delete, pull, push
from authproxy.digest import Digest, parse_digest
from authproxy.errors import DigestInvalid
from authproxy.images.content import Interrupted, Missing
from authproxy.images.model import Descriptor, Manifest, UnreadableManifest
from authproxy.registry.manifest import IMAGES, INDEXES
from authproxy.remote.client import PASSING, RegistryClient
from authproxy.remote.faults import RemoteError, refused

OK, CREATED, ACCEPTED, NO_CONTENT, PARTIAL = 200, 201, 202, 204, 206
NOT_FOUND, NOT_ALLOWED = 404, 405

# Registries take 4 MiB; a few say they take more.
MAX_MANIFEST_BYTES = 16 << 20
PIECE_BYTES = 1 << 18

_ACCEPTED = {"Accept": ", ".join((*IMAGES, *INDEXES))}

# A blob that breaks off is gone on with where it was, so often without a byte in between.
RESUMES = 5


class RemoteRepository:
    """Images of one repository. `may_push` says which token is asked for. Every method raises RemoteError."""

    def __init__(self, registry: RegistryClient, repository: str, *, may_push: bool) -> None:
        self._registry = registry
        self._repository = repository
        self._place = f"{registry.host}/{repository}"
        self._needs = (pull(repository), push(repository)) if may_push else (pull(repository),)
        self._deletes = (*self._needs, delete(repository))

    async def manifest(self, reference: str | Digest) -> Manifest:
        """See Source: by a tag or a digest."""
        what = f"{self._place} {reference}"
        url = await self._url(f"manifests/{reference}")
        async with self._registry.streamed("GET", url, self._needs, headers=_ACCEPTED) as answer:
            content = await _read_bounded(answer, what)
        if answer.status_code == NOT_FOUND:
            raise Missing(f"{what}: the registry has no such image")
        if answer.status_code != OK:
            raise refused(answer, what)
        digest = reference if isinstance(reference, Digest) else None
        if digest is not None and Digest.of(content, digest.algorithm) != digest:
            raise RemoteError(f"{what}: the registry sent another manifest, {Digest.of(content)}")
        try:
            return Manifest.read(content, answer.headers.get("content-type", "").partition(";")[0] or None, digest)
        except UnreadableManifest as error:
            raise RemoteError(f"{what}: {error}") from error

    async def blob(self, descriptor: Descriptor, start: int = 0) -> AsyncIterator[bytes]:
        """See Source: gone on with where it broke off."""
        what = f"{self._place} {descriptor.digest}"
        url = await self._url(f"blobs/{descriptor.digest}")
        broken = 0
        while start < descriptor.size or not descriptor.size:
            headers = {"Range": f"bytes={start}-"} if start else {}
            async with self._registry.streamed("GET", url, self._needs, headers=headers) as answer:
                if answer.status_code != (PARTIAL if start else OK):
                    raise await _blob_fault(answer, what)
                try:
                    async for piece in answer.aiter_raw(PIECE_BYTES):
                        start += len(piece)
                        broken = 0
                        yield piece
                except httpx.TransportError as error:
                    broken += 1
                    if broken > RESUMES:
                        raise RemoteError(f"{what}: it broke off at {start} of {descriptor.size} bytes") from error
                else:
                    return

    async def has(self, descriptor: Descriptor) -> bool:
        """See Destination."""
        kind = "manifests" if descriptor.media_type in (*IMAGES, *INDEXES) else "blobs"
        url = await self._url(f"{kind}/{descriptor.digest}")
        answer = await self._registry.ask("HEAD", url, self._needs, headers={"Accept": descriptor.media_type})
        if answer.status_code not in {OK, NOT_FOUND}:
            raise refused(answer, f"{self._place} {descriptor.digest}")
        return answer.status_code == OK

    async def put_blob(self, descriptor: Descriptor, chunks: AsyncIterator[bytes]) -> None:
        """See Destination: in an upload of one request."""
        what = f"{self._place} {descriptor.digest}"
        session = await self._open_upload(what)
        headers = {"Content-Length": str(descriptor.size), "Content-Type": "application/octet-stream"}
        url = session.copy_merge_params({"digest": str(descriptor.digest)})
        try:
            answer = await self._registry.send_once("PUT", url, self._needs, headers=headers, content=chunks)
            await answer.aread()
        except httpx.TransportError as error:
            raise Interrupted(f"{what}: the upload broke off: {str(error) or type(error).__name__}") from error
        if answer.status_code in PASSING:
            raise Interrupted(f"{what}: HTTP {answer.status_code}")
        if answer.status_code != CREATED:
            raise refused(answer, what)

    async def put_manifest(self, manifest: Manifest, reference: str | None) -> None:
        """See Destination: `reference` is a tag."""
        name = reference or str(manifest.digest)
        url = await self._url(f"manifests/{name}")
        answer = await self._registry.ask(
            "PUT", url, self._needs, headers={"Content-Type": manifest.media_type}, content=manifest.content
        )
        if answer.status_code != CREATED:
            raise refused(answer, f"{self._place}:{name}" if reference else f"{self._place}@{name}")

    async def mount_from(self, descriptor: Descriptor, repository: str) -> bool:
        """See Mounts: OCI Distribution 1.1, "Mounting a blob from another repository"."""
        what = f"{self._place} {descriptor.digest}"
        url = (await self._url("blobs/uploads/")).copy_merge_params(
            {"mount": str(descriptor.digest), "from": repository}
        )
        answer = await self._registry.ask("POST", url, (*self._needs, pull(repository)))
        if answer.status_code == CREATED:
            return True
        if answer.status_code != ACCEPTED or "location" not in answer.headers:
            raise refused(answer, what)
        # An upload was begun in its place, which nobody will go on with.
        await self._registry.ask("DELETE", answer.url.join(answer.headers["location"]), self._needs)
        return False

    async def find_digest(self, reference: str | Digest) -> Digest | None:
        """The digest of what a tag or a digest names here. None where there is no such manifest."""
        url = await self._url(f"manifests/{reference}")
        answer = await self._registry.ask("HEAD", url, self._needs, headers=_ACCEPTED)
        if answer.status_code == NOT_FOUND:
            return None
        if answer.status_code != OK:
            raise refused(answer, f"{self._place} {reference}")
        try:
            return parse_digest(answer.headers.get("docker-content-digest", ""))
        except DigestInvalid:  # a registry that leaves the header out: the content tells
            return (await self.manifest(reference)).digest

    async def referrers(self, digest: Digest) -> tuple[Descriptor, ...]:
        """What refers to a manifest (OCI Distribution 1.1, "Listing Referrers"); none where no registry tells."""
        what = f"{self._place}@{digest}"
        answer = await self._registry.ask("GET", await self._url(f"referrers/{digest}"), self._needs)
        if answer.status_code == NOT_FOUND:  # registries before OCI 1.1 keep a tag in its place
            try:
                return (await self.manifest(str(digest).replace(":", "-"))).children
            except Missing:
                return ()
        if answer.status_code != OK:
            raise refused(answer, what)
        try:
            return Manifest.read(answer.content).children
        except UnreadableManifest as error:
            raise RemoteError(f"{what}: its referrers cannot be read: {error}") from error

    async def delete(self, digest: Digest) -> None:
        """Delete a manifest, and with it every tag that names it (OCI Distribution 1.1, "Deleting manifests")."""
        what = f"{self._place}@{digest}"
        answer = await self._registry.ask("DELETE", await self._url(f"manifests/{digest}"), self._deletes)
        if answer.status_code == NOT_ALLOWED:
            raise RemoteError(
                f"{what}: the registry deletes nothing (CNCF Distribution and authproxy: storage.delete.enabled)",
                answer.status_code,
            )
        if answer.status_code not in {OK, ACCEPTED, NO_CONTENT}:
            raise refused(answer, what)

    async def _open_upload(self, what: str) -> httpx.URL:
        answer = await self._registry.ask("POST", await self._url("blobs/uploads/"), self._needs)
        if answer.status_code != ACCEPTED or "location" not in answer.headers:
            raise refused(answer, what)
        return answer.url.join(answer.headers["location"])

    async def _url(self, path: str) -> httpx.URL:
        return await self._registry.address(f"/v2/{self._repository}/{path}")


async def _read_bounded(answer: httpx.Response, what: str) -> bytes:
    content = bytearray()
    async for piece in answer.aiter_bytes():
        content += piece
        if len(content) > MAX_MANIFEST_BYTES:
            raise RemoteError(f"{what}: the registry sent more than {MAX_MANIFEST_BYTES} bytes as a manifest")
    return bytes(content)


async def _blob_fault(answer: httpx.Response, what: str) -> Exception:
    await answer.aread()
    if answer.status_code == NOT_FOUND:
        return Missing(f"{what}: the registry has no such blob")
    return refused(answer, what)
