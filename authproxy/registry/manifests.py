"""Manifests: GET, HEAD, PUT, DELETE /v2/<name>/manifests/<reference> (OCI Distribution 1.1, "Pulling manifests")."""

from functools import partial

from authproxy import asgi
from authproxy.content import Content
from authproxy.digest import Digest
from authproxy.errors import ContentTooLarge, DigestInvalid, ManifestInvalid, ManifestUnknown
from authproxy.oci.manifest import Manifest, media_type_of
from authproxy.oci.media_types import OCI_IMAGE
from authproxy.reference import Repository, parse_tag
from authproxy.registry import preconditions
from authproxy.registry.deleter import BY_REQUEST, Deleter, Reason
from authproxy.registry.exchange import Exchange
from authproxy.registry.links import digest_of, read_manifests, stored_manifests, to_link
from authproxy.registry.manifest_admission import check_complete, decide_needed, follow
from authproxy.registry.manifest_checks import MAX_BYTES, parse_manifest
from authproxy.registry.options import ManifestRules
from authproxy.registry.promises import Promises
from authproxy.registry.publisher import Publication, Publisher
from authproxy.registry.pull_log import PullLog
from authproxy.registry.referrers import make_entry, to_note
from authproxy.registry.response_cache import CachedResponse, ResponseCache
from authproxy.registry.tags import Tags
from authproxy.storage import layout
from authproxy.storage.driver import Driver, WriteGroup
from authproxy.tag_protection import check_create, check_delete, check_delete_tags, check_overwrite, find_immutable

# Cached media types, by digest. The content of a digest never changes, so they never expire. A few hundred bytes each.
MAX_REMEMBERED = 10_000


class Manifests:
    """The manifests and indexes of all repositories."""

    def __init__(
        self,
        driver: Driver,
        tags: Tags,
        content: Content,
        rules: ManifestRules,
        publisher: Publisher,
        deleter: Deleter,
        promises: Promises,
        pulls: PullLog | None = None,
    ) -> None:
        self._driver = driver
        self._promises = promises
        self._publisher = publisher
        self._deleter = deleter
        self._tags = tags
        self._rules = rules
        self._content = content
        self._pulls = pulls
        self._cache = ResponseCache()
        self._media_types: dict[Digest, str] = {}

    async def get(self, exchange: Exchange) -> None:
        """Answer with the bytes as they were pushed, whatever `Accept` says."""
        key = (exchange.repository, exchange.reference)
        response = self._cache.find(key)
        if response is None:
            digest = await self._resolve(exchange)
            content = await self._read(exchange, digest)
            if self._promises.epoch is not None:
                await self._promises.keep_manifest(exchange.repository, digest, content)
                content = await self._read(exchange, digest, fresh=True)  # it may have been collected before
            headers = [("Docker-Content-Digest", str(digest)), ("ETag", preconditions.etag(digest))]
            stored = digest if digest.algorithm == "sha256" else await digest_of(content, "sha256")
            response = CachedResponse(
                content, self._media_type(digest, content), digest=digest, stored=stored, headers=headers
            )
            self._cache.put(key, response, self._driver.content_check(_made_of(exchange, digest, content)))
        if self._pulls is not None and not exchange.is_head:
            assert response.stored is not None
            self._pulls.note(exchange.repository, exchange.reference, response.stored, exchange.subject)
        await response.send(exchange)

    def forget_responses(self) -> None:
        """Make every promise again: what is condemned has changed."""
        self._cache = ResponseCache()

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
        begun = await self._publisher.begin(exchange.repository, names, tags)
        await check_create(self._content, exchange.permissions, exchange.repository)
        immutable = find_immutable(exchange.permissions, tags)
        await check_overwrite(self._content, exchange.repository, immutable, names)
        needed = decide_needed(manifest, self._rules)
        look = partial(check_complete, self._driver, exchange.repository, check_sizes=self._rules.enabled, fresh=True)
        await look(needed)  # nothing is written for a manifest that is incomplete
        if needed.manifests or needed.either:
            needed = await follow(self._driver, exchange.repository, needed)
            await look(needed)
        new = Publication(
            exchange.repository,
            names,
            digest,
            content,
            notes=_notes(exchange.repository, stored, manifest),
            relies_on=needed.digests,
            by=exchange.subject,
            immutable=immutable,
        )
        refused = await self._publisher.publish(begun, new, partial(look, needed))
        await check_overwrite(self._content, exchange.repository, {tag: immutable[tag] for tag in refused}, names)
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
            if not await self._deleter.delete_tag(exchange.repository, exchange.reference, _reason(exchange)):
                raise _unknown(exchange)
            await exchange.answer(202)
            return
        content, names = await self._find_names(exchange, exchange.reference)
        permissions = exchange.permissions
        await check_delete(self._content, permissions, exchange.repository, names)
        await self._deleter.delete_manifest(
            exchange.repository, names, content, _reason(exchange), check_tags=partial(check_delete_tags, permissions)
        )
        await exchange.answer(202)

    async def _find_names(self, exchange: Exchange, digest: Digest) -> tuple[bytes, list[Digest]]:
        """The bytes of a manifest, and its digests. Where the content is missing or damaged: none, and the known ones.

        So links that lead nowhere can be deleted too. Raises ManifestUnknown.
        """
        contents = await read_manifests(self._driver, exchange.repository, [digest])
        if digest in contents:
            content = contents[digest]
            return content, [await digest_of(content, algorithm) for algorithm in ("sha256", "sha512")]
        held = await stored_manifests(self._driver, exchange.repository, [digest], fresh=True)
        if digest not in held:
            raise _unknown(exchange)
        return b"", list(dict.fromkeys((held[digest], digest)))

    async def _resolve(self, exchange: Exchange) -> Digest:
        reference = exchange.reference
        if isinstance(reference, Digest):
            return reference
        digest = await self._tags.find(exchange.repository, reference)
        if digest is None:
            raise _unknown(exchange)
        return digest

    async def _read(self, exchange: Exchange, digest: Digest, *, fresh: bool = False) -> bytes:
        """The bytes of a manifest. Raises ManifestUnknown where the repository does not hold it."""
        contents = await read_manifests(self._driver, exchange.repository, [digest], fresh=fresh)
        if digest not in contents:
            raise _unknown(exchange)
        return contents[digest]

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


def _notes(repository: Repository, stored: Digest, manifest: Manifest) -> WriteGroup:
    """What lists of referrers show of a manifest that has a subject."""
    if manifest.subject is None:
        return []
    entry = make_entry(manifest.media_type, manifest.digest, len(manifest.content), manifest.listed_with)
    return [(layout.referrer_link(repository, manifest.subject.digest, manifest.digest), to_note(stored, entry))]


def _reason(exchange: Exchange) -> Reason:
    return Reason(exchange.subject, BY_REQUEST)


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
