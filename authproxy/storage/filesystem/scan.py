"""Names in a folder of any size, in batches, in the order of the file system."""

import os
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import islice
from typing import NamedTuple, Protocol

from authproxy.storage.driver import BATCH
from authproxy.storage.filesystem.thread_pool import ThreadPool


class _Entries(Iterator["os.DirEntry[str]"], Protocol):
    def close(self) -> None: ...


class _Taken(NamedTuple):
    """Some names of a folder, and its other entries; None at the end."""

    names: list[str]
    rest: _Entries | None


async def scan_folder(workers: ThreadPool, root: str, folder: str) -> AsyncIterator[list[str]]:
    """The names in a folder, without those with a leading dot, in batches; none where it is missing.

    A symbolic link is left out if it leads to a folder below `root`, or to one that `folder` is in: that one has
    another name, and a walk through both might never end. Others are followed, as readers follow them.
    """
    taken = await workers.run(partial(_open, root, folder), discard=_close)
    try:
        while taken.rest is not None:
            yield taken.names
            taken = await workers.run(partial(_take, taken.rest, root, folder))
        if taken.names:
            yield taken.names
    finally:
        _close(taken)


def _open(root: str, folder: str) -> _Taken:
    try:
        return _take(os.scandir(folder), root, folder)
    except (FileNotFoundError, NotADirectoryError):
        return _Taken([], None)


def _take(entries: _Entries, root: str, folder: str) -> _Taken:
    batch = list(islice(entries, BATCH))
    is_last = len(batch) < BATCH
    if is_last:
        entries.close()
    names = [entry.name for entry in batch if not _is_left_out(entry, root, folder)]
    return _Taken(names, None if is_last else entries)


def _is_left_out(entry: "os.DirEntry[str]", root: str, folder: str) -> bool:
    return entry.name.startswith(".") or (entry.is_symlink() and _leads_back(entry.path, root, folder))


def _leads_back(link: str, root: str, folder: str) -> bool:
    target = os.path.realpath(link)
    if not os.path.isdir(target):
        return False
    return _is_within(target, os.path.realpath(root)) or _is_within(os.path.realpath(folder), target)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _close(taken: _Taken) -> None:
    if taken.rest is not None:
        taken.rest.close()
