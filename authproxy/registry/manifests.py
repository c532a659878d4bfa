"""Manifests: GET, HEAD, PUT, DELETE /v2/<name>/manifests/<reference> (OCI Distribution 1.1, "Pulling manifests")."""

from collections.abc import Mapping, Sequence

from authproxy import asgi
from authproxy.content import Content
from authproxy.digest import Digest
from authproxy.errors import ContentTooLarge, Denied, DigestInvalid, ManifestInvalid, ManifestUnknown
from authproxy.oci.manifest import Manifest, find_subject, media_type_of
from authproxy.oci.media_types import OCI_IMAGE
from authproxy.reference import Repository, Tag, parse_tag
from authproxy.registry import preconditions
from authproxy.registry.exchange import Exchange
from authproxy.registry.links import digest_of, read_manifests, to_link
from authproxy.registry.manifest_admission import check_complete, decide_needed
from authproxy.registry.manifest_checks import MAX_BYTES, parse_manifest
from authproxy.registry.options import ManifestRules
from authproxy.registry.referrers import make_entry, to_note
from authproxy.registry.response_cache import CachedResponse, ResponseCache
from authproxy.registry.tags import Tags, tag_links
from authproxy.storage import layout
from authproxy.storage.driver import Driver
from authproxy.tag_protection import check_create, check_delete, check_overwrite, find_immutable

# Cached media types, by digest. The content of a digest never changes, so they never expire. A few hundred bytes each.
MAX_REMEMBERED = 10_000


