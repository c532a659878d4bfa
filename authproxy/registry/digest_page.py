"""One page of a list for which manifests are examined one after the other, in the order of their digests."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Generic, NamedTuple, TypeVar

from authproxy.digest import HEX_LENGTH, Digest, parse_digest
from authproxy.pagination import parse_page
from authproxy.route import Route

# The most entries of a page.
MAX_PAGE = 1000

# The most that one request examines: manifests, and their bytes in all. Then the page ends, however few it lists.
MAX_LOOKED_AT = 5000
MAX_READ_BYTES = 16 * 1024 * 1024

# Names in one listing of the storage, and manifests that are read at once.
LOOK = 1000
BATCH = 8

# After parsing a manifest longer than this, in bytes, other requests get a turn of the event loop.
LARGE_BYTES = 64 * 1024

Entry = TypeVar("Entry")


class Examined(NamedTuple, Generic[Entry]):
    """A manifest that was examined for the list."""

    digest: Digest
    entry: Entry | None  # None: it doesn't belong to the list
    read_bytes: int


class DigestPage(Generic[Entry]):
    """The page that a request asks for, while it is filled."""

    def __init__(self, route: Route) -> None:
        asked = parse_page(route, default=MAX_PAGE).at_most(MAX_PAGE)
        assert asked.limit is not None
        self.limit = asked.limit
        self.after = parse_digest(asked.last) if asked.last else None  # the last digest of the page before
        self.shown: list[Entry] = []
        self.last: Digest | None = None  # the manifest examined last
        self.has_more = False
        self._looked_at = 0
        self._read_bytes = 0

    async def fill(
        self, examined: AsyncGenerator[Examined[Entry], None], fits: Callable[[Entry], bool] = lambda _: True
    ) -> None:
        """Take manifests until the page is full. `fits`: whether a further entry does."""
        async with aclosing(examined):
            if self.limit > 0:
                async for found in examined:
                    if not self._take(found, fits):
                        self.has_more = True
                        return

    def _take(self, found: Examined[Entry], fits: Callable[[Entry], bool]) -> bool:
        """Take a manifest. False: the page is full, and the next one begins with this one."""
        if self._looked_at >= MAX_LOOKED_AT or self._read_bytes >= MAX_READ_BYTES:
            return False
        if found.entry is not None:
            if len(self.shown) >= self.limit or not fits(found.entry):
                return False
            self.shown.append(found.entry)
        self.last = found.digest
        self._looked_at += 1
        self._read_bytes += found.read_bytes
        return True


def algorithms_after(after: Digest | None) -> Iterator[tuple[str, str]]:
    """The algorithms of digests greater than `after`, in order, each with the hex digits after which these come."""
    for algorithm in sorted(HEX_LENGTH):
        if after is None or algorithm > after.algorithm:
            yield algorithm, ""
        elif algorithm == after.algorithm:
            yield algorithm, after.hex
