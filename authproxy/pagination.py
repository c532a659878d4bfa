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

# Entries that one look brings where some are not shown: judging so many takes a few milliseconds.
LOOK = 100

_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a sorted list: at most `limit` entries (None: all) greater than `last`, which need not exist."""

    limit: int | None = None
    last: str = ""

    @property
    def with_next(self) -> int | None:
        """How many entries tell this page and whether there is a next. None: all."""
        return None if self.limit is None else self.limit + 1

    def at_most(self, limit: int) -> Self:
        """The same page, where it was longer no more than so long. One without a limit stays without."""
        return self if self.limit is None else replace(self, limit=min(limit, self.limit))


def parse_page(route: Route, *, default: int | None = None) -> Page:
    """Read `n` and `last`. Raises PaginationNumberInvalid where `n` is no number, or negative."""
    number = route.parameter("n")
    if number is None or number == "":
        limit = default
    elif _NUMBER.fullmatch(number) is None:
        raise PaginationNumberInvalid("n is a number of entries: 0 or more", detail={"n": number[:50]})
    else:
        limit = int(number)
    return Page(limit, route.parameter("last") or "")


async def find_shown(pieces: AsyncGenerator[Sequence[T], None], shows: Callable[[T], bool], page: Page) -> list[T]:
    """The entries of a page, and the one behind it, of a list that is cut down to what somebody may see.

    `pieces` are what the whole list goes on with behind `page.last`.
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
    """A list behind `after`, of which `find(after, limit)` brings the next entries: fewer only at its end."""
    while looked := await find(after, LOOK):
        yield looked
        if len(looked) < LOOK:
            return
        after = looked[-1]


def next_link(view: ClientView, path: str, page: Page, found: Sequence[T]) -> tuple[list[T], list[tuple[str, str]]]:
    """What is shown of `found`, and the `Link` header where there is more: `found` then has one more than the limit.

    A page of none links to nothing: the next would be the same.
    """
    if page.limit is None or len(found) <= page.limit:
        return list(found), []
    shown = list(found[: page.limit])
    if not shown:
        return [], []
    address = f"{path}?{urlencode({'last': shown[-1], 'n': page.limit})}"
    return shown, [("Link", f'<{view.location(address)}>; rel="next"')]


def to_json(names: Sequence[T]) -> str:
    """A JSON array of tags or of repositories: their grammars have nothing that JSON would escape."""
    return '["' + '","'.join(names) + '"]' if names else "[]"
