"""The repositories of a storage, in order: a folder below `repositories` that holds blobs or manifests is one.

The order is bytewise by whole names: `a`, `a-b`, `a.b`, `a/b`, `a0`. A plain walk through the folders would return
`a/b` before `a-b`. A page lists the folders of its own names and of their parents, and hardly any others.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from authproxy.errors import NameInvalid
from authproxy.reference import Repository, parse_repository
from authproxy.registry.links import is_known, is_known_by
from authproxy.storage import layout
from authproxy.storage.driver import Driver, list_all
from authproxy.storage.layout import StorePath

# Names in one listing of a folder.
LOOK = 1000

# Where everything is in memory, other requests get a turn after this many listings: about a millisecond.
TURN = 100

# Characters that sort before "/": `after` need not be a name, so it may contain any of these.
_BEFORE_SLASH = re.compile(r"[\x00-.]")


async def find_repositories(
    driver: Driver, *, after: str = "", limit: int, only_own_names: bool = False
) -> list[Repository]:
    """The repositories whose names are greater than `after`, at most `limit`.

    `only_own_names`: each once, without links that lead back into the storage (see `Driver.own_names`).
    """
    walk = _Walk(driver, after, limit, only_own_names=only_own_names)
    await walk.go("", None)
    return walk.found


async def all_repositories(driver: Driver) -> AsyncIterator[Repository]:
    """The names of all repositories, in order, each repository once."""
    after = ""
    while found := await find_repositories(driver, after=after, limit=LOOK, only_own_names=True):
        for repository in found:
            yield repository
        after = found[-1]


async def repositories_in_state(
    driver: Driver, below: Callable[[str], StorePath], prefix: str = ""
) -> AsyncIterator[Repository]:
    """The repositories of which a tree of our own state says something: see storage/state_layout.py.

    `below` is the folder of the names that begin with a prefix: "" or names of folders, each with a slash.
    """
    async for entries in list_all(driver, below(prefix)):
        for entry in entries:
            if entry.startswith("_"):
                with suppress(NameInvalid):
                    yield parse_repository(prefix.rstrip("/"))
                continue
            async for name in repositories_in_state(driver, below, f"{prefix}{entry}/"):
                yield name


class _Walk:
    """One walk through the folders, from `after` on, until `limit` repositories are found."""

    def __init__(self, driver: Driver, after: str, limit: int, *, only_own_names: bool) -> None:
        self.found: list[Repository] = []
        self._driver = driver
        self._after = after
        self._limit = limit
        self._only_own_names = only_own_names
        self._looks = 0

    def _is_full(self) -> bool:
        return len(self.found) >= self._limit

    async def go(self, prefix: str, names: list[str] | None) -> None:
        """Visit the folders below `prefix` ("" or ending in a slash): `names`, or None where they are not known yet."""
        # Folders whose own folders come later: "a/" after "a-b". Each sorts before those that were added earlier.
        waiting: list[tuple[str, list[str] | None]] = []
        last = self._after.removeprefix(prefix) if self._after.startswith(prefix) else ""
        first = _folders_around(last)
        while not self._is_full():
            looked = names if names is not None else await self._look(prefix, last)
            for name in filter(None, (_find_name(prefix, entry) for entry in first + looked)):
                while waiting and waiting[-1][0] < name:
                    await self.go(*waiting.pop())
                if self._is_full():
                    return
                waiting += await self._visit(name)
            if names is not None or len(looked) < LOOK:
                break
            first, last = [], looked[-1]
        while waiting and not self._is_full():
            await self.go(*waiting.pop())

    async def _visit(self, name: Repository) -> list[tuple[str, list[str] | None]]:
        """Add the name, if it is a repository's. Returns the arguments for `go` to visit the folders below, if any."""
        if self._only_own_names and not await self._is_own(name):
            return []
        names = await self._look(inside := f"{name}/", "")
        is_whole = len(names) < LOOK
        if name > self._after and await (
            is_known_by(self._driver, name, names) if is_whole else is_known(self._driver, name)
        ):
            self.found.append(name)
        if not is_whole or self._after.startswith(inside):
            return [(inside, None)]
        folders = [entry for entry in names if not entry.startswith("_")]
        return [(inside, folders)] if folders else []

    async def _is_own(self, name: Repository) -> bool:
        above, _, entry = name.rpartition("/")
        folder = layout.repository(Repository(above)) if above else layout.repositories()
        return bool(await self._driver.own_names(folder, [entry]))

    async def _look(self, prefix: str, after: str) -> list[str]:
        self._looks += 1
        if self._looks % TURN == 0:
            await asyncio.sleep(0)
        folder = layout.repository(Repository(prefix.removesuffix("/"))) if prefix else layout.repositories()
        return await self._driver.list_names(folder, after=after, limit=LOOK)


def _find_name(prefix: str, entry: str) -> Repository | None:
    """The repository name of a folder. None for _layers and _manifests, and for foreign files."""
    try:
        return parse_repository(prefix + entry)
    except NameInvalid:
        return None


def _folders_around(last: str) -> list[str]:
    """The folders up to `last` that can contain names greater than it, in order; they need not exist.

    For "a-b" these are "a" ("a/x" is greater than "a-b") and "a-b"; for "a-b/c" the same.
    """
    here = last.partition("/")[0]
    return [here[: match.start()] for match in _BEFORE_SLASH.finditer(here)] + [here] if here else []
