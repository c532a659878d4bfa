"""Referrers: GET, HEAD /v2/<name>/referrers/<digest> (OCI Distribution 1.1, "Listing Referrers").

A referrer is a manifest that has a `subject`. Its push writes a note beside the revisions, with its entry for the list,
so that a list parses no manifest: docs/decisions/0047-note-what-a-list-of-referrers-says.md. Entries that clients wrote
under the fallback tag, before this registry or another served the list, are merged in; for these, and for notes of
earlier versions, the manifest is read. A referrer is listed as long as the repository holds it and its content names
the subject. See docs/decisions/0012-keep-referrers-beside-revisions.md.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlencode

from authproxy.budget import MAX_LISTED_BYTES, MAX_MANIFEST_PARTS
from authproxy.digest import Digest, parse_names
from authproxy.errors import ManifestInvalid
from authproxy.oci.manifest import describe_referrer, find_digest, infer_media_type, parse_object
from authproxy.oci.media_types import OCI_INDEX
from authproxy.reference import Repository, Tag
from authproxy.registry.digest_page import BATCH, LARGE_BYTES, LOOK, DigestPage, Examined, algorithms_after
from authproxy.registry.exchange import Exchange
from authproxy.registry.links import read_manifests, sizes_of, stored_manifests, to_link
from authproxy.registry.manifest_checks import MAX_BYTES
from authproxy.registry.tags import Tags
from authproxy.storage import layout
from authproxy.storage.driver import Driver

_HEAD = f'{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":['.encode()
_END = b"]}"


class ReferrerEntry(NamedTuple):
    """A manifest's entry in the list."""

    digest: Digest
    artifact_type: str | None
    descriptor: bytes  # JSON, sent unchanged


_Candidate: TypeAlias = Examined[ReferrerEntry]


class Referrers:
    """The referrers of all manifests, whether these are stored or not."""

    def __init__(self, driver: Driver, tags: Tags) -> None:
        self._driver = driver
        self._tags = tags

    async def get(self, exchange: Exchange) -> None:
        """Answer with an index of the referrers in the order of their digests, filtered by artifact type on request."""
        page: DigestPage[ReferrerEntry] = DigestPage(exchange.route)
        artifact_type = exchange.route.parameter("artifactType") or None
        entries = self._entries(exchange.repository, exchange.digest, page.after)
        await page.fill(_filtered(entries, artifact_type), _Size().fits)
        headers = [("Content-Type", OCI_INDEX)]
        if artifact_type is not None:
            headers.append(("OCI-Filters-Applied", "artifactType"))
        if page.has_more:
            headers.append(("Link", _next(exchange, page, artifact_type)))
        await exchange.answer(200, headers, _HEAD + b",".join(entry.descriptor for entry in page.shown) + _END)

    async def _entries(
        self, repository: Repository, subject: Digest, after: Digest | None
    ) -> AsyncGenerator[_Candidate, None]:
        """The candidates for the list whose digests are greater than `after`, in order."""
        listed = await self._listed_by_clients(repository, subject)
        for algorithm, last in algorithms_after(after):
            hexes = {digest.hex for digest in listed if digest.algorithm == algorithm}
            async with aclosing(self._digests(repository, subject, algorithm, hexes, last)) as batches:
                async for batch in batches:
                    async with aclosing(self._look(repository, subject, batch)) as looked:
                        async for found in looked:
                            yield found
                    await asyncio.sleep(0)  # reads from memory don't suspend: give other requests a turn

    async def _look(
        self, repository: Repository, subject: Digest, digests: Sequence[Digest]
    ) -> AsyncGenerator[_Candidate, None]:
        """The candidates of a batch that the repository holds."""
        notes = await self._driver.read([layout.referrer_link(repository, subject, digest) for digest in digests])
        noted = {
            digest: (entry, len(note or b""))
            for digest, note in zip(digests, notes, strict=True)
            if (entry := find_entry(note, digest))
        }
        held = await self._find_held(repository, list(noted))
        contents: dict[Digest, bytes] = {}
        if len(noted) < len(digests):
            contents = await read_manifests(self._driver, repository, [name for name in digests if name not in noted])
        for digest in digests:
            if digest in held:
                yield Examined(digest, *noted[digest])
            elif (content := contents.get(digest)) is not None:
                yield Examined(digest, describe(content, digest, subject), len(content))
                if len(content) > LARGE_BYTES:
                    await asyncio.sleep(0)

    async def _find_held(self, repository: Repository, digests: Sequence[Digest]) -> set[Digest]:
        """Those that the repository holds and whose content is stored."""
        if not digests:
            return set()
        stored = await stored_manifests(self._driver, repository, digests)
        sizes = await sizes_of(self._driver, list(stored.values()))
        return {digest for digest, size in zip(stored, sizes, strict=True) if size is not None}

    async def _digests(
        self, repository: Repository, subject: Digest, algorithm: str, listed: set[str], last: str
    ) -> AsyncGenerator[list[Digest], None]:
        """Digests of one algorithm with hex digits greater than `last`: of the notes, and of `listed`; in order."""
        folder = layout.referrers(repository, subject, algorithm)
        while True:
            names = await self._driver.list_names(folder, after=last, limit=LOOK)
            is_full = len(names) == LOOK
            # Of those that clients listed, the ones up to the last name; all the rest if there are no more names.
            also = {name for name in listed if name > last and not (is_full and name > names[-1])}
            digests = parse_names(algorithm, sorted({*names, *also}))
            for start in range(0, len(digests), BATCH):
                yield digests[start : start + BATCH]
            if not is_full:
                return
            last = names[-1]

    async def _listed_by_clients(self, repository: Repository, subject: Digest) -> list[Digest]:
        """The entries of the index under the fallback tag."""
        digest = await self._tags.find(repository, fallback_tag(subject))
        if digest is None:
            return []
        contents = await read_manifests(self._driver, repository, [digest])
        try:
            entries = parse_object(contents[digest], max_parts=MAX_MANIFEST_PARTS).get("manifests")
        except (KeyError, ManifestInvalid):
            return []
        found = map(find_digest, entries if isinstance(entries, list) else ())
        return [digest for digest in found if digest is not None]


