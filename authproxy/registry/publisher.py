"""How a manifest and its tags become visible beside deletions: the steps of a push in registry/deletions.py.

Links that a deletion removes between the look and the response are put back: the push has seen them, so the repository
held them, and only the collector removes bytes.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias, TypeVar

from authproxy.digest import Digest
from authproxy.errors import ManifestBlobUnknown, SizeInvalid, Unavailable
from authproxy.reference import Repository, Tag
from authproxy.registry.deletions import MAX_AGE_S, Deletions, DeletionUnderWay, HeldUp, Name
from authproxy.registry.history import Push, entry_of
from authproxy.registry.links import to_link
from authproxy.registry.promises import BeingDeleted, Promises
from authproxy.registry.tags import index_links
from authproxy.storage import layout
from authproxy.storage.driver import Driver, Swap, WriteGroup
from authproxy.storage.layout import StorePath

T = TypeVar("T")

# How long a push waits for a deletion that the storage can't stop at once, in seconds, and how often it looks.
WAIT_S = 5.0
WAIT_STEP_S = 0.05

# What the look raises where a manifest can't be complete.
INCOMPLETE = (ManifestBlobUnknown, SizeInvalid)

# Attempts to find all links in place between two deletions in the repository.
ATTEMPTS = 100


class RepositoryContended(Unavailable):
    """Deletions in the repository removed what the push needs each time it was put back."""

    message = "too many deletions in this repository at the moment; try again"


@dataclass(frozen=True, slots=True)
class Begun:
    """What a push found when it began: the links of its tags. `until`: how long it may move them, by Driver.clock_s."""

    tags: Mapping[Tag, bytes | None]
    until: float
    is_new: bool  # the repository didn't hold the manifest


@dataclass(frozen=True, slots=True)
class Publication:
    """A manifest to be made visible in a repository, complete with everything that its links say."""

    repository: Repository
    names: Sequence[Digest]  # it is stored under the first, which is sha256
    digest: Digest  # the one that its tags point at
    content: bytes
    notes: WriteGroup  # for lists of referrers
    relies_on: Collection[Digest]  # what it names and needs
    by: str
    immutable: Collection[Tag] = ()  # set only if they don't exist


# Looks, past every cache, for what a manifest needs, and returns its links. Raises if something is missing.
Look: TypeAlias = Callable[[], Awaitable[Mapping[StorePath, bytes]]]


class Publisher:
    """Makes manifests visible in the repositories of one driver."""

    def __init__(
        self,
        driver: Driver,
        deletions: Deletions,
        promises: Promises,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._driver = driver
        self._deletions = deletions
        self._promises = promises
        self._now = now
        self._sleep = sleep

    async def begin(self, repository: Repository, names: Sequence[Digest], tags: Sequence[Tag]) -> Begun:
        """Read the tags that a push of the manifest with these names will set, before anything else."""
        until = self._driver.clock_s() + MAX_AGE_S
        paths = [layout.tag_current(repository, tag) for tag in tags]
        revisions = [layout.revision_link(repository, name) for name in names]
        links = await self._driver.read([*paths, *revisions], fresh=True)
        return Begun(dict(zip(tags, links[: len(tags)], strict=True)), until, not any(links[len(tags) :]))

    async def publish(self, begun: Begun, new: Publication, look: Look) -> list[Tag]:
        """Make a manifest visible, then its tags. Durable on return.

        Returns the immutable tags that exist, and were not set. Raises what `look` raises, HeldUp,
        DeletionUnderWay, BeingDeleted, RepositoryContended, StorageFull: the client must then try again.
        """
        own = self._own_links(new)
        link = to_link(new.digest)
        swaps = [
            Swap(layout.tag_current(new.repository, tag), link, _expected(seen, tag, new.immutable), begun.until)
            for tag, seen in begun.tags.items()
        ]
        pushes = self._pushes(begun, new)
        async with self._driver.publish(await self._groups(begun, new, own, pushes), swaps) as published:
            number = await self._cancel(begun, new)
            await self._keep(new)
            await self._put_content_back(new)
            try:
                links = {**own, **dict(pushes), **await look()}
            except INCOMPLETE:
                if begun.is_new:
                    await self._withdraw(new, own, look)
                raise
            if await self._put_back(own):
                number = await self._settle(begun, new, links)
            moved = await published.move()
        refused = []
        for tag, is_moved in zip(begun.tags, moved, strict=True):
            if is_moved:
                continue
            if tag in new.immutable:
                refused.append(tag)
            else:
                await self._overwrite(begun, new.repository, tag, link)
        if await self._cancel(begun, new) != number:
            await self._settle(begun, new, links)
            await self._put_tags_back(new.repository, [tag for tag in begun.tags if tag not in refused], link)
        return refused

    async def _withdraw(self, new: Publication, own: Collection[StorePath], look: Look) -> None:
        """Remove the links of a push that is refused, as a deletion: those that another push relies on stay."""
        with suppress(Unavailable, OSError):
            async with self._deletions.begin(new.repository, new.names) as deletion:
                try:
                    await look()
                except INCOMPLETE:
                    await deletion.remove(own)

    def _pushes(self, begun: Begun, new: Publication) -> WriteGroup:
        """The entries of this push in the history."""
        at = self._now()
        return [
            entry_of(new.repository, Push(new.names[0], tag, at, secrets.token_hex(8)), new.by)
            for tag in begun.tags or [None]
        ]

    async def _groups(
        self, begun: Begun, new: Publication, own: Mapping[StorePath, bytes], pushes: WriteGroup
    ) -> list[WriteGroup]:
        """The content, then the links, then what lists show: a visible manifest is complete, a tag has its history."""
        stored = new.names[0]
        blob = layout.blob(stored)
        # Written only if it is missing or damaged.
        content = [] if await self._driver.read([blob]) == [new.content] else [(blob, new.content)]
        index = index_links(new.repository, begun.tags, new.digest)
        # After the revisions: a deletion at the same moment relies on it.
        listed = [*new.notes, *index, *pushes]
        revisions = [(path, link) for path, link in own.items() if (path, link) not in new.notes]
        return [group for group in (content, revisions, listed) if group]

    def _own_links(self, new: Publication) -> dict[StorePath, bytes]:
        link = to_link(new.names[0])
        return {**{layout.revision_link(new.repository, name): link for name in new.names}, **dict(new.notes)}

    async def _overwrite(self, begun: Begun, repository: Repository, tag: Tag, link: bytes) -> None:
        """Point a tag at the manifest though it has changed since the push began: both are under way at once."""
        path = layout.tag_current(repository, tag)
        while True:
            [found] = await self._driver.read([path], fresh=True)
            if found == link or await self._driver.replace(path, link, expected=found, until=begun.until):
                return
            if self._driver.clock_s() > begun.until:
                raise HeldUp(detail={"tag": tag}, headers=[("Retry-After", "1")])

    async def _cancel(self, begun: Begun, new: Publication) -> int:
        """`Deletions.cancel` for all that a push relies on."""
        names: list[Name] = [*new.names, *new.relies_on, *begun.tags]
        return await self._patiently(lambda: self._deletions.cancel(new.repository, names))

    async def _keep(self, new: Publication) -> None:
        """`Promises.keep_pushed_manifest`."""
        content = new.content
        await self._patiently(lambda: self._promises.keep_pushed_manifest(new.repository, new.names, content))

    async def _patiently(self, cancel: Callable[[], Awaitable[T]]) -> T:
        """Wait a while where a deletion can't be cancelled at once. Raises DeletionUnderWay, BeingDeleted."""
        deadline = self._driver.clock_s() + WAIT_S
        while True:
            try:
                return await cancel()
            except (DeletionUnderWay, BeingDeleted):
                if self._driver.clock_s() >= deadline:
                    raise
            await self._sleep(WAIT_STEP_S)

    async def _settle(self, begun: Begun, new: Publication, links: Mapping[StorePath, bytes]) -> int:
        """Put links back until all are there between two deletions. Returns the number of deletions by then."""
        for _ in range(ATTEMPTS):
            number = await self._cancel(begun, new)
            if not await self._put_back(links) and await self._cancel(begun, new) == number:
                return number
        raise RepositoryContended(headers=[("Retry-After", "1")])

    async def _put_tags_back(self, repository: Repository, tags: Sequence[Tag], link: bytes) -> None:
        """Set tags that are missing: a deletion that had begun before this push has removed them."""
        paths = [layout.tag_current(repository, tag) for tag in tags]
        for path, found in zip(paths, await self._driver.read(paths, fresh=True), strict=True):
            if not found:
                await self._driver.replace(path, link, expected=found)

    async def _put_content_back(self, new: Publication) -> None:
        """Write the content again if the collector has removed it before the push was seen."""
        blob = layout.blob(new.names[0])
        if await self._driver.sizes([blob]) == [None]:
            await self._driver.write(blob, new.content)

    async def _put_back(self, links: Mapping[StorePath, bytes]) -> bool:
        """Write the links that are missing. False: none is."""
        found = await self._driver.read(list(links), fresh=True)
        missing = [(path, link) for (path, link), there in zip(links.items(), found, strict=True) if there != link]
        if missing:
            await self._driver.write_all([missing])
        return bool(missing)


def _expected(seen: bytes | None, tag: Tag, immutable: Collection[Tag]) -> bytes | None:
    """What a tag's link must say to be replaced. An immutable tag must not exist."""
    return None if seen and tag in immutable else seen
