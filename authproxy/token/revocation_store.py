"""Revocations in the storage: one record, which the server reads once a second and commands change.

    authproxy/v1/tokens/<ring>/revocations         the record: see token/revocation_table.py
    authproxy/v1/tokens/<ring>/shards/<digest>     a part of the subjects of a large table, by its SHA-256

A part is never changed: a new one takes its place, and the record, whose seal covers the digests, names it. `<ring>`
is the id of the key ring whose tokens are meant: several may be used with one storage. See
docs/decisions/0075-keep-revocations-in-the-store.md.
"""

import asyncio
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from authproxy.clock import Clock
from authproxy.errors import StartError
from authproxy.program import command
from authproxy.storage.driver import Driver
from authproxy.storage.records import ATTEMPTS, Record, RecordContended, Records, RecordTooNew, RecordUnreadable
from authproxy.storage.state_layout import revocation_shard, revocations
from authproxy.token.revocation_table import (
    Malformed,
    Seen,
    Table,
    has_seal,
    is_continued,
    new_id,
    read_moments,
    read_table,
    restarted,
    write_fields,
)
from authproxy.token.revocations import LEARNED_WITHIN_S
from authproxy.token.seen_revocations import SeenFile

# A table with more subjects has shards, each with the subjects whose hash begins with the same two hex digits: some
# 100 KB as a record, which is read in one step.
MAX_SUBJECTS = 1500
_DIGEST = re.compile("[0-9a-f]{64}")  # it is part of a path
# How long a storage that seems older than what was seen is looked at before that counts, in seconds: on a network share
# a folder may be shown as it was for a while.
SETTLES_S = 10.0


class RevocationsDamaged(StartError):
    """The record of the revocations, or a part of it, was changed by something else."""


@dataclass(frozen=True, slots=True)
class Found:
    """A table as it was read. `record` None: there is none."""

    record: Record | None
    table: Table
    shards: Mapping[str, str]

    @property
    def seen(self) -> Seen:
        """What must be remembered of it."""
        seal = "" if self.record is None else str(self.record.fields["seal"])
        return Seen(self.table.id, self.table.number, self.table.latest, seal)


NOTHING = Found(None, Table(), {})


