"""One repository of a registry, as a source and a destination: OCI Distribution 1.1."""

import asyncio
from collections.abc import AsyncIterator

import httpx

from authproxy.access import delete, pull, push
from authproxy.digest import Digest, parse_digest
from authproxy.errors import DigestInvalid, ManifestInvalid, TagInvalid
from authproxy.images.endpoints import Missing
from authproxy.images.mount_candidates import MountCandidates
from authproxy.images.referrers import referrers_tag, with_referrer
from authproxy.images.upload import Upload, is_mounted, open_upload
from authproxy.oci.manifest import Descriptor, Manifest
from authproxy.oci.media_types import MANIFESTS, OCI_INDEX
from authproxy.reference import parse_tag
from authproxy.registry_client.client import RegistryClient
from authproxy.registry_client.errors import RegistryClientError, refused
from authproxy.registry_client.retry import pause_s
from authproxy.route import MANIFEST_LIST

OK, CREATED, ACCEPTED, NO_CONTENT, PARTIAL = 200, 201, 202, 204, 206
FORBIDDEN, NOT_FOUND, NOT_ALLOWED, SERVER_FAULT = 403, 404, 405, 500

_ACCEPTED = {"Accept": ", ".join(MANIFESTS)}

SUBJECT = "oci-subject"
_UNKNOWN_PATH = frozenset({NOT_FOUND, NOT_ALLOWED, 501})

# An interrupted download resumes; it may be interrupted this often without a byte in between.
RESUMES = 5

# Referrers of one manifest. A registry may link pages endlessly, each with a hundred thousand.
MAX_LISTED = 10_000


class Unreadable(RegistryClientError):
    """The registry has a manifest, but not one that can be understood."""


class NeededBy(RegistryClientError):
    """The registry keeps a manifest because another one, `namer`, names it."""

    def __init__(self, sentence: str, status: int, namer: Digest) -> None:
        super().__init__(sentence, status)
        self.namer = namer


