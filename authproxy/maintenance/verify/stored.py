"""What is stored, by its place: all content in the order of its digests, all repositories in the order of folders.

Names that no registry gives, and folders that can't be listed, are passed on and skipped. No such name gets into a
path.
"""

import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from itertools import islice
from typing import TypeAlias, TypeVar

from authproxy.digest import HEX_LENGTH, Digest, parse_digest
from authproxy.errors import DigestInvalid, Unavailable
from authproxy.reference import Repository, is_repository
from authproxy.storage import layout
from authproxy.storage.driver import BATCH, Driver
from authproxy.storage.layout import ROOT, StorePath

T = TypeVar("T")

# Called with the path of something that doesn't belong there.
Foreign: TypeAlias = Callable[[str], None]
# Called with a folder that can't be listed.
Unlisted: TypeAlias = Callable[[StorePath, Exception], None]

# What a storage raises where it can't say what it holds.
FAULTS = (OSError, Unavailable)

_SHARD = re.compile(r"[0-9a-f]{2}")

# The folders of a repository, which no repository's own name begins like.
FOLDERS = frozenset({layout.LAYERS, layout.MANIFESTS, "_referrers", "_uploads"})


def ignore(*_: object) -> None:
    """For a second walk: the first one has passed on what was wrong."""


def in_batches(items: Iterable[T], length: int) -> Iterator[list[T]]:
    """The same items, at most `length` at a time."""
    rest = iter(items)
    while batch := list(islice(rest, length)):
        yield batch


def parse_hex(algorithm: str, name: str) -> Digest | None:
    """The digest that a folder's name gives, if any."""
    try:
        return parse_digest(f"{algorithm}:{name}")
    except DigestInvalid:
        return None


async def list_folder(driver: Driver, folder: StorePath, unlisted: Unlisted) -> AsyncGenerator[list[str], None]:
    """All names directly below a folder, in order, in batches that are not empty; up to where it can't be listed."""
    after = ""
    while True:
        try:
            names = await driver.list_names(folder, after=after, limit=BATCH)
        except FAULTS as error:
            unlisted(folder, error)
            return
        if names:
            yield names
        if len(names) < BATCH:
            return
        after = names[-1]


async def look_at_top(driver: Driver, foreign: Foreign, unlisted: Unlisted) -> None:
    """Look at what is beside blobs and repositories."""
    for folder, known in ((ROOT, {"blobs", "repositories"}), (StorePath(f"{ROOT}/blobs"), set(HEX_LENGTH))):
        async for names in list_folder(driver, folder, unlisted):
            for name in names:
                if name not in known:
                    foreign(f"{folder}/{name}")


async def all_content(
    driver: Driver, foreign: Foreign, unlisted: Unlisted, *, after: Digest | None = None
) -> AsyncGenerator[list[Digest], None]:
    """The digests of all content after one, in order, in batches that are not empty."""
    for algorithm in sorted(HEX_LENGTH):
        last = ""
        if after is not None:
            if after.algorithm > algorithm:
                continue
            last = after.hex if after.algorithm == algorithm else ""
        shards = layout.blob_shards(algorithm)
        async for names in list_folder(driver, shards, unlisted):
            for shard in names:
                if not _SHARD.fullmatch(shard):
                    foreign(f"{shards}/{shard}")
                elif shard >= last[:2]:
                    folder = layout.blobs(algorithm, shard)
                    async for below in list_folder(driver, folder, unlisted):
                        if batch := _parse_all(algorithm, shard, below, last, foreign):
                            yield batch


def _parse_all(algorithm: str, shard: str, names: list[str], last: str, foreign: Foreign) -> list[Digest]:
    found: list[Digest] = []
    for name in names:
        digest = parse_hex(algorithm, name)
        if digest is None or not name.startswith(shard):
            foreign(f"{layout.blobs(algorithm, shard)}/{name}")
        elif name > last:
            found.append(digest)
    return found


async def all_repositories(
    driver: Driver, foreign: Foreign, unlisted: Unlisted, *, after: str = ""
) -> AsyncGenerator[Repository, None]:
    """Every repository after one, in the order of a walk through the folders: a folder's own comes before those in it.

    Anything with a folder of links, manifests, referrers or uploads counts: more than the catalog shows. Each once: see
    `Driver.own_names`.
    """
    walk = _Walk(driver, foreign, unlisted)
    async for name in walk.below("", tuple(after.split("/")) if after else ()):
        yield name


class _Walk:
    def __init__(self, driver: Driver, foreign: Foreign, unlisted: Unlisted) -> None:
        self._driver = driver
        self._foreign = foreign
        self._unlisted = unlisted

    async def below(self, prefix: str, after: tuple[str, ...]) -> AsyncGenerator[Repository, None]:
        """The repositories below a prefix ("" or ending in a slash), after the one with these further parts."""
        folder = layout.repository(Repository(prefix.removesuffix("/"))) if prefix else layout.repositories()
        async for entries in list_folder(self._driver, folder, self._unlisted):
            for entry in await self._driver.own_names(folder, entries):
                if prefix and entry in FOLDERS:
                    continue
                name = prefix + entry
                if not is_repository(name):
                    self._foreign(f"{folder}/{entry}")
                    continue
                if after and entry < after[0]:
                    continue
                is_on_the_way = bool(after) and entry == after[0]
                if not is_on_the_way and await self._is_repository(Repository(name)):
                    yield Repository(name)
                # What is below the folders that lead to `after` is still to come.
                async for found in self.below(f"{name}/", after[1:] if is_on_the_way else ()):
                    yield found

    async def _is_repository(self, name: Repository) -> bool:
        folder = layout.repository(name)
        try:
            # "^" sorts before "_", and this before every lower-case letter.
            names = await self._driver.list_names(folder, after="^", limit=len(FOLDERS) * 2)
            if not names and not await self._driver.list_names(folder, limit=1):
                self._foreign(f"{folder}")  # a file, or a folder that is left over
        except FAULTS as error:
            self._unlisted(folder, error)
            return False
        return not FOLDERS.isdisjoint(names)
