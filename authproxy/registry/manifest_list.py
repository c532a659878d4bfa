"""All manifests of a repository: GET, HEAD /v2/<name>/_authproxy/content/manifests.

OCI Distribution 1.1 lists only tags and referrers, so a client that has to delete a whole repository doesn't find the
rest. This is an extension ("Extensions"): docs/decisions/0077-list-all-manifests-of-a-repository.md.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlencode

from authproxy.budget import MAX_MANIFEST_PARTS
from authproxy.clock import uptime_s
from authproxy.digest import Digest, parse_names
from authproxy.errors import ManifestInvalid, NameUnknown
from authproxy.oci.manifest import find_digest, infer_media_type, parse_object
from authproxy.pagination import LOOK as DECISIONS
from authproxy.permissions import Permissions
from authproxy.reference import Repository, Tag
from authproxy.registry import links
from authproxy.registry.digest_page import BATCH, LARGE_BYTES, LOOK, DigestPage, Examined, algorithms_after
from authproxy.registry.exchange import Exchange
from authproxy.registry.tags import Tags
from authproxy.route import MANIFEST_LIST
from authproxy.storage import layout
from authproxy.storage.driver import Driver

# How long the pages after the first may use the tags that it has read, in seconds: reading all takes long.
TAGS_FOR_S = 60.0

_Listed: TypeAlias = Examined[Mapping[str, Any]]
_TagsByDigest: TypeAlias = Mapping[Digest, Sequence[tuple[Tag, bytes]]]


class _Known(NamedTuple):
    """The tags of the repository that was listed last."""

    repository: Repository
    tags: _TagsByDigest
    until: float


class ManifestList:
    """The lists of all manifests, tagged or not. `now` is any clock that only goes forward, in seconds."""

    def __init__(self, driver: Driver, tags: Tags, *, now: Callable[[], float] = uptime_s) -> None:
        self._driver = driver
        self._tags = tags
        self._now = now
        self._known: _Known | None = None
        self._reading = asyncio.Lock()  # requests at the same time read the tags once

    async def get(self, exchange: Exchange) -> None:
        """Answer with a page of manifests in the order of their digests.

        Where rules hide tags from the caller, only with those under a tag that the caller may pull; the list then says
        that it is not complete.
        """
        page: DigestPage[Mapping[str, Any]] = DigestPage(exchange.route)
        permissions = exchange.permissions
        if permissions is not None and (not permissions.concern("pull") or permissions.shows_every_tag()):
            permissions = None
        await page.fill(self._entries(exchange.repository, page.after, permissions))
        if not page.shown and not page.has_more and not await links.is_known(self._driver, exchange.repository):
            raise NameUnknown(detail={"name": exchange.repository})
        headers = [("Content-Type", "application/json")]
        if not page.has_more:
            self._known = None
        else:
            query = urlencode({"last": str(page.last), "n": page.limit}, safe=":")
            headers.append(("Link", f'<{exchange.location(f"{MANIFEST_LIST}?{query}")}>; rel="next"'))
        body = {"complete": permissions is None, "manifests": page.shown}
        await exchange.answer(200, headers, json.dumps(body, separators=(",", ":")).encode())

    async def _entries(
        self, repository: Repository, after: Digest | None, permissions: Permissions | None
    ) -> AsyncGenerator[_Listed, None]:
        """The manifests whose digests are greater than `after`, in order."""
        tags = await self._tags_of(repository, is_first=after is None)
        for algorithm, first in algorithms_after(after):
            last = first
            while names := await self._driver.list_names(
                layout.revisions(repository, algorithm), after=last, limit=LOOK
            ):
                digests = parse_names(algorithm, names)
                for start in range(0, len(digests), BATCH):
                    async with aclosing(
                        self._look(repository, digests[start : start + BATCH], tags, permissions)
                    ) as looked:
                        async for found in looked:
                            yield found
                    await asyncio.sleep(0)  # reads from memory don't suspend: give other requests a turn
                last = names[-1]

    async def _look(
        self, repository: Repository, digests: Sequence[Digest], tags: _TagsByDigest, permissions: Permissions | None
    ) -> AsyncGenerator[_Listed, None]:
        shown = {digest: await _shown_tags(tags.get(digest, ()), permissions) for digest in digests}
        wanted = [digest for digest in digests if permissions is None or shown[digest]]
        held = await links.stored_manifests(self._driver, repository, wanted)
        contents = await links.read_manifests(self._driver, repository, list(held))
        for digest in digests:
            if digest not in wanted:
                yield Examined(digest, None, 0)
            elif digest in held:  # others are being deleted
                content = contents.get(digest)
                yield Examined(digest, _describe(digest, content, shown[digest]), len(content or b""))
                if content is not None and len(content) > LARGE_BYTES:
                    await asyncio.sleep(0)

    async def _tags_of(self, repository: Repository, *, is_first: bool) -> _TagsByDigest:
        async with self._reading:
            known = self._known
            if is_first or known is None or known.repository != repository or self._now() >= known.until:
                known = _Known(repository, await self._tags.by_digest(repository), self._now() + TAGS_FOR_S)
                self._known = known
            return known.tags


async def _shown_tags(tags: Sequence[tuple[Tag, bytes]], permissions: Permissions | None) -> list[Tag]:
    if permissions is None:
        return [tag for tag, _ in tags]
    shown: list[Tag] = []
    for start in range(0, len(tags), DECISIONS):
        shown += [tag for tag, _ in tags[start : start + DECISIONS] if permissions.shows_tag(tag)]
        await asyncio.sleep(0)  # other requests get their turn
    return shown


def _describe(digest: Digest, content: bytes | None, tags: Sequence[Tag]) -> dict[str, Any]:
    """A manifest's entry: a descriptor, its tags and its subject. What is damaged or missing has a digest and tags."""
    found: dict[str, Any] = {"digest": str(digest), "tags": list(tags)}
    if content is None:
        return found
    found["size"] = len(content)
    with suppress(ManifestInvalid):  # stored by another program
        body = parse_object(content, max_parts=MAX_MANIFEST_PARTS)
        found["mediaType"] = infer_media_type(body)
        subject = find_digest(body.get("subject"))
        if subject is not None:
            found["subject"] = str(subject)
    return found
