"""The history of a repository: an object for each push of a manifest, created before its tag and never changed.

It says when a manifest was pushed, to which tag, and by whom. The name of an entry begins with the digest of the
manifest, so that all tags that a manifest has ever had are found by one listing:

    <hex digits of the sha256 digest after the first two>_<tag, or nothing>_<time>_<nonce>

An entry whose push was interrupted may exist without effect: the tag then points elsewhere.
"""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from authproxy.digest import Digest
from authproxy.errors import TagInvalid
from authproxy.reference import Repository, Tag, parse_tag
from authproxy.storage import state_layout
from authproxy.storage.driver import BATCH, Driver, list_all
from authproxy.storage.layout import StorePath
from authproxy.storage.records import VERSION

# In the name of an entry: the time, in UTC, to the microsecond.
_TIME = "%Y%m%dT%H%M%S%fZ"
_NAME = re.compile(r"([0-9a-f]{62})_(.*)_([0-9]{8}T[0-9]{12}Z)_([0-9a-f]+)")


@dataclass(frozen=True, slots=True)
class Push:
    """One push of a manifest. `digest` is the one under which it is stored, always sha256; `at` is in UTC."""

    digest: Digest
    tag: Tag | None  # None: pushed by its digest alone
    at: datetime
    nonce: str


def entry_of(repository: Repository, push: Push, by: str) -> tuple[StorePath, bytes]:
    """The path and content of a push's entry. `by` is the subject that pushed; empty for an anonymous one."""
    hexes = push.digest.hex
    name = f"{hexes[2:]}_{push.tag or ''}_{push.at.astimezone(UTC).strftime(_TIME)}_{push.nonce}"
    fields = {
        "version": VERSION,
        "nonce": push.nonce,
        "digest": str(push.digest),
        "tag": push.tag,
        "at": push.at.astimezone(UTC).isoformat(),
        "by": by,
    }
    content = json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace")
    return state_layout.push(repository, hexes[:2], name), content


def parse_entry(first_digits: str, name: str) -> Push | None:
    """The push that an entry's name states. None for other names."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        tag = parse_tag(match[2]) if match[2] else None
        at = datetime.strptime(match[3], _TIME).replace(tzinfo=UTC)
    except (TagInvalid, ValueError):
        return None
    return Push(Digest("sha256", first_digits + match[1]), tag, at, match[4])


async def pushes_of(driver: Driver, repository: Repository, stored: Digest) -> list[Push]:
    """The pushes of one manifest, given the digest under which it is stored; by tag, then by time."""
    first, rest = stored.hex[:2], f"{stored.hex[2:]}_"
    folder = state_layout.pushes(repository, first)
    found: list[Push] = []
    names = await driver.list_names(folder, after=rest, limit=BATCH)
    while names:
        for name in names:
            if not name.startswith(rest):
                return found
            if (push := parse_entry(first, name)) is not None:
                found.append(push)
        names = await driver.list_names(folder, after=names[-1], limit=BATCH) if len(names) == BATCH else []
    return found


async def all_pushes(driver: Driver, repository: Repository) -> AsyncIterator[Push]:
    """Every push to a repository that is recorded, by digest."""
    async for folders in list_all(driver, state_layout.pushes_of(repository)):
        for first in folders:
            async for names in list_all(driver, state_layout.pushes(repository, first)):
                for name in names:
                    if (push := parse_entry(first, name)) is not None:
                        yield push


async def pushed_by(driver: Driver, repository: Repository, push: Push) -> str:
    """The subject that pushed. Empty where it was anonymous, or the entry is gone."""
    path, _ = entry_of(repository, push, "")
    [content] = await driver.read([path])
    try:
        return str(json.loads(content or b"{}").get("by", ""))
    except (ValueError, AttributeError):
        return ""
