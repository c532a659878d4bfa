"""Names in a folder of any size, in batches, in the order of the file system."""

import errno
import os
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import islice
from typing import NamedTuple, Protocol

from authproxy.storage.driver import BATCH
from authproxy.storage.filesystem.thread_pool import ThreadPool
from authproxy.storage.layout import StorePath, repositories, walk_of


class _Entries(Iterator["os.DirEntry[str]"], Protocol):
    def close(self) -> None: ...


class _Taken(NamedTuple):
    """Some names of a folder, and its other entries; None at the end."""

    names: list[str]
    rest: _Entries | None


async def scan_folder(workers: ThreadPool, root: str, folder: StorePath) -> AsyncIterator[list[str]]:
    """The names in a folder of the storage at `root`, without those with a leading dot, in batches.

    None where it is missing. Raises OSError where a link to it leads nowhere, or a repository's to an empty folder: on
    a disk that isn't mounted nothing counts as deleted. Links are left out as `leads_back` says; readers follow others.
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


def leads_back(root: str, folder: StorePath, name: str) -> bool:
    """Whether a name in a folder is a symbolic link that a walk passes by.

    It leads to a folder that the walk has come through, so it would never end; or to one that the walk comes to by
    another name. The storage may also lead to its own disks: what no walk comes to otherwise is followed.
    """
    link = f"{root}/{folder}/{name}"
    if not os.path.islink(link):
        return False
    target = os.path.realpath(link)
    if not os.path.isdir(target):
        return False
    parts = folder.split("/")
    above = ("/".join((root, *parts[:depth])) for depth in range(len(parts) + 1))
    return any(_is_within(os.path.realpath(path), target) for path in above) or _has_own_name(root, folder, target)


def _has_own_name(root: str, folder: StorePath, target: str) -> bool:
    if (walk := walk_of(folder)) is None:
        return False
    top, inside = os.path.realpath(f"{root}/{walk[0]}"), walk[1]
    if not _is_within(target, top):
        return False
    special = [part for part in target.removeprefix(top).split("/") if part.startswith((".", "_"))]
    return special == ([inside] if inside else [])


def _open(root: str, folder: StorePath) -> _Taken:
    path = f"{root}/{folder}"
    try:
        entries = os.scandir(path)
    except (FileNotFoundError, NotADirectoryError):
        _check_links(root, folder)
        return _Taken([], None)
    taken = _take(entries, root, folder)
    is_linked = _is_within(folder, repositories()) and os.path.islink(path)
    if is_linked and not (taken.names or taken.rest or os.listdir(path)):
        raise OSError(errno.ENOENT, "a link to an empty folder: mount its disk, or remove the link", path)
    return taken


def _check_links(root: str, folder: StorePath) -> None:
    """Raise where a folder is missing because a link on the way to it leads nowhere: its disk may not be mounted."""
    path = root
    for part in folder.split("/"):
        path = f"{path}/{part}"
        if os.path.islink(path) and not os.path.exists(path):
            raise OSError(errno.ENOENT, "a link that leads nowhere: mount its disk, or remove the link", path)


def _take(entries: _Entries, root: str, folder: StorePath) -> _Taken:
    batch = list(islice(entries, BATCH))
    is_last = len(batch) < BATCH
    if is_last:
        entries.close()
    names = [
        entry.name
        for entry in batch
        if not (entry.name.startswith(".") or (entry.is_symlink() and leads_back(root, folder, entry.name)))
    ]
    return _Taken(names, None if is_last else entries)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _close(taken: _Taken) -> None:
    if taken.rest is not None:
        taken.rest.close()
