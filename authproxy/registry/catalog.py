"""The catalog: GET /v2/_catalog (Docker Registry HTTP API V2, "Listing Repositories")."""

import json
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

from authproxy.errors import NameInvalid, PaginationNumberInvalid
from authproxy.reference import Repository, parse_repository
from authproxy.registry.exchange import Exchange
from authproxy.registry.links import is_known
from authproxy.registry.pages import next_link, parse_page
from authproxy.storage import layout
from authproxy.storage.driver import Driver

DEFAULT_PAGE = 100

# Names that one look into the storage brings.
LOOK = 1000

# "/" and all that stands before it in the order of bytes: `last` need not be a name, so it may hold any of them.
_FIRST_WORD = re.compile(r"[\x00-/]")


class Catalog:
    """The names of all repositories. `max_entries`: CNCF Distribution's catalog.maxentries (CVE-2023-2253)."""

    def __init__(self, driver: Driver, max_entries: int) -> None:
        self._driver = driver
        self._max_entries = max_entries

    async def get(self, exchange: Exchange) -> None:
        """Answer with a page of repositories in bytewise order."""
        page = parse_page(exchange.route, default=min(DEFAULT_PAGE, self._max_entries))
        assert page.limit is not None
        if page.limit > self._max_entries:
            raise PaginationNumberInvalid(f"n is at most {self._max_entries}", detail={"n": page.limit})
        found: list[Repository] = []
        async with aclosing(repositories(self._driver, after=page.last)) as names:
            async for name in names:
                found.append(name)
                if len(found) > page.limit:
                    break
        shown, link = next_link(exchange.origin, "/v2/_catalog", page, found)
        body = json.dumps({"repositories": shown}, separators=(",", ":")).encode()
        await exchange.answer(200, [("Content-Type", "application/json"), *link], body)


async def repositories(driver: Driver, *, after: str = "") -> AsyncGenerator[Repository, None]:
    """All repositories whose names are greater than `after`, in bytewise order: `a`, `a-b`, `a.b`, `a/b`, `a0`.

    That is not the order of a folder walk, which would give `a/b` before `a-b`. Looks only where names can still
    follow, a page at a time.
    """
    async for name in _below(driver, "", after):
        if name > after and await is_known(driver, name):
            yield name


async def _below(driver: Driver, prefix: str, after: str) -> AsyncGenerator[Repository, None]:
    """Names that folders below `prefix` ("" or ending in a slash) make, those that are no repositories included."""
    # Folders whose own folders come later: "a/" after "a-b". Each stands before those pushed earlier.
    waiting: list[str] = []
    async for name in _folders(driver, prefix, after):
        while waiting and waiting[-1] < name:
            async for deeper in _below(driver, waiting.pop(), after):
                yield deeper
        yield name
        inside = f"{name}/"
        if inside > after or after.startswith(inside):
            waiting.append(inside)
    while waiting:
        async for deeper in _below(driver, waiting.pop(), after):
            yield deeper


async def _folders(driver: Driver, prefix: str, after: str) -> AsyncGenerator[Repository, None]:
    """The names right below `prefix` in bytewise order, from somewhere before the first that matters."""
    folder = layout.repository(Repository(prefix.removesuffix("/"))) if prefix else layout.repositories()
    last = _start(after.removeprefix(prefix)) if after.startswith(prefix) else ""
    while names := await driver.list_names(folder, after=last, limit=LOOK):
        for entry in names:
            try:
                yield parse_repository(prefix + entry)
            except NameInvalid:  # _layers, _manifests, and what is not ours
                continue
        last = names[-1]


def _start(after: str) -> str:
    """Something less than every folder that can hold a name greater than `after`.

    The first of those is not always `after`'s own: "a/b" is greater than "a-b", so the folder "a" counts.
    """
    return _FIRST_WORD.split(after, maxsplit=1)[0][:-1]
