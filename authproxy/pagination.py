"""Pages of a list: `n` and `last` in the query, `Link` to the next (OCI Distribution 1.1, "Listing Tags")."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Self, TypeVar
from urllib.parse import urlencode

from authproxy.client_view import ClientView
from authproxy.errors import PaginationNumberInvalid
from authproxy.route import Route

T = TypeVar("T", bound=str)

# Entries per batch of a filtered list: deciding about this many takes a few milliseconds.
LOOK = 100

_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a sorted list: at most `limit` entries (None: all) greater than `last`, which need not exist."""

    limit: int | None = None
    last: str = ""

    @property
    def with_next(self) -> int | None:
        """How many entries to read for this page and to know whether there is a next one. None: all."""
        return None if self.limit is None else self.limit + 1

    def at_most(self, limit: int) -> Self:
        """The same page with its limit capped. A page without a limit stays without one."""
        return self if self.limit is None else replace(self, limit=min(limit, self.limit))


def parse_page(route: Route, *, default: int | None = None) -> Page:
    """Read `n` and `last`. Raises PaginationNumberInvalid if `n` is not a number or is negative."""
    number = route.parameter("n")
    if number is None or number == "":
        limit = default
    elif _NUMBER.fullmatch(number) is None:
        raise PaginationNumberInvalid("n is a number of entries: 0 or more", detail={"n": number[:50]})
    else:
        limit = int(number)
    return Page(limit, route.parameter("last") or "")


async def find_shown(pieces: AsyncGenerator[Sequence[T], None], shows: Callable[[T], bool], page: Page) -> list[T]:
    """The visible entries of a page, and the next one after them.

    `pieces` are batches of the unfiltered list after `page.last`.
    """
    found: list[T] = []
    async with aclosing(pieces):
        async for piece in pieces:
            found += filter(shows, piece)
            if page.with_next is not None and len(found) >= page.with_next:
                break
            await asyncio.sleep(0)  # other requests get their turn
    return found[: page.with_next]


async def in_pieces(
    find: Callable[[str, int], Awaitable[Sequence[T]]], after: str
) -> AsyncGenerator[Sequence[T], None]:
    """A list after `after` in batches. `find(after, limit)` returns the next entries; fewer end the list."""
    while looked := await find(after, LOOK):
        yield looked
        if len(looked) < LOOK:
            return
        after = looked[-1]


def next_link(view: ClientView, path: str, page: Page, found: Sequence[T]) -> tuple[list[T], list[tuple[str, str]]]:
    """The entries to show, and the `Link` header if there are more: `found` then has one entry more than the limit.

    A page with a limit of 0 has no link: the next page would be the same.
    """
    if page.limit is None or len(found) <= page.limit:
        return list(found), []
    shown = list(found[: page.limit])
    if not shown:
        return [], []
    address = f"{path}?{urlencode({'last': shown[-1], 'n': page.limit})}"
    return shown, [("Link", f'<{view.location(address)}>; rel="next"')]


def to_json(names: Sequence[T]) -> str:
    """A JSON array of tags or repositories. Their grammars have no character that JSON escapes."""
    return '["' + '","'.join(names) + '"]' if names else "[]"
