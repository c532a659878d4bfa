"""The notice of changes: one record with the names of the records that changed last, which nodes read once a second.

So a node that keeps a copy of many records reads one of them while nothing changes. A writer notes a change after its
record is durable and before it answers. If it is killed in between, there is no note: a reader that needs certainty
reads its record itself, as token/stored_revocations.py does, and all others look at everything every ten minutes.
"""

import asyncio
import json
import math
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from authproxy.clock import Clock, uptime_s
from authproxy.log.alarms import sound
from authproxy.storage.driver import Driver
from authproxy.storage.layout import StorePath
from authproxy.storage.records import Fields, RecordContended, Records, RecordUnreadable, is_newer
from authproxy.storage.state_layout import changed

# How many names the record keeps: a node that missed more looks at everything.
MAX_NAMES = 500
LOOK_EVERY_S = 1.0
# How often a reader looks at everything, in seconds.
EVERYTHING_EVERY_S = 600.0

# Called with the names that changed; None: anything may have changed.
Changed: TypeAlias = Callable[[Collection[StorePath] | None], None]


class ChangeNotice:
    """Notes changes. Calls at the same time share a write."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._records = Records(driver)
        self._waiting: dict[StorePath, None] = {}
        self._one_at_a_time = asyncio.Lock()

    async def note(self, *names: StorePath) -> None:
        """Note that these records have changed; they must be durable. Raises RecordContended, StorageFull."""
        self._waiting.update(dict.fromkeys(names))
        async with self._one_at_a_time:
            taken, self._waiting = self._waiting, {}
            if not taken:  # a call before this one has noted them
                return
            try:
                await self._write(list(taken))
            except BaseException:
                self._waiting = {**taken, **self._waiting}  # those whose calls wait are not noted yet
                raise

    async def _write(self, names: list[StorePath]) -> None:
        def change(fields: Fields) -> Fields:
            notice = _parse(fields) or _Notice(secrets.token_hex(8), 0, ())
            number = notice.number + 1
            kept = [*notice.names, *((number, name) for name in names)][-MAX_NAMES:]
            # What is left out of the last ones is unknown: a reader from before it looks at everything.
            return {**fields, "id": notice.id, "number": number, "names": kept}

        try:
            await self._records.update(changed(), change)
        except RecordUnreadable:
            [content] = await self._driver.read([changed()], fresh=True)
            if content is None or is_newer(content):
                raise
            # Only a hint is lost: with another id, every reader looks at everything.
            if not await self._driver.replace(changed(), self._records.encode(change({})), expected=content):
                raise RecordContended from None


@dataclass(frozen=True, slots=True)
class _Notice:
    id: str
    number: int
    names: tuple[tuple[int, StorePath], ...]

    def since(self, before: "_Notice") -> set[StorePath] | None:
        """The names that were noted since. None: unknown."""
        if self.id != before.id or self.number < before.number:
            return None
        if len(self.names) >= MAX_NAMES and self.names[0][0] > before.number:
            return None
        return {name for number, name in self.names if number > before.number}


_NOTHING = _Notice("", 0, ())


class FollowChanges:
    """Reads the notice, and calls those who follow it. `now` never goes back and runs while suspended."""

    def __init__(self, driver: Driver, *, now: Clock = uptime_s) -> None:
        self._driver = driver
        self._now = now
        self._followers: list[tuple[str, Changed]] = []
        self._content: bytes | None = None
        self._notice = _NOTHING
        self._everything_at = -math.inf  # when everything was looked at last

    def follow(self, prefix: str, call: Changed) -> None:
        """Call `call` for changes of records whose path begins so: at the first look with None, for everything."""
        self._followers.append((prefix, call))

    async def run(self) -> None:
        """Look once a second until cancelled. What fails is logged, and the next look makes up for it."""
        while True:
            try:
                await self.look()
            except Exception as exc:  # noqa: BLE001 - no error of the storage may end it
                sound("changes of other nodes are not seen", reason=str(exc) or repr(exc))
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Read the notice, and call those whose records have changed. Raises the storage's errors."""
        now = self._now()
        [content] = await self._driver.read([changed()], fresh=True)
        if now - self._everything_at >= EVERYTHING_EVERY_S:
            self._tell(None)
            self._everything_at = now
        elif content != self._content:
            self._tell(_read(content).since(self._notice) if self._notice.id or content is None else None)
        self._content, self._notice = content, _read(content)

    def _tell(self, names: set[StorePath] | None) -> None:
        for prefix, call in self._followers:
            wanted = None if names is None else {name for name in names if name.startswith(prefix)}
            if wanted is None or wanted:
                try:
                    call(wanted)
                except Exception as exc:  # noqa: BLE001 - the others must learn of it too
                    sound("a change of another node is not in force", reason=repr(exc), records=prefix)


def _read(content: bytes | None) -> _Notice:
    """A notice that can't be read has no id: it follows no other."""
    try:
        fields = {} if content is None else json.loads(content)
    except (ValueError, RecursionError):
        return _NOTHING
    return (_parse(fields) if isinstance(fields, dict) else None) or _NOTHING


def _parse(fields: Mapping[str, Any]) -> _Notice | None:
    names, number, identity = fields.get("names"), fields.get("number"), fields.get("id")
    if not isinstance(identity, str) or not isinstance(number, int) or not isinstance(names, list | tuple):
        return None
    if not all(isinstance(entry, list | tuple) and [*map(type, entry)] in _ENTRIES for entry in names):
        return None
    return _Notice(identity, number, tuple((number, StorePath(name)) for number, name in names))


_ENTRIES = ([int, str],)
