"""Tags: GET /v2/<name>/tags/list, and the links that manifests are found and set by."""

from collections.abc import Collection
from contextlib import aclosing

from authproxy.digest import Digest
from authproxy.errors import NameUnknown
from authproxy.reference import Repository, Tag
from authproxy.registry.answers import Answer, Answers
from authproxy.registry.exchange import Exchange
from authproxy.registry.links import find_digest, is_known, to_link
from authproxy.registry.pages import next_link, parse_page, to_json
from authproxy.registry.tag_names import TagNames
from authproxy.storage import layout
from authproxy.storage.driver import Driver

# The longest list, in bytes, that is kept as it was answered; and the longest `last`, in characters: that of a tag.
KEPT_BYTES = 1024 * 1024
MAX_TAG = 128


class Tags:
    """The tags of all repositories. A tag exists where its `current` link does; its index is history.

    `max_page`: a page asked to be longer is this long, and links to the next (CNCF Distribution's tags.maxtags).
    """

    def __init__(self, driver: Driver, *, max_page: int) -> None:
        self._driver = driver
        self._names = TagNames(driver)
        self._answers = Answers()
        self._max_page = max_page

    async def get(self, exchange: Exchange) -> None:
        """Answer with a page of tags in bytewise order; with all where no `n` is given."""
        page = parse_page(exchange.route).at_most(self._max_page)
        repository = exchange.repository
        question = (repository, page)
        answer = self._answers.find(question)
        if answer is not None:
            await answer.send(exchange)
            return
        still = self._driver.unchanged(layout.tags(repository))
        found = await self._names.find(repository, after=page.last, limit=page.with_next)
        if not found and not await is_known(self._driver, repository):
            raise NameUnknown(detail={"name": repository})
        shown, link = next_link(exchange.origin, f"/v2/{repository}/tags/list", page, found)
        body = f'{{"name":"{repository}","tags":{to_json(shown)}}}'.encode()
        answer = Answer(body, "application/json", headers=link)
        # A link names the host that this client asked. Of a list of none more than its folder decides: see `is_known`.
        if found and not link and len(page.last) <= MAX_TAG and len(body) <= KEPT_BYTES:
            self._answers.keep(question, answer, still)
        await answer.send(exchange)

    async def find(self, repository: Repository, tag: Tag) -> Digest | None:
        """What a tag points at."""
        [link] = await self._driver.read([layout.tag_current(repository, tag)])
        return find_digest(link)

    async def remove(self, repository: Repository, tag: Tag) -> bool:
        """Remove a tag. False: there was none."""
        return await self._drop(repository, tag, expected=None)

    async def remove_all(self, repository: Repository, digests: Collection[Digest]) -> None:
        """Remove the tags that point at one of these digests; not one that is set to another meanwhile."""
        # Reading every link is slow, and the only way: not every program that sets a tag keeps its history.
        async with aclosing(self._names.read_links(repository)) as links:
            async for tag, link in links:
                if find_digest(link) in digests:
                    await self._drop(repository, tag, expected=link)

    async def _drop(self, repository: Repository, tag: Tag, expected: bytes | None) -> bool:
        removed = await self._driver.delete(layout.tag_current(repository, tag), expected=expected)
        if removed:
            self._names.forget(repository, tag)
            await self._driver.delete_tree(layout.tag_index(repository, tag))
        return removed


def tag_links(repository: Repository, tag: Tag, digest: Digest) -> list[tuple[layout.StorePath, bytes]]:
    """What sets a tag. Its history first: whoever sees the tag finds it there."""
    link = to_link(digest)
    return [(layout.tag_index_link(repository, tag, digest), link), (layout.tag_current(repository, tag), link)]
