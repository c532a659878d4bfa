"""Tags: GET /v2/<name>/tags/list, and the links from tags to manifests."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import NamedTuple

from authproxy.clock import uptime_s
from authproxy.digest import Digest
from authproxy.errors import NameUnknown
from authproxy.pagination import Page, find_shown, in_pieces, next_link, parse_page, to_json
from authproxy.reference import Repository, Tag
from authproxy.registry.deletions import Deletion
from authproxy.registry.exchange import Exchange
from authproxy.registry.history import pushes_of
from authproxy.registry.links import find_digest, is_known, to_link
from authproxy.registry.response_cache import CachedResponse, ResponseCache
from authproxy.registry.tag_list import TagNames
from authproxy.storage import layout
from authproxy.storage.driver import Driver, IsCurrent, WriteGroup

# The longest list, in bytes, and the longest `last`, in characters (that of a tag), of responses that are cached.
KEPT_BYTES = 1024 * 1024
MAX_TAG = 128


# How long tags that were read stay known beside our own removals, in seconds: like `Driver.folder_check`.
KNOWN_FOR_S = 1.0


class _Pointing(NamedTuple):
    """The tags of a repository by the digest they point at, valid as long as `is_current` holds."""

    repository: Repository
    tags: dict[Digest, list[tuple[Tag, bytes]]]
    is_current: IsCurrent
    until: float

    def forget(self, tag: Tag, link: bytes) -> None:
        """Leave out a tag that is gone."""
        digest = find_digest(link)
        if digest in self.tags:
            self.tags[digest] = [pair for pair in self.tags[digest] if pair[0] != tag]


class Tags:
    """The tags of all repositories. A tag exists where its `current` link does; its index is history.

    `max_page`: the longest page; a larger `n` is reduced to it (CNCF Distribution's tags.maxtags).
    """

    def __init__(self, driver: Driver, *, max_page: int, now: Callable[[], float] = uptime_s) -> None:
        self._driver = driver
        self._names = TagNames(driver)
        self._cache = ResponseCache()
        self._max_page = max_page
        self._now = now
        self._pointing: _Pointing | None = None  # of the repository of the last deletion

    async def get(self, exchange: Exchange) -> None:
        """Answer with a page of tags in bytewise order; with all if no `n` is given.

        Where rules concern the pull of single tags, only with those that the caller may pull.
        """
        page = parse_page(exchange.route).at_most(self._max_page)
        repository = exchange.repository
        permissions = exchange.permissions
        if permissions is not None and permissions.concern("pull"):
            names = in_pieces(partial(self._find_names, repository), page.last)
            found = await find_shown(names, permissions.shows_tag, page)
            response, _ = await self._make_response(exchange, page, found)
            await response.send(exchange)
            return
        key = (repository, page)
        cached = self._cache.find(key)
        if cached is not None:
            await cached.send(exchange)
            return
        is_current = self._driver.folder_check(layout.tags(repository))
        found = await self._names.find(repository, after=page.last, limit=page.with_next)
        response, is_for_all = await self._make_response(exchange, page, found)
        # An empty list depends on more than the folder of tags: see `is_known`.
        if found and is_for_all and len(page.last) <= MAX_TAG and response.size <= KEPT_BYTES:
            self._cache.put(key, response, is_current)
        await response.send(exchange)

    async def _make_response(self, exchange: Exchange, page: Page, found: Sequence[Tag]) -> tuple[CachedResponse, bool]:
        """The response, and whether it is the same for every client: a `Link` contains the host that was requested."""
        repository = exchange.repository
        if not found and not await is_known(self._driver, repository):
            raise NameUnknown(detail={"name": repository})
        shown, link = next_link(exchange.view, f"/v2/{repository}/tags/list", page, found)
        body = f'{{"name":"{repository}","tags":{to_json(shown)}}}'.encode()
        return CachedResponse(body, "application/json", headers=link), not link

    async def _find_names(self, repository: Repository, after: str, limit: int) -> list[Tag]:
        return await self._names.find(repository, after=after, limit=limit)

    async def find(self, repository: Repository, tag: Tag) -> Digest | None:
        """The digest that a tag points at."""
        [link] = await self._driver.read([layout.tag_current(repository, tag)])
        return find_digest(link)

    async def pointing_at(self, repository: Repository, digests: Collection[Digest]) -> dict[Tag, bytes]:
        """The tags that point at one of these digests, each with its link."""
        pointing = await self.by_digest(repository)
        found = {tag: link for digest in digests for tag, link in pointing.get(digest, ())}
        # Another node may have set one since: each push leaves its entry in the history first.
        tags: list[Tag] = []
        for digest in digests:
            if digest.algorithm == "sha256":
                pushes = await pushes_of(self._driver, repository, digest)
                tags += {push.tag for push in pushes if push.tag is not None}
        links = await self._driver.read([layout.tag_current(repository, tag) for tag in tags], fresh=True)
        return found | {
            tag: link for tag, link in zip(tags, links, strict=True) if link and find_digest(link) in digests
        }

    async def remove(self, deletion: Deletion, repository: Repository, tag: Tag, expected: bytes) -> bool:
        """Remove a tag whose link still says `expected`, durably. False: it no longer does, or was pushed again."""
        current = layout.tag_current(repository, tag)
        known = self._find_known(repository)
        if not await deletion.remove_if(current, expected):
            return False
        self._names.forget(repository, tag)
        await self._driver.delete_tree(layout.tag_index(repository, tag))
        # A push at the same moment may have lost its entry.
        [link] = await self._driver.read([current], fresh=True)
        if (digest := find_digest(link)) is not None:
            await self._driver.write_all([index_links(repository, [tag], digest)])
        elif known is not None:
            self._stay_known(known, tag, expected)
        return True

    def _find_known(self, repository: Repository) -> _Pointing | None:
        known = self._pointing
        return known if known is not None and known.repository == repository and known.is_current() else None

    def _stay_known(self, known: _Pointing, tag: Tag, link: bytes) -> None:
        """Know the same tags without one that this process has removed: reading all again for each takes too long.

        A push in the meantime goes unnoticed here, as one by another node does: `pointing_at` finds both.
        """
        known.forget(tag, link)
        is_current = self._driver.folder_check(layout.tags(known.repository))
        if self._pointing is known and is_current is not None and self._now() < known.until:
            self._pointing = known._replace(is_current=is_current)

    async def by_digest(self, repository: Repository) -> Mapping[Digest, Sequence[tuple[Tag, bytes]]]:
        """The tags of a repository, each with its link, by the digest they point at. May be a second old.

        Reading every link is slow, but the only way: not every program that sets a tag keeps its history. A cleanup
        deletes one manifest after the other, so the last result is reused until a tag changes by something else than
        our own removals, for a second at most.
        """
        if (known := self._find_known(repository)) is not None:
            return known.tags
        until = self._now() + KNOWN_FOR_S
        is_current = self._driver.folder_check(layout.tags(repository))
        found: defaultdict[Digest, list[tuple[Tag, bytes]]] = defaultdict(list)
        async with aclosing(self.links(repository)) as links:
            async for tag, link in links:
                if (digest := find_digest(link)) is not None:
                    found[digest].append((tag, link))
        self._pointing = None if is_current is None else _Pointing(repository, found, is_current, until)
        return found

    def links(self, repository: Repository) -> AsyncGenerator[tuple[Tag, bytes], None]:
        """Every tag with the current content of its link."""
        return self._names.read_links(repository)


def index_links(repository: Repository, tags: Iterable[Tag], digest: Digest) -> WriteGroup:
    """The entries by which CNCF Distribution remembers which digests a tag has had."""
    return [(layout.tag_index_link(repository, tag, digest), to_link(digest)) for tag in tags]