class _Size:
    """The bytes of a list, which is a manifest: it has no more than one may have, unless its only entry does."""

    def __init__(self) -> None:
        self._bytes = len(_HEAD) + len(_END) - 1  # each entry is counted with a comma, and the first has none
        self._is_empty = True

    def fits(self, entry: ReferrerEntry) -> bool:
        length = len(entry.descriptor) + 1
        if not self._is_empty and self._bytes + length > MAX_BYTES:
            return False
        self._bytes += length
        self._is_empty = False
        return True


async def _filtered(
    candidates: AsyncGenerator[_Candidate, None], artifact_type: str | None
) -> AsyncGenerator[_Candidate, None]:
    """The same candidates; those of another type don't belong to the list."""
    async with aclosing(candidates):
        async for found in candidates:
            is_meant = artifact_type is None or found.entry is None or found.entry.artifact_type == artifact_type
            yield found if is_meant else found._replace(entry=None)


def fallback_tag(subject: Digest) -> Tag:
    """The tag under which clients list referrers themselves (OCI Distribution 1.1, "Referrers Tag Schema").

    It is `<algorithm>-<hex>`. The hex digits are cut at 64, the algorithm at 32: no registered one is longer.
    """
    return Tag(f"{subject.algorithm}-{subject.hex[:64]}")


def describe(content: bytes, digest: Digest, subject: Digest) -> ReferrerEntry | None:
    """The entry for a stored manifest; None where it does not refer to `subject`, or is not one that we accept."""
    try:
        body = parse_object(content, max_parts=MAX_MANIFEST_PARTS)
        media_type = infer_media_type(body)
        match body.get("subject"):
            case {"digest": str(named)} if named == str(subject):
                return make_entry(media_type, digest, len(content), describe_referrer(body, media_type))
            case _:
                return None
    except ManifestInvalid:  # stored by another program
        return None


def make_entry(media_type: str, digest: Digest, size: int, listed_with: Mapping[str, Any]) -> ReferrerEntry:
    """A manifest's entry for a list. Raises ManifestInvalid for more than MAX_LISTED_BYTES."""
    artifact_type, annotations = listed_with.get("artifactType"), listed_with.get("annotations", {})
    texts = (media_type, artifact_type or "", *annotations, *annotations.values())
    _check_listed_length(sum(map(len, texts)))  # before JSON is written, which would take long
    found = {"mediaType": media_type, "digest": str(digest), "size": size, **listed_with}
    descriptor = json.dumps(found, separators=(",", ":")).encode()
    _check_listed_length(len(descriptor))
    return ReferrerEntry(digest, artifact_type, descriptor)


def _check_listed_length(length: int) -> None:
    if length > MAX_LISTED_BYTES:
        raise ManifestInvalid(
            f"in a list of referrers the entry of this manifest would be longer than {MAX_LISTED_BYTES} bytes of JSON:"
            " shorten its annotations, or put long values into a layer"
        )


def to_note(stored: Digest, entry: ReferrerEntry) -> bytes:
    """The content of a referrer's link: the digest of its content, its artifact type and its entry, a line for each."""
    return b"\n".join((to_link(stored), json.dumps(entry.artifact_type).encode(), entry.descriptor))


def find_entry(note: bytes | None, digest: Digest) -> ReferrerEntry | None:
    """The entry in a referrer's link. None where it has none: an earlier version wrote only the digest."""
    match (note or b"").split(b"\n"):
        case [_, artifact_type, descriptor] if descriptor.endswith(b"}") and str(digest).encode() in descriptor:
            with suppress(ValueError):
                return ReferrerEntry(digest, json.loads(artifact_type), descriptor)
        case _:
            pass
    return None


def _next(exchange: Exchange, page: DigestPage[ReferrerEntry], artifact_type: str | None) -> str:
    """The `Link` to the next page of the same list, with the same filter."""
    filtered = {"artifactType": artifact_type} if artifact_type else {}
    query = urlencode({**filtered, "last": str(page.last), "n": page.limit})
    address = exchange.view.location(f"/v2/{exchange.repository}/referrers/{exchange.digest}?{query}")
    return f'<{address}>; rel="next"'
