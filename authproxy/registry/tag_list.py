"""The tags of a repository: the folders in its folder of tags that have a link.

Setting a tag creates its folder first; removing it removes its link first. So a folder without a link is a tag that is
being set or removed, or where that was interrupted: it does not count as a tag, and is checked again each time. A link
that was found is taken to exist as long as its folder does, for at most a second: only another program, or a crash in
the middle of removing it, can remove the link and leave the folder.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import cast

from authproxy.errors import TagInvalid
from authproxy.reference import Repository, Tag, parse_tag
from authproxy.storage import layout
from authproxy.storage.driver import Driver

# How long a link that was found is taken to exist, in seconds.
SEEN_FOR_S = 1.0

# Links that are looked for at once: in a thread this takes a few milliseconds.
LOOK = 1000

# More names than a folder of tags has: all of them.
_ALL = 1 << 60


@dataclass(slots=True)
class _Seen:
    """The tags of a repository whose links were found, all at `since` or later."""

    since: float
    tags: set[str] = field(default_factory=set)
    latest: list[str] = field(default_factory=list)  # the last names all found in `tags`: comparing is much faster
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)  # requests for the same links look for them once
    is_new: bool = True  # the first search has not ended


class TagNames:
    """The tags of all repositories of a driver. `now` is any clock that only goes forward, in seconds."""

    def __init__(
        self, driver: Driver, *, seen_for_s: float = SEEN_FOR_S, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._driver = driver
        self._seen_for_s = seen_for_s
        self._now = now
        self._seen: dict[Repository, _Seen] = {}  # the oldest is the first

    async def find(self, repository: Repository, *, after: str = "", limit: int | None = None) -> list[Tag]:
        """The tags greater than `after`, at most `limit` (None: all), in bytewise order.

        Checks only the links of these. Does not suspend where they were found recently and the driver has the listing.
        """
        found: list[Tag] = []
        wanted = _ALL if limit is None else limit
        while True:
            missing = wanted - len(found)
            names = await self._driver.list_names(layout.tags(repository), after=after, limit=missing)
            if not names:
                return found
            found += (
                cast("list[Tag]", names) if self._have_seen(repository, names) else await self._look(repository, names)
            )
            if len(names) < missing or len(found) >= wanted:
                return found
            after = names[-1]

    async def read_links(self, repository: Repository) -> AsyncGenerator[tuple[Tag, bytes], None]:
        """Every tag with the current content of its link. Reads every link: for rare occasions."""
        names = await self._driver.list_names(layout.tags(repository), limit=_ALL)
        for tags in _in_turns(tag for name in names if (tag := _find_tag(name))):
            links = await self._driver.read([layout.tag_current(repository, tag) for tag in tags], fresh=True)
            for tag, link in zip(tags, links, strict=True):
                if link:  # an empty one is a tag that was deleted where a storage can't delete by condition
                    yield tag, link

    def forget(self, repository: Repository, tag: Tag) -> None:
        """Check a tag's link again the next time."""
        if (seen := self._seen.get(repository)) is not None:
            seen.tags.discard(tag)
            seen.latest = []

    def _have_seen(self, repository: Repository, names: list[str]) -> bool:
        seen = self._seen.get(repository)
        if seen is None or not self._is_valid(seen):
            return False
        if seen.latest != names:
            if not seen.tags.issuperset(names):
                return False
            seen.latest = names
        return True

    async def _look(self, repository: Repository, names: list[str]) -> list[Tag]:
        seen = self._begin(repository)
        async with seen.looking:
            unseen = (tag for name in names if name not in seen.tags and (tag := _find_tag(name)))
            try:
                for tags in _in_turns(unseen):
                    sizes = await self._driver.sizes([layout.tag_current(repository, tag) for tag in tags])
                    seen.tags |= {tag for tag, size in zip(tags, sizes, strict=True) if size}  # empty: deleted
            finally:
                seen.is_new = False
        return [Tag(name) for name in names if name in seen.tags]

    def _begin(self, repository: Repository) -> _Seen:
        """The tags seen in a repository, or a new record; drops the records of all repositories that are too old."""
        while self._seen and not self._is_valid(self._seen[oldest := next(iter(self._seen))]):
            del self._seen[oldest]
        return self._seen.setdefault(repository, _Seen(self._now()))

    def _is_valid(self, seen: _Seen) -> bool:
        # However long the first search takes, all requests during it share it.
        return seen.is_new or self._now() - seen.since < self._seen_for_s


def _in_turns(tags: Iterable[Tag]) -> Iterator[list[Tag]]:
    rest = iter(tags)
    while turn := list(islice(rest, LOOK)):
        yield turn


def _find_tag(name: str) -> Tag | None:
    try:
        return parse_tag(name)
    except TagInvalid:
        return None