class Manifests:
    """The manifests and indexes of all repositories."""

    def __init__(self, driver: Driver, tags: Tags, content: Content, rules: ManifestRules) -> None:
        self._driver = driver
        self._tags = tags
        self._rules = rules
        self._content = content
        self._cache = ResponseCache()
        self._media_types: dict[Digest, str] = {}

    async def get(self, exchange: Exchange) -> None:
        """Answer with the bytes as they were pushed, whatever `Accept` says."""
        key = (exchange.repository, exchange.reference)
        response = self._cache.find(key)
        if response is None:
            digest = await self._resolve(exchange)
            content = await self._read(exchange, digest)
            headers = [("Docker-Content-Digest", str(digest)), ("ETag", preconditions.etag(digest))]
            response = CachedResponse(content, self._media_type(digest, content), digest=digest, headers=headers)
            self._cache.put(key, response, self._driver.content_check(_made_of(exchange, digest, content)))
        await response.send(exchange)

    async def put(self, exchange: Exchange) -> None:
        """Store a manifest whose content is complete. By digest, each `?tag=` names a tag to set with it."""
        content = await _read_body(exchange)
        reference = exchange.reference
        digest = await digest_of(content, reference.algorithm if isinstance(reference, Digest) else "sha256")
        if isinstance(reference, Digest):
            if digest != reference:
                raise DigestInvalid(detail={"expected": str(reference), "received": str(digest)})
            tags = list(dict.fromkeys(parse_tag(value) for name, value in exchange.route.query if name == "tag"))
        else:
            tags = [reference]
        manifest = parse_manifest(content, exchange.header(b"content-type"), digest)
        stored = digest if digest.algorithm == "sha256" else await digest_of(content, "sha256")
        names = list(dict.fromkeys((stored, digest)))
        await check_create(self._content, exchange.permissions, exchange.repository)
        immutable = find_immutable(exchange.permissions, tags)
        await check_overwrite(self._content, exchange.repository, immutable, names)
        needed = decide_needed(manifest, self._rules)
        await check_complete(self._driver, exchange.repository, needed, check_sizes=self._rules.enabled)
        movable = [tag for tag in tags if tag not in immutable]
        await self._store(exchange.repository, names, manifest, movable)
        await self._set_immutable(exchange.repository, digest, names, immutable)
        named = tags if isinstance(reference, Digest) else []
        await exchange.answer(
            201,
            [
                ("Location", exchange.location(f"manifests/{digest}")),
                ("Docker-Content-Digest", str(digest)),
                *(("OCI-Tag", tag) for tag in named),
                *([("OCI-Subject", str(manifest.subject.digest))] if manifest.subject is not None else ()),
            ],
        )

    async def delete(self, exchange: Exchange) -> None:
        """By digest: the manifest, under each of its names, and the tags that point at it. By tag: the tag alone."""
        if not isinstance(exchange.reference, Digest):
            if not await self._tags.remove(exchange.repository, exchange.reference):
                raise _unknown(exchange)
            await exchange.answer(202)
            return
        content = await self._read(exchange, exchange.reference)
        names = [await digest_of(content, algorithm) for algorithm in ("sha256", "sha512")]
        await check_delete(self._content, exchange.permissions, exchange.repository, names)
        # Tags first, so that none ever points at a missing manifest.
        await self._tags.remove_all(exchange.repository, names)
        for name in names:
            await self._driver.delete(layout.revision_link(exchange.repository, name))
        await self._forget_referrer(exchange.repository, find_subject(content), names)
        await exchange.answer(202)

    async def _resolve(self, exchange: Exchange) -> Digest:
        reference = exchange.reference
        if isinstance(reference, Digest):
            return reference
        digest = await self._tags.find(exchange.repository, reference)
        if digest is None:
            raise _unknown(exchange)
        return digest

    async def _read(self, exchange: Exchange, digest: Digest) -> bytes:
        """The bytes of a manifest. Raises ManifestUnknown where the repository does not hold it."""
        contents = await read_manifests(self._driver, exchange.repository, [digest])
        if digest not in contents:
            raise _unknown(exchange)
        return contents[digest]

    async def _store(
        self,
        repository: Repository,
        names: Sequence[Digest],
        manifest: Manifest,
        tags: Sequence[Tag],
    ) -> None:
        """Write the content, then the links, and the tags last: a visible manifest is complete, a tag has its history.

        `names` are its digests: it is stored under the first.
        """
        stored, digest, content = names[0], manifest.digest, manifest.content
        link = to_link(stored)
        # Written only if it is missing or damaged.
        blob = [] if await self._driver.read([layout.blob(stored)]) == [content] else [(layout.blob(stored), content)]
        revisions = [(layout.revision_link(repository, name), link) for name in names]
        history, pointers = tag_links(repository, tags, digest)
        # After the revisions: a deletion at the same moment relies on it (`_forget_referrer`).
        listed = list(history)
        if manifest.subject is not None:
            entry = make_entry(manifest.media_type, digest, len(content), manifest.listed_with)
            path = layout.referrer_link(repository, manifest.subject.digest, digest)
            listed.insert(0, (path, to_note(stored, entry)))
        await self._driver.write_all([group for group in (blob, revisions, listed, pointers) if group])

    async def _set_immutable(
        self, repository: Repository, digest: Digest, names: Sequence[Digest], immutable: Mapping[Tag, Denied]
    ) -> None:
        """Set each tag in one step that fails if it exists: of two concurrent pushes only one sets it.

        Raises the error of a tag that points at another manifest by then.
        """
        for tag, refusal in immutable.items():
            if not await self._tags.set_new(repository, tag, digest):
                await check_overwrite(self._content, repository, {tag: refusal}, names)

    async def _forget_referrer(self, repository: Repository, subject: Digest | None, names: Sequence[Digest]) -> None:
        """Remove the entries of a deleted manifest. If it was pushed again meanwhile, they stay."""
        if subject is None:
            return
        for name in names:
            path = layout.referrer_link(repository, subject, name)
            [link] = await self._driver.read([path])
            if link is None or not await self._driver.delete(path):
                continue
            # A push writes the revision first, then the entry: if the revision is back, the entry must be there too.
            if await self._driver.sizes([layout.revision_link(repository, name)]) != [None]:
                await self._driver.write(path, link)

    def _media_type(self, digest: Digest, content: bytes) -> str:
        known = self._media_types.get(digest)
        if known is None:
            try:
                known = media_type_of(content)
            except ManifestInvalid:  # stored by another program; it is the digest's content all the same
                known = OCI_IMAGE
            if len(self._media_types) >= MAX_REMEMBERED:
                self._media_types.clear()
            self._media_types[digest] = known
        return known


async def _read_body(exchange: Exchange) -> bytes:
    too_large = ContentTooLarge(f"a manifest has at most {MAX_BYTES} bytes")
    if (exchange.content_length() or 0) > MAX_BYTES:
        raise too_large
    try:
        return await asgi.read_body(exchange.receive, MAX_BYTES)
    except asgi.ContentTooLong:
        raise too_large from None


def _made_of(exchange: Exchange, digest: Digest, content: bytes) -> list[tuple[layout.StorePath, bytes]]:
    """What a response depends on: the tag, the link of the manifest's revision, and its content.

    By its sha512 digest a manifest is stored under another one: the check does not find it, and it is read each time.
    """
    link = to_link(digest)
    paths = [(layout.revision_link(exchange.repository, digest), link), (layout.blob(digest), content)]
    if not isinstance(exchange.reference, Digest):
        paths.append((layout.tag_current(exchange.repository, exchange.reference), link))
    return paths


def _unknown(exchange: Exchange) -> ManifestUnknown:
    kind = "digest" if isinstance(exchange.reference, Digest) else "tag"
    return ManifestUnknown(detail={"name": exchange.repository, kind: str(exchange.reference)})
