"""Deletions under way: how a deletion and the pushes beside it never leave a manifest without what it names.

Each repository has one record: a number that rises with each deletion, and the deletions that are under way with the
names of what they remove: digests, and tags.

    a deletion                                      a push
    1. is recorded                                  1. makes its links visible
    2. looks for what needs this: nothing, or it    2. reads the record: cancels a deletion of what it relies on
       ends here                                    3. looks for what it relies on: it is there, or the push fails
    3. removes links, each only as long as its      4. moves its tags
       entry is in the record: delete_fenced        5. reads the record: the same number, or it looks again, and
    4. takes its entry out                             puts back what it has seen

If the deletion doesn't see the push in step 2, the push made its links visible later, so it finds the entry in its own
step 2, or the links gone in step 3. A process that stops anywhere leaves at most an entry that the next push cancels.
The proof, and the model that runs every interleaving: docs/explanation/garbage-collection.md.
"""

import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from math import ceil
from typing import Any, TypeAlias

from authproxy.digest import Digest
from authproxy.errors import Unavailable
from authproxy.reference import Repository, Tag
from authproxy.storage import state_layout
from authproxy.storage.driver import Driver, Fence
from authproxy.storage.layout import StorePath
from authproxy.storage.records import Fields, Record, Records

# How old a request may be, in seconds, to move or to remove a tag. An older one has been held up: its client has given
# up, and a newer push must not be undone, not even one of what the tag pointed at before.
MAX_AGE_S = 30.0


class HeldUp(Unavailable):
    """The request began too long ago to change a tag."""

    message = "the request was held up for too long; try again"


class DeletionUnderWay(Unavailable):
    """Something that the push relies on is being deleted, by a process that may have stopped."""

    message = "content that this needs is being deleted at the moment; try again"


# What a deletion removes: a manifest or a blob by its digests, or a tag, which has no colon.
Name: TypeAlias = Digest | Tag


class Deletion:
    """One deletion, from its entry in the record to its end."""

    def __init__(self, driver: Driver, records: Records, record: Record, name: str) -> None:
        self._driver = driver
        self._records = records
        self._record = record
        self._name = name

    @property
    def _entry(self) -> Any:
        return _under_way(self._record.fields).get(self._name)

    async def remove(self, paths: Iterable[StorePath]) -> bool:
        """Remove links, one by one. False: a push has cancelled the deletion, and the rest stays."""
        for path in paths:
            while not await self._driver.delete_fenced(path, self._fence()):
                if not await self._reread():
                    return False
        return True

    async def remove_if(self, path: StorePath, expected: bytes) -> bool:
        """Remove a link that says `expected`. False: a push has cancelled the deletion, or it says something else."""
        while not await self._driver.delete_fenced(path, self._fence(), expected=expected):
            # Also where the answer was lost, and the link is gone.
            [link] = await self._driver.read([path], fresh=True)
            if link != expected or not await self._reread():
                return not link
        return True

    async def end(self) -> None:
        """Take the entry out of the record."""
        await self._records.update(self._record.path, self._without)

    def _fence(self) -> Fence:
        return Fence(self._record.path, self._record.content, self._entry["until"])

    async def _reread(self) -> bool:
        """Read the record again: another deletion has changed it, or the fence has expired. False: cancelled."""
        until = self._driver.clock_s() + self._driver.fence_s
        updated = await self._records.update(self._record.path, lambda fields: self._prolonged(fields, until))
        if updated is None or self._name not in _under_way(updated.fields):
            return False
        self._record = updated
        return True

    def _prolonged(self, fields: Fields, until: float) -> Fields | None:
        under_way = _under_way(fields)
        entry = under_way.get(self._name)
        if entry is None or entry["until"] >= until - self._driver.fence_s / 4:
            return None
        return {**fields, "under_way": {**under_way, self._name: {**entry, "until": until}}}

    def _without(self, fields: Fields) -> Fields | None:
        under_way = _under_way(fields)
        if self._name not in under_way:
            return None
        return {**fields, "under_way": {name: entry for name, entry in under_way.items() if name != self._name}}


class Deletions:
    """The deletions in all repositories of a driver."""

    def __init__(self, driver: Driver, *, new_name: Callable[[], str] = lambda: secrets.token_hex(8)) -> None:
        self._driver = driver
        self._records = Records(driver)
        self._new_name = new_name

    @asynccontextmanager
    async def begin(self, repository: Repository, names: Iterable[Name]) -> AsyncIterator[Deletion]:
        """Record a deletion of what has these names. Its entry ends with the block. Raises HeldUp."""
        name = self._new_name()
        entry = {"names": [str(each) for each in names], "until": self._driver.clock_s() + self._driver.fence_s}

        def add(fields: Fields) -> Fields:
            number = fields.get("number", 0) + 1
            return {**fields, "number": number, "under_way": {**self._alive(fields), name: entry}}

        until = self._driver.clock_s() + MAX_AGE_S
        record = await self._records.update(state_layout.deletions(repository), add)
        assert record is not None
        deletion = Deletion(self._driver, self._records, record, name)
        if self._driver.clock_s() > until:
            await deletion.end()
            raise HeldUp(headers=[("Retry-After", "1")])
        try:
            yield deletion
        except (OSError, Unavailable):
            # Where the storage can't compare, a removal without an answer may still take place: the entry ends by time.
            if not self._driver.fence_s:
                await deletion.end()
            raise
        except BaseException:
            await deletion.end()
            raise
        await deletion.end()

    async def is_under_way(self, repository: Repository, name: Name) -> bool:
        """Whether something of this name is being deleted, or was when a process stopped. Raises RecordUnreadable."""
        record = await self._records.read(state_layout.deletions(repository))
        entries = () if record is None else _under_way(record.fields).values()
        return any(str(name) in entry["names"] for entry in entries)

    def _alive(self, fields: Fields) -> dict[str, Any]:
        """The entries without those that have ended by their time."""
        now, under_way = self._driver.clock_s(), _under_way(fields)
        if not self._driver.fence_s:
            return under_way
        return {name: entry for name, entry in under_way.items() if entry["until"] > now}

    async def cancel(self, repository: Repository, names: Iterable[Name]) -> int:
        """Cancel the deletions under way of what has one of these names. Returns how many deletions have ever begun.

        Raises DeletionUnderWay if the storage may still remove something: then nothing was cancelled.
        """
        texts = {str(name) for name in names}

        def without(fields: Fields) -> Fields | None:
            under_way = _under_way(fields)
            stopped = {name: entry for name, entry in under_way.items() if not texts.isdisjoint(entry["names"])}
            if not stopped:
                return None
            left = max(entry["until"] for entry in stopped.values()) - self._driver.clock_s()
            if left > 0 and self._driver.fence_s:
                raise DeletionUnderWay(headers=[("Retry-After", str(ceil(left)))])
            return {**fields, "under_way": {name: each for name, each in under_way.items() if name not in stopped}}

        record = await self._records.update(state_layout.deletions(repository), without)
        return 0 if record is None else int(record.fields.get("number", 0))


def _under_way(fields: Fields) -> dict[str, Any]:
    found: dict[str, Any] = fields.get("under_way", {})
    return found
