"""Referrers: GET, HEAD /v2/<name>/referrers/<digest> (OCI Distribution 1.1, "Listing Referrers").

A referrer is a manifest that has a `subject`. Its push leaves an entry beside the revisions; what clients listed under
the fallback tag, before this registry or another served the list, is folded in. Either is a hint of where to look: a
referrer is listed as long as the repository holds it and its content names the subject. See
docs/decisions/0012-keep-referrers-beside-revisions.md.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any, TypeAlias
from urllib.parse import urlencode

from authproxy.digest import HEX_LENGTH, Digest, parse_digest
from authproxy.errors import DigestInvalid, ManifestInvalid
from authproxy.pages import parse_page
from authproxy.reference import Repository, Tag
from authproxy.registry.exchange import Exchange
from authproxy.registry.links import read_manifests
from authproxy.registry.manifest import INDEXES, MAX_BYTES, OCI_INDEX, infer_media_type, parse_object
from authproxy.registry.tags import Tags
from authproxy.storage import layout
from authproxy.storage.driver import Driver

# A page has no more entries than this, and no more bytes than a manifest may have: it is an index, and read as one.
MAX_PAGE = 1000

# What one request looks at: manifests, and their bytes in all. Past it the page ends, however few it shows.
MAX_LOOKED_AT = 5000
MAX_READ_BYTES = 16 * 1024 * 1024

# Names that one look into the storage brings, and manifests that are read in one go.
LOOK = 1000
BATCH = 8

# What an entry of the list is: a descriptor, as JSON.
Entry: TypeAlias = dict[str, Any]


class Referrers:
    """The referrers of all manifests, whether these are here or not."""

    def __init__(self, driver: Driver, tags: Tags) -> None:
        self._driver = driver
        self._tags = tags

    async def get(self, exchange: Exchange) -> None:
        """Answer with an index of the referrers, in the order of their digests; of one artifact type where asked."""
        asked = parse_page(exchange.route, default=MAX_PAGE).at_most(MAX_PAGE)
        assert asked.limit is not None
        after = parse_digest(asked.last) if asked.last else None
        page = ReferrersPage(exchange.digest, exchange.route.parameter("artifactType") or None, asked.limit)
        has_more = False
        if asked.limit > 0:
            async with aclosing(self._manifests(exchange.repository, exchange.digest, after)) as manifests:
                async for digest, content in manifests:
                    if not page.take(digest, content):
                        has_more = True
                        break
        headers = [("Content-Type", OCI_INDEX)]
        if page.artifact_type is not None:
            headers.append(("OCI-Filters-Applied", "artifactType"))
        if has_more:
            headers.append(("Link", _next(exchange, page)))
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": page.shown}
        await exchange.answer(200, headers, json.dumps(index, separators=(",", ":")).encode())

    async def _manifests(
        self, repository: Repository, subject: Digest, after: Digest | None
    ) -> AsyncGenerator[tuple[Digest, bytes], None]:
        """Where the referrers are among: digests greater than `after`, in order, and the contents under them."""
        listed = await self._listed_by_clients(repository, subject)
        for algorithm in sorted(HEX_LENGTH):
            if after is not None and after.algorithm > algorithm:
                continue
            last = after.hex if after is not None and after.algorithm == algorithm else ""
            hexes = {digest.hex for digest in listed if digest.algorithm == algorithm}
            async with aclosing(self._digests(repository, subject, algorithm, hexes, last)) as batches:
                async for batch in batches:
                    contents = await read_manifests(self._driver, repository, batch)
                    for item in contents.items():
                        yield item
                    await asyncio.sleep(0)  # what is in memory is read without waiting: let others come in between

    async def _digests(
        self, repository: Repository, subject: Digest, algorithm: str, listed: set[str], last: str
    ) -> AsyncGenerator[list[Digest], None]:
        """Digests of one algorithm with hex digits greater than `last`: those of entries, and those `listed`."""
        folder = layout.referrers(repository, subject, algorithm)
        while True:
            names = await self._driver.list_names(folder, after=last, limit=LOOK)
            is_full = len(names) == LOOK
            # Of those that clients listed, the ones that stand between these; behind the last names, all others.
            also = {name for name in listed if name > last and not (is_full and name > names[-1])}
            digests = _parse_all(algorithm, sorted({*names, *also}))
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
            entries = parse_object(contents[digest]).get("manifests")
        except (KeyError, ManifestInvalid):
            return []
        found: list[Digest] = []
        for entry in entries if isinstance(entries, list) else ():
            match entry:
                case {"digest": str(text)}:
                    with suppress(DigestInvalid):
                        found.append(parse_digest(text))
                case _:
                    pass
        return found


class ReferrersPage:
    """One page of a list while it is filled, by manifests in the order of their digests."""

    def __init__(self, subject: Digest, artifact_type: str | None, limit: int) -> None:
        self.subject = subject
        self.artifact_type = artifact_type  # None: of any
        self.limit = limit
        self.shown: list[Entry] = []
        self.last: Digest | None = None  # what was looked at last
        self._bytes = 0
        self._looked_at = 0
        self._read_bytes = 0

    def take(self, digest: Digest, content: bytes) -> bool:
        """Show a manifest if it belongs to the list. False: nothing more fits, the next page begins with this one."""
        if self._looked_at >= MAX_LOOKED_AT or self._read_bytes >= MAX_READ_BYTES:
            return False
        entry = describe(content, digest, self.subject)
        if entry is not None and self.artifact_type in (None, entry.get("artifactType")):
            length = len(json.dumps(entry))
            if len(self.shown) >= self.limit or (self.shown and self._bytes + length > MAX_BYTES):
                return False
            self.shown.append(entry)
            self._bytes += length
        self.last = digest
        self._looked_at += 1
        self._read_bytes += len(content)
        return True


def fallback_tag(subject: Digest) -> Tag:
    """Where clients list referrers themselves (OCI Distribution 1.1, "Referrers Tag Schema"): `<algorithm>-<hex>`.

    The hex digits are cut at 64, the algorithm at 32: no registered one is longer.
    """
    return Tag(f"{subject.algorithm}-{subject.hex[:64]}")


def describe(content: bytes, digest: Digest, subject: Digest) -> Entry | None:
    """The entry for a stored manifest; None where it does not refer to `subject`, or is no manifest.

    `artifactType` is the manifest's own, else the media type of an image's config; an index without one has none.
    """
    try:
        body = parse_object(content)
        media_type = infer_media_type(body)
    except ManifestInvalid:  # another program stored it
        return None
    match body.get("subject"):
        case {"digest": str(named)} if named == str(subject):
            pass
        case _:
            return None
    entry: Entry = {"mediaType": media_type, "digest": str(digest), "size": len(content)}
    match body:
        case {"artifactType": str(artifact_type)} if artifact_type:
            entry["artifactType"] = artifact_type
        case {"config": {"mediaType": str(config_type)}} if config_type and media_type not in INDEXES:
            entry["artifactType"] = config_type
        case _:
            pass
    match body.get("annotations"):
        case {**annotations} if annotations:
            entry["annotations"] = {key: value for key, value in annotations.items() if isinstance(value, str)}
        case _:
            pass
    return entry


def _parse_all(algorithm: str, names: list[str]) -> list[Digest]:
    """The digests that names of a folder are; a name that is none is not ours."""
    found: list[Digest] = []
    for name in names:
        with suppress(DigestInvalid):
            found.append(parse_digest(f"{algorithm}:{name}"))
    return found


def _next(exchange: Exchange, page: ReferrersPage) -> str:
    """The `Link` to the next page: the same list, filtered alike."""
    filtered = {"artifactType": page.artifact_type} if page.artifact_type else {}
    query = urlencode({**filtered, "last": str(page.last), "n": page.limit})
    address = exchange.origin.location(f"/v2/{exchange.repository}/referrers/{exchange.digest}?{query}")
    return f'<{address}>; rel="next"'