class RevocationStore:
    """Reads and changes the table. `secret` seals it; `now` is in seconds since 1970."""

    def __init__(self, driver: Driver, secret: bytes, seen: SeenFile, *, now: Clock = time.time) -> None:
        self._driver = driver
        self._records = Records(driver)
        self._secret = hmac.digest(secret, b"seal", "sha256")
        self._ring = hmac.digest(secret, b"ring", "sha256").hex()[:16]
        self._path = revocations(self._ring)
        self._seen = seen
        self._now = now
        self._known_shards: dict[str, Mapping[str, float]] = {}  # by digest

    async def content(self) -> bytes | None:
        """The record as it is now: while it is the same, nothing else has changed."""
        [content] = await self._driver.read([self._path], fresh=True)
        return content

    async def read(self) -> Found:
        """Read the table. Raises RevocationsDamaged, RecordTooNew."""
        for _ in range(ATTEMPTS):
            try:
                record = await self._records.read(self._path)
                if record is None:
                    return NOTHING
                found = await self._parse(record)
            except RecordTooNew:
                raise
            except Malformed as exc:
                raise self._damaged(str(exc)) from exc
            except RecordUnreadable as exc:
                raise self._damaged("it is damaged") from exc
            if found is not None:
                return found
        raise self._damaged("a part of it is missing")

    async def noted(self, found: Found) -> Seen:
        """What was noted beside the keys of this table, before it was read: see `read_continued`. Raises StartError."""
        return await asyncio.to_thread(self._seen.find, found.table.id)

    async def note(self, found: Found) -> None:
        """Note this table beside the keys. Raises StartError."""
        if found.table.number:
            await asyncio.to_thread(self._seen.note, found.seen)

    async def read_continued(self, remembered: Seen) -> tuple[Found, Seen | None]:
        """Read the table; with what was seen before if it doesn't continue that: see `restart`.

        What was noted is read first, as nothing is noted before it is written: otherwise a change in between would look
        like an older table.
        """
        before = await self.read()
        noted = await self.noted(before)
        found = await self.read()
        if found.table.id != before.table.id:
            noted = await self.noted(found)
            found = await self.read()
        for seen in (remembered, noted):
            if not is_continued(seen, found.seen):
                return found, seen
        return found, None

    async def restart(self, found: Found, seen: Seen) -> Found | None:
        """Replace a table that doesn't continue what was seen. None: it was changed meanwhile. Raises StorageFull."""
        return await self._swap(found, restarted(seen, found.table, self._now() + LEARNED_WITHIN_S))

    async def change(self, change: Callable[[Table], Table], *, settles_s: float = SETTLES_S) -> Table:
        """Change the table, for a command: durable on return. An older one than was seen is restarted first.

        `change` returns the same table if there is nothing to do. Raises StartError, RecordTooNew, RecordContended,
        StorageFull.
        """
        deadline = time.monotonic() + settles_s
        for _ in range(ATTEMPTS):
            found, seen = await self.read_continued(Seen())
            while seen is not None and time.monotonic() < deadline:
                await asyncio.sleep(min(1.0, settles_s))
                found, seen = await self.read_continued(Seen())
            if seen is not None:
                await self.restart(found, seen)
                continue
            if (changed := change(found.table)) is found.table:
                return changed
            if (written := await self._swap(found, _numbered(changed))) is not None:
                await self.note(written)
                return written.table
        raise RecordContended

    async def replace_damaged(self, change: Callable[[Table], Table]) -> Table:
        """Put a new table in place of one that can't be read, for a command that ends all logins."""
        content = await self.content()
        seen = await asyncio.to_thread(self._seen.find, "")
        table = _numbered(change(restarted(seen, Table(), self._now())))
        damaged = None if content is None else Record(self._path, content, {})
        written = await self._swap(Found(damaged, Table(), {}), table)
        if written is None:
            raise RecordContended
        await self.note(written)
        return written.table

    def _damaged(self, why: str) -> "RevocationsDamaged":
        return RevocationsDamaged(
            f"the revocations in the storage can't be used ({self._path}): {why}. Restore this file from the latest"
            f" backup, or end all logins, which replaces it: {command('token revoke --all')}"
        )

    async def _swap(self, found: Found, table: Table) -> Found | None:
        shards = await self._write_shards(found, table)
        fields = write_fields(table, self._secret, shards=shards)
        written = await (
            self._records.create(self._path, fields)
            if found.record is None
            else self._records.swap(found.record, fields)
        )
        if written is None:
            return None
        await self._remove_shards(found.shards, shards or {})
        return Found(written, table, shards or {})

    async def _write_shards(self, found: Found, table: Table) -> dict[str, str] | None:
        if not found.shards and len(table.subjects) <= MAX_SUBJECTS:
            return None
        parts: dict[str, dict[str, float]] = {}
        for subject, moment in table.subjects.items():
            parts.setdefault(shard_of(subject), {})[subject] = moment
        contents = {name: json.dumps(part, sort_keys=True).encode() for name, part in parts.items()}
        shards = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        new = [
            (revocation_shard(self._ring, shards[name]), contents[name])
            for name in shards
            if shards[name] != found.shards.get(name)
        ]
        if new:
            await self._driver.write_all([new])
        self._known_shards = {shards[name]: part for name, part in parts.items()}
        return shards

    async def _remove_shards(self, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """A reader of the record before may still need these: it then reads the record again."""
        for digest in set(before.values()) - set(after.values()):
            await self._driver.delete(revocation_shard(self._ring, digest))

    async def _parse(self, record: Record) -> Found | None:
        """None: a part is missing, perhaps since the record was just replaced. Raises Malformed."""
        fields = record.fields
        if not has_seal(fields, self._secret):
            raise Malformed("its seal is not that of the secret in token.keys")
        if "shards" not in fields:
            return Found(record, read_table(fields, read_moments(fields.get("subjects"))), {})
        shards = _read_shards(fields["shards"])
        known = await self._load(shards.values())
        if known is None:
            return None
        self._known_shards = known
        subjects = {subject: moment for digest in shards.values() for subject, moment in known[digest].items()}
        return Found(record, read_table(fields, subjects), shards)

    async def _load(self, digests: Iterable[str]) -> dict[str, Mapping[str, float]] | None:
        wanted = list(dict.fromkeys(digests))
        known = {digest: self._known_shards[digest] for digest in wanted if digest in self._known_shards}
        missing = [digest for digest in wanted if digest not in known]
        contents = await self._driver.read([revocation_shard(self._ring, digest) for digest in missing], fresh=True)
        for digest, content in zip(missing, contents, strict=True):
            if content is None:
                return None
            if hashlib.sha256(content).hexdigest() != digest:
                raise Malformed(f"its part {digest} is damaged")
            known[digest] = read_moments(_loads(content))
        return known


def shard_of(subject: str) -> str:
    """The name of the shard that a subject belongs to."""
    return hashlib.sha256(subject.encode(errors="surrogatepass")).hexdigest()[:2]


def revoked(subject: str, moment: float) -> Callable[[Table], Table]:
    """A change: nothing issued to the subject before is accepted. An earlier revocation is never weakened."""

    def change(table: Table) -> Table:
        if table.subjects.get(subject, 0.0) >= moment:
            return table
        return replace(table, subjects={**table.subjects, subject: moment}, latest=max(table.latest, moment))

    return change


def all_revoked(moment: float) -> Callable[[Table], Table]:
    """A change: nothing issued before is accepted, to anyone."""

    def change(table: Table) -> Table:
        if table.all_before >= moment:
            return table
        return replace(table, all_before=moment, latest=max(table.latest, moment))

    return change


def restored(subject: str | None) -> Callable[[Table], Table]:
    """A change: the revocation of a subject, or of everyone (None), is taken back."""

    def change(table: Table) -> Table:
        if subject is None:
            return replace(table, all_before=0.0) if table.all_before else table
        left = {name: moment for name, moment in table.subjects.items() if name != subject}
        return table if len(left) == len(table.subjects) else replace(table, subjects=left)

    return change


def imported(moments: Mapping[str, float]) -> Callable[[Table], Table]:
    """A change: the revocations of files are taken over, once."""

    def change(table: Table) -> Table:
        if table.are_files_imported or not moments:
            return table
        subjects = dict(table.subjects)
        for subject, moment in moments.items():
            subjects[subject] = max(moment, subjects.get(subject, 0.0))
        latest = max(table.latest, *moments.values())
        return replace(table, subjects=subjects, latest=latest, are_files_imported=True)

    return change


def _numbered(table: Table) -> Table:
    return replace(table, id=table.id or new_id(), number=table.number + 1)


def _read_shards(content: object) -> dict[str, str]:
    if not isinstance(content, dict) or not all(map(_is_digest, content.values())):
        raise Malformed("shards must be digests")
    return content


def _is_digest(text: object) -> bool:
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def _loads(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise Malformed(str(exc)) from exc
