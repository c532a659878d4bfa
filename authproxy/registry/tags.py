"""Tags: GET /v2/<name>/tags/list, and the links that manifests are found and set by."""

import json
from collections.abc import Collection

from authproxy.digest import Digest
from authproxy.errors import NameUnknown, TagInvalid
from authproxy.reference import Repository, Tag, parse_tag
from authproxy.registry.exchange import Exchange
from authproxy.registry.links import find_digest, is_known, to_link
from authproxy.registry.pages import Page, next_link, parse_page
from authproxy.storage import layout
from authproxy.storage.driver import Driver

# Names that one look into the storage brings.
LOOK = 1000


class Tags:
    """The tags of all repositories. A tag exists where its `current` link does; its index is history.

    `max_page`: a page asked to be longer is this long, and links to the next (CNCF Distribution's tags.maxtags).
    """

    def __init__(self, driver: Driver, *, max_page: int) -> None:
        self._driver = driver
        self._max_page = max_page

    async def get(self, exchange: Exchange) -> None:
        """Answer with a page of tags in bytewise order; with all where no `n` is given."""
        page = parse_page(exchange.route).at_most(self._max_page)
        found = await self._names(exchange.repository, page)
        if not found and not await is_known(self._driver, exchange.repository):
            raise NameUnknown(detail={"name": exchange.repository})
        shown, link = next_link(exchange.origin, f"/v2/{exchange.repository}/tags/list", page, found)
        body = json.dumps({"name": exchange.repository, "tags": shown}, separators=(",", ":")).encode()
        await exchange.answer(200, [("Content-Type", "application/json"), *link], body)

    async def find(self, repository: Repository, tag: Tag) -> Digest | None:
        """What a tag points at."""
        [link] = await self._driver.read([layout.tag_current(repository, tag)])
        return find_digest(link)

    async def point(self, repository: Repository, tag: Tag, digest: Digest) -> None:
        """Set a tag, durably. Its history first: whoever sees the tag finds it there."""
        await self._driver.write(layout.tag_index_link(repository, tag, digest), to_link(digest))
        await self._driver.write(layout.tag_current(repository, tag), to_link(digest))

    async def remove(self, repository: Repository, tag: Tag) -> bool:
        """Remove a tag. False: there was none."""
        return await self._drop(repository, tag, expected=None)

    async def remove_all(self, repository: Repository, digests: Collection[Digest]) -> None:
        """Remove the tags that point at one of these digests; not one that is set to another meanwhile."""
        tags = await self._names(repository, Page())
        links = await self._driver.read([layout.tag_current(repository, tag) for tag in tags])
        for tag, link in zip(tags, links, strict=True):
            if find_digest(link) in digests:
                await self._drop(repository, tag, expected=link)

    async def _drop(self, repository: Repository, tag: Tag, expected: bytes | None) -> bool:
        removed = await self._driver.delete(layout.tag_current(repository, tag), expected=expected)
        if removed:
            await self._driver.delete_tree(layout.tag_index(repository, tag))
        return removed

    async def _names(self, repository: Repository, page: Page) -> list[Tag]:
        """The tags of a page, and one more where more follow."""
        found: list[Tag] = []
        after = page.last
        while page.limit is None or len(found) <= page.limit:
            names = await self._driver.list_names(layout.tags(repository), after=after, limit=LOOK)
            tags = [Tag(name) for name in names if _is_tag(name)]
            # A tag is set with its folder first: without the link it is not there yet, or no longer.
            sizes = await self._driver.sizes([layout.tag_current(repository, tag) for tag in tags])
            found += [tag for tag, size in zip(tags, sizes, strict=True) if size is not None]
            if len(names) < LOOK:
                break
            after = names[-1]
        return found if page.limit is None else found[: page.limit + 1]


def _is_tag(name: str) -> bool:
    try:
        parse_tag(name)
    except TagInvalid:
        return False
    return True