class RegistryRepository:
    """Images of one repository, to read, and with `candidates` to write. Every method raises RegistryClientError.

    `origin` is a repository of the same registry that may have blobs for which no candidate is known. `chunk_bytes` is
    how much of a blob one request may send.
    """

    def __init__(
        self,
        registry: RegistryClient,
        repository: str,
        candidates: MountCandidates | None = None,
        *,
        origin: str | None = None,
        chunk_bytes: int | None = None,
    ) -> None:
        self._registry = registry
        self._repository = repository
        self.place = f"{registry.host}/{repository}"
        # All requests to a repository ask for the same access, so that one token is enough.
        self._needs = (pull(repository),) if candidates is None else (pull(repository), push(repository))
        self._deletes = (*self._needs, delete(repository))
        self._candidates = candidates or MountCandidates()
        self._origin = origin
        self._chunk_bytes = chunk_bytes
        self._uploads: dict[Digest, Upload] = {}  # open ones, to be resumed

    async def manifest(self, reference: str | Digest) -> Manifest:
        """See Source: by a tag or a digest."""
        what = self._name(reference)
        answer = await self._registry.ask(
            "GET", await self._url(f"manifests/{reference}"), self._needs, headers=_ACCEPTED
        )
        if answer.status_code == NOT_FOUND:
            raise Missing(f"{what}: the registry has no such image")
        if answer.status_code != OK:
            raise refused(answer, what)
        digest = reference if isinstance(reference, Digest) else None
        if digest is not None and Digest.of(answer.content, digest.algorithm) != digest:
            raise Unreadable(f"{what}: the registry sent another manifest, {Digest.of(answer.content)}")
        media_type = answer.headers.get("content-type", "").partition(";")[0]
        try:
            return Manifest.read(answer.content, media_type or None, digest)
        except ManifestInvalid as error:
            raise Unreadable(f"{what}: {error}") from error

    async def blob(self, descriptor: Descriptor, start: int = 0) -> AsyncIterator[bytes]:
        """See Source: resumes after an interruption."""
        what = self._name(descriptor.digest)
        url = await self._url(f"blobs/{descriptor.digest}")
        broken = 0
        while True:
            before = start
            headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
            async with self._registry.streamed("GET", url, self._needs, headers=headers) as answer:
                if answer.status_code not in (OK, PARTIAL):
                    raise await _blob_fault(answer, what)
                # A registry without support for ranges sends everything.
                skipped = start if answer.status_code == OK else 0
                try:
                    async for piece in answer.aiter_raw():
                        useful, skipped = piece[skipped:], max(skipped - len(piece), 0)
                        start += len(useful)
                        if start > descriptor.size:
                            raise RegistryClientError(
                                f"{what}: the registry sent more than the {descriptor.size} bytes in its manifest"
                            )
                        if useful:
                            yield useful
                except httpx.TransportError as error:
                    why = str(error)
                else:
                    why = "the response ended early"
            if start >= descriptor.size:
                return
            broken = 1 if start > before else broken + 1
            if broken > RESUMES:
                raise RegistryClientError(f"{what}: interrupted at {start} of {descriptor.size} bytes: {why}")
            await asyncio.sleep(pause_s(broken, None))

    async def has(self, descriptor: Descriptor) -> bool:
        """See Destination."""
        kind = "manifests" if descriptor.media_type in MANIFESTS else "blobs"
        url = await self._url(f"{kind}/{descriptor.digest}")
        answer = await self._registry.ask("HEAD", url, self._needs, headers={"Accept": descriptor.media_type})
        # Storage that a registry redirects to may reject HEAD: then the blob is sent.
        is_elsewhere = answer.status_code == FORBIDDEN and answer.url.host != url.host
        if answer.status_code not in {OK, NOT_FOUND} and not is_elsewhere:
            raise refused(answer, self._name(descriptor.digest))
        if answer.status_code == OK:
            self._candidates.learn(descriptor.digest, self._repository)
        return answer.status_code == OK

    def learn(self, manifest: Manifest) -> None:
        """Record that it has this image: its blobs can be mounted from here. An index itself names no blobs."""
        for blob in manifest.blobs:
            self._candidates.learn(blob.digest, self._repository)

    def lock(self, digest: Digest) -> asyncio.Lock:
        """See MountingDestination."""
        return self._candidates.lock(digest)

    async def mount(self, descriptor: Descriptor) -> bool:
        """See MountingDestination: OCI Distribution 1.1, "Mounting a blob from another repository"."""
        origin = self._candidates.find(descriptor.digest) or self._origin
        if origin is None or origin == self._repository:
            return False
        query = {"mount": str(descriptor.digest), "from": origin}
        url = (await self._url("blobs/uploads/")).copy_merge_params(query)
        answer = await self._registry.ask("POST", url, (*self._needs, pull(origin)))
        if is_mounted(answer):
            return True
        # The registry opened an upload instead, which `put_blob` continues.
        upload = open_upload(self._registry, self._needs, answer, self._name(descriptor.digest), self._chunk_bytes)
        if upload is not None:
            self._uploads[descriptor.digest] = upload
        return False

    async def put_blob(self, descriptor: Descriptor, chunks: AsyncIterator[bytes], start: int = 0) -> None:
        """See Destination."""
        upload = self._uploads.pop(descriptor.digest, None)
        if upload is None:
            what = self._name(descriptor.digest)
            answer = await self._registry.ask("POST", await self._url("blobs/uploads/"), self._needs)
            upload = open_upload(self._registry, self._needs, answer, what, self._chunk_bytes)
            if upload is None:
                raise refused(answer, what)
        self._uploads[descriptor.digest] = upload
        try:
            await upload.take(descriptor, chunks, start)
        finally:
            if not upload.can_resume:
                del self._uploads[descriptor.digest]
        self._candidates.learn(descriptor.digest, self._repository)

    async def cancel_upload(self, descriptor: Descriptor) -> None:
        """Cancel the open upload of a blob, if any."""
        upload = self._uploads.pop(descriptor.digest, None)
        if upload is not None:
            await upload.cancel()

    async def put_manifest(self, manifest: Manifest, reference: str | None) -> None:
        """See Destination: `reference` is a tag."""
        name = reference or str(manifest.digest)
        url = await self._url(f"manifests/{name}")
        answer = await self._registry.ask(
            "PUT", url, self._needs, headers={"Content-Type": manifest.media_type}, content=manifest.content
        )
        if answer.status_code != CREATED:
            raise refused(answer, self._name(reference or manifest.digest))
        # OCI Distribution 1.1, "Pushing Manifests with Subject": without this header the client maintains the list.
        if manifest.subject is not None and SUBJECT not in answer.headers:
            await self._list_referrer(manifest, manifest.subject.digest)

    async def _list_referrer(self, manifest: Manifest, subject: Digest) -> None:
        """Add a referrer to the tag that lists those of `subject`: "Referrers Tag Schema"."""
        tag = referrers_tag(subject)
        async with self._candidates.lock(subject):
            try:
                before = await self.manifest(tag)
            except Missing:
                before = None
            if before is not None and not before.is_index:
                raise RegistryClientError(
                    f"{self._name(tag)} should list referrers, but is not an index: {before.media_type}"
                )
            content = with_referrer(before, manifest)
            if content is not None:
                await self.put_manifest(Manifest.read(content, OCI_INDEX), tag)

    async def find_digest(self, reference: str | Digest) -> Digest | None:
        """The digest of the manifest with this tag or digest, if any."""
        url = await self._url(f"manifests/{reference}")
        answer = await self._registry.ask("HEAD", url, self._needs, headers=_ACCEPTED)
        if answer.status_code == NOT_FOUND:
            return None
        if answer.status_code != OK:
            raise refused(answer, self._name(reference))
        try:
            return parse_digest(answer.headers.get("docker-content-digest", ""))
        except DigestInvalid:  # a registry that omits the header: hash the content
            return (await self.manifest(reference)).digest

    async def referrers(self, digest: Digest) -> tuple[Descriptor, ...]:
        """The referrers of a manifest: OCI Distribution 1.1, "Listing Referrers"."""
        found: list[Descriptor] = []
        async for answer in self._registry.pages(
            await self._url(f"referrers/{digest}"), self._needs, self._name(digest)
        ):
            is_page = answer.headers.get("content-type", "").startswith("text/")
            # Registries before OCI 1.1 have a tag instead; some answer unknown paths with a web page.
            if answer.status_code in _UNKNOWN_PATH or is_page:
                return await self._tagged_referrers(digest)
            if answer.status_code != OK:
                raise refused(answer, self._name(digest))
            try:
                found += Manifest.read(answer.content).children
            except ManifestInvalid as error:
                raise RegistryClientError(f"{self._name(digest)}: its referrers cannot be read: {error}") from error
            if len(found) > MAX_LISTED:
                raise RegistryClientError(f"{self._name(digest)}: the registry lists more than {MAX_LISTED} referrers")
        return tuple(found)

    async def delete(self, digest: Digest) -> None:
        """Delete a manifest, and with it every tag that points to it (OCI Distribution 1.1, "Deleting manifests").

        404 counts as success: an earlier response may have been lost. Raises NeededBy.
        """
        what = self._name(digest)
        answer = await self._registry.ask("DELETE", await self._url(f"manifests/{digest}"), self._deletes)
        if answer.status_code == NOT_ALLOWED and (namer := _find_namer(answer)) is not None:
            raise NeededBy(f"{what}: it is needed by {namer}, which names it", answer.status_code, namer)
        if answer.status_code == NOT_ALLOWED:
            raise RegistryClientError(
                f"{what}: the registry does not allow deletion (CNCF Distribution, authproxy: storage.delete.enabled)",
                answer.status_code,
            )
        if answer.status_code not in {OK, ACCEPTED, NO_CONTENT, NOT_FOUND}:
            raise refused(answer, what)

    async def delete_tag(self, tag: str) -> None:
        """Delete a tag alone (OCI Distribution 1.1, "Deleting tags"). 404 counts as success."""
        answer = await self._registry.ask("DELETE", await self._url(f"manifests/{tag}"), self._deletes)
        if answer.status_code not in {OK, ACCEPTED, NO_CONTENT, NOT_FOUND}:
            raise refused(answer, self._name(tag))

    async def all_manifests(self, limit: int) -> dict[Digest, tuple[str, ...]] | None:
        """Every manifest with its tags, from a registry that lists them: an authproxy. None: this one doesn't.

        None too where it lists only a part, because its rules hide tags. Raises RegistryClientError for more than
        `limit`.
        """
        found: dict[Digest, tuple[str, ...]] = {}
        what = f"{self.place}: its manifests"
        async for answer in self._registry.pages(await self._url(MANIFEST_LIST), self._needs, what):
            if answer.status_code >= SERVER_FAULT and answer.status_code not in _UNKNOWN_PATH:
                raise refused(answer, what)
            page = _read_manifest_list(answer) if answer.status_code == OK else None
            if page is None:  # some registries answer unknown paths with a page of their own
                return None
            before = len(found)
            found |= page
            if page and len(found) == before:
                raise RegistryClientError(f"{what}: the registry lists the same ones again and again")
            if len(found) > limit:
                raise RegistryClientError(f"{self.place}: more than {limit} manifests; delete some by --match first")
        return found

    async def _tagged_referrers(self, digest: Digest) -> tuple[Descriptor, ...]:
        """OCI Distribution 1.1, "Referrers Tag Schema"."""
        try:
            return (await self.manifest(referrers_tag(digest))).children
        except Missing:
            return ()

    def _name(self, reference: str | Digest) -> str:
        return f"{self.place}{'@' if isinstance(reference, Digest) or ':' in reference else ':'}{reference}"

    async def _url(self, path: str) -> httpx.URL:
        return await self._registry.address(f"/v2/{self._repository}/{path}")


def _find_namer(answer: httpx.Response) -> Digest | None:
    """The manifest that needs what should be deleted, as an authproxy names it."""
    try:
        return parse_digest(str(answer.json()["errors"][0]["detail"]["neededBy"]))
    except (ValueError, RecursionError, LookupError, TypeError, DigestInvalid):
        return None


def _read_manifest_list(answer: httpx.Response) -> dict[Digest, tuple[str, ...]] | None:
    """The manifests on a page, each with its tags. None: it is no such page, or not of the whole list."""
    try:
        body = answer.json()
        if body["complete"] is not True:
            return None
        return {parse_digest(each["digest"]): tuple(map(parse_tag, each["tags"])) for each in body["manifests"]}
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError, DigestInvalid, TagInvalid):
        return None


async def _blob_fault(answer: httpx.Response, what: str) -> Exception:
    if answer.status_code == NOT_FOUND:
        return Missing(f"{what}: the registry has no such blob")
    return RegistryClientError(f"{what}: HTTP {answer.status_code}", answer.status_code)
