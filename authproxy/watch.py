"""Files that change under a running server: policies, users, keys.

They are looked at once a second instead of being subscribed to: a look works on every file system (network shares
and the symlink swaps of Kubernetes' ConfigMaps included) and costs microseconds for the few files there are.
See docs/decisions/0006-look-at-files-once-a-second.md.
"""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import structlog

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0

Fingerprint: TypeAlias = tuple[tuple[str, int, int, int], ...]


class Reloadable(Protocol):
    """Something that was read from files and can be read again."""

    def refresh(self) -> None:
        """Look whether the files changed, and if so read them and swap the new content in, in one step.

        Runs in a thread, never twice at once. Content that does not load leaves the old in force and is logged; it
        does not raise.
        """


def fingerprint(*paths: Path, pattern: str = "*") -> Fingerprint:
    """What files look like from outside: path, inode, size and time of change of each.

    A folder stands for the files in it that match `pattern`. What is missing is left out, so that its appearing shows.
    """
    seen: list[tuple[str, int, int, int]] = []
    for path in _files(paths, pattern):
        try:
            status = path.stat()
        except OSError:
            continue
        seen.append((str(path), status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(seen)


async def keep_fresh(parts: Sequence[Reloadable], *, every_s: float = LOOK_EVERY_S) -> None:
    """Refresh every part once in `every_s` seconds until cancelled."""
    while True:
        await asyncio.sleep(every_s)
        for part in parts:
            try:
                await asyncio.to_thread(part.refresh)
            except Exception:  # one part's fault must not end the looking for the others
                log.exception("reload failed", part=repr(part))


def _files(paths: Iterable[Path], pattern: str) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(path.glob(pattern))
        else:
            yield path
