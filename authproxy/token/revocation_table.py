"""What is revoked, as a value: the fields of its record, and what a restored backup of them means.

    {"id": "…", "number": 7, "latest": 1768464002, "all_before": 0, "subjects": {"alice": 1768464002}, "seal": "…"}

`id` is the table's for ever, and `number` rises with every change. `latest` is the latest time of all revocations that
ever were. `all_before` revokes everything that was issued before; `subjects` what was issued to one. `seal` is a keyed
hash of all other fields: the key is in `token.keys`, so a change by anyone who can only write to the storage is
noticed. A large table has `shards` instead of `subjects`: see token/revocation_store.py. Times are seconds since 1970.
"""

import hmac
import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

# Fields that every record has, and the seal itself.
_UNSEALED = frozenset({"version", "nonce", "seal"})


class Malformed(Exception):
    """These are not the fields of a table; says why."""


@dataclass(frozen=True, slots=True)
class Table:
    """The revocations of one moment. `others`: fields that this version doesn't know, and keeps."""

    id: str = ""  # "": nothing was ever revoked
    number: int = 0
    latest: float = 0.0
    all_before: float = 0.0
    subjects: Mapping[str, float] = field(default_factory=dict)
    are_files_imported: bool = False
    others: Mapping[str, Any] = field(default_factory=dict)

    def refuses(self, subject: str, issued_at: float) -> bool:
        """Whether what was issued to the subject at that time is revoked."""
        return issued_at < self.all_before or issued_at < self.subjects.get(subject, -math.inf)


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest table that was seen: all that must be remembered of it to recognise an older one."""

    id: str = ""
    number: int = 0
    latest: float = 0.0
    seal: str = ""


def new_id() -> str:
    """An id for a table."""
    return secrets.token_hex(8)


def is_continued(seen: Seen, found: Seen) -> bool:
    """Whether a table may follow the one that was seen. False: it is older, or of another past."""
    if seen.number == 0:
        return True
    is_newer = found.number > seen.number or (found.number == seen.number and found.seal == seen.seal)
    return found.id == seen.id and is_newer


def restarted(seen: Seen, found: Table, now: float) -> Table:
    """The table that takes the place of one that doesn't continue: nothing issued before now is accepted.

    Nor is anything from before the latest revocation that was seen, even if this machine's clock is behind.
    """
    moment = math.ceil(max(now, seen.latest, found.latest, found.all_before))
    number = max(seen.number, found.number) + 1
    identity = found.id or seen.id or new_id()
    return Table(identity, number, moment, moment, are_files_imported=found.are_files_imported, others=found.others)


def seal(fields: Mapping[str, Any], secret: bytes) -> str:
    """The seal of a record's fields."""
    sealed = {name: value for name, value in fields.items() if name not in _UNSEALED}
    text = json.dumps(sealed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hmac.digest(secret, text.encode(errors="surrogatepass"), "sha256").hex()


def has_seal(fields: Mapping[str, Any], secret: bytes) -> bool:
    """Whether the fields have the right seal."""
    found = fields.get("seal")
    return isinstance(found, str) and hmac.compare_digest(found.encode(errors="replace"), seal(fields, secret).encode())


def read_moments(content: object) -> dict[str, float]:
    """Subjects and times. Raises Malformed."""
    if not isinstance(content, dict) or not all(_is_moment(value) for value in content.values()):
        raise Malformed("it must have a time for each subject")
    return content


def read_table(fields: Mapping[str, Any], subjects: Mapping[str, float]) -> Table:
    """The table of a record's fields, with its subjects. Raises Malformed."""
    known = {"id", "number", "latest", "all_before", "subjects", "shards", "imported"}
    number, latest, all_before = (fields.get(name) for name in ("number", "latest", "all_before"))
    if not isinstance(fields.get("id"), str) or not fields["id"]:
        raise Malformed(f"id is {fields.get('id')!r}")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise Malformed(f"number is {number!r}")
    if not _is_moment(latest) or not _is_moment(all_before):
        raise Malformed("latest and all_before must be seconds since 1970")
    others = {name: value for name, value in fields.items() if name not in known | _UNSEALED}
    return Table(fields["id"], number, latest, all_before, subjects, fields.get("imported") is True, others)


def write_fields(table: Table, secret: bytes, *, shards: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The fields of a table's record; with `shards`, these are where its subjects are."""
    where = {"subjects": dict(table.subjects)} if shards is None else {"shards": dict(shards)}
    fields = {
        **table.others,
        "id": table.id,
        "number": table.number,
        "latest": table.latest,
        "all_before": table.all_before,
        "imported": table.are_files_imported,
        **where,
    }
    return {**fields, "seal": seal(fields, secret)}


def _is_moment(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
