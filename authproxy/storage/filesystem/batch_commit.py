"""Put several files in place together, durably, with as few syncs as possible.

A sync takes as long as the disk needs to answer, nearly the same for one file as for ten at once. So first all folders
are made and all contents written, into files without a name; then everything is synced; then the files get their names,
in order; then their folders are synced. docs/explanation/durability.md says what a crash in the middle can leave, and
docs/decisions/0048-write-into-files-without-a-name.md why the files have no name until then. A file that is alone in
its folder is moved with it, where the target folder does not exist yet: one folder less to make and to remove, which is
costly (docs/decisions/0017-create-and-remove-no-needless-file.md).
"""

import errno
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from authproxy.storage.change_marks import ChangeMarks
from authproxy.storage.filesystem import durable
from authproxy.storage.filesystem.locks import Locks
from authproxy.storage.layout import StorePath, tree_of

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_UNNAMED = os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC
# The first from file systems without such files, the others from kernels without them.
_NO_UNNAMED = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)


class Draft:
    """One file: open, at `at` now ("": it has no name yet) and at `place` in the end."""

    __slots__ = (
        "at",
        "content",
        "descriptor",
        "folder",
        "has_moved_folder",
        "is_placed",
        "moves_folder",
        "path",
        "place",
    )

    def __init__(self, root: str, path: StorePath, content: bytes | None, descriptor: int = -1, at: str = "") -> None:
        self.path = path
        self.place = f"{root}/{path}"
        self.folder = os.path.dirname(self.place)
        self.content = content  # None: the caller has written it, and owns it until it is in its place
        self.descriptor = descriptor
        self.at = at
        self.is_placed = False
        self.moves_folder = False  # it may be moved with its folder
        self.has_moved_folder = False

    @property
    def changed(self) -> str:
        """The folder that has a new entry since it was placed."""
        return os.path.dirname(self.folder) if self.has_moved_folder else self.folder


class Batch:
    """Files on their way into the storage below `root`. Blocks: for a thread. Leaving it discards unplaced files.

    with Batch(root, locks, changes) as batch:
        batch.add(path, content)  # any number, in the order in which they become visible
        batch.sync()
        batch.place()  # visible from here on
        batch.settle()  # durable from here on
    """

    def __init__(self, root: str, locks: Locks, changes: ChangeMarks) -> None:
        self._root = root
        self._locks = locks
        self._changes = changes
        self._drafts: list[Draft] = []
        self._changed: list[str] = []  # folders with a new folder in them, not yet synced

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for draft in self._drafts:
            if draft.content is not None:
                _discard(draft)
            if draft.is_placed:
                self._changes.renew(draft.path)
            else:
                durable.prune(draft.folder, f"{self._root}/{tree_of(draft.path)}")

    def add(self, path: StorePath, content: bytes) -> Draft:
        """Write content that gets its name later."""
        draft = Draft(self._root, path, content)
        self._drafts.append(draft)
        self._write(draft, content)
        return draft

    def adopt(self, path: StorePath, descriptor: int, at: str, *, with_folder: bool) -> Draft:
        """Add a file that is already written. The caller closes it; if it is not placed, it stays where it is.

        `with_folder`: its folder may be moved with it, and become the folder of its place.
        """
        draft = Draft(self._root, path, None, descriptor, at)
        draft.moves_folder = with_folder
        self._drafts.append(draft)
        if with_folder:
            self._changed += [*durable.make_folders(os.path.dirname(draft.folder)), os.path.dirname(at)]
        else:
            self._changed += durable.make_folders(draft.folder)
        return draft

    def sync(self) -> None:
        """Make the contents and the new folders durable."""
        durable.sync([draft.descriptor for draft in self._drafts], self._changed)
        self._changed.clear()

    def place(self, count: int | None = None) -> None:
        """Put the first `count` (None: all) in place, in order."""
        for draft in self._drafts[:count]:
            self.place_if(draft, lambda: True)

    def place_if(self, draft: Draft, condition: Callable[[], bool]) -> bool:
        """Put one in place if a condition holds, which is checked under the lock of its path. False: it did not hold.

        The lock is also that of a deletion: what replaces deleted content comes before or after it.
        """
        with self._locks.hold(draft.path):
            if not condition():
                return False
            if draft.content is None:
                self._move(draft)
            else:
                self._rename(draft)
        return True

    def settle(self, *, apart: int = 0) -> None:
        """Make the new names durable; those of the last `apart` files only after the others."""
        folders = list(dict.fromkeys([*self._changed, *(draft.changed for draft in self._drafts)]))
        last = {draft.changed for draft in self._drafts[len(self._drafts) - apart :]}
        last -= {draft.changed for draft in self._drafts[: len(self._drafts) - apart]}.union(self._changed)
        if last and len(last) < len(folders):
            durable.sync(folders=[folder for folder in folders if folder not in last])
            folders = [folder for folder in folders if folder in last]
        durable.sync(folders=folders)

    def _write(self, draft: Draft, content: bytes) -> None:
        for last in range(durable.ATTEMPTS - 1, -1, -1):
            self._changed += durable.make_folders(draft.folder)
            try:
                draft.at, draft.descriptor = _open_draft(draft.folder, draft.place)
                break
            except FileNotFoundError:  # another process has removed the folder, which was empty
                if not last:
                    raise
        durable.write_at(draft.descriptor, content, 0)

    def _move(self, draft: Draft) -> None:
        if draft.moves_folder:
            # An error here (mostly: the folder exists, with an older copy) does not prevent moving only the file, or
            # is raised again below.
            with suppress(OSError):
                os.rename(os.path.dirname(draft.at), draft.folder)
                draft.has_moved_folder = draft.is_placed = True
                return
        self._rename(draft)

    def _rename(self, draft: Draft) -> None:
        for last in range(durable.ATTEMPTS - 1, -1, -1):
            try:
                if draft.at:
                    os.rename(draft.at, draft.place)
                else:
                    _give_name(draft)
                break
            except FileNotFoundError:  # another process has removed the folder with all its content
                if not last:
                    raise
                self._make_again(draft)
        draft.is_placed = True

    def _make_again(self, draft: Draft) -> None:
        if draft.content is None:
            self._changed += durable.make_folders(draft.folder)
        else:
            os.close(draft.descriptor)
            draft.descriptor = -1
            self._write(draft, draft.content)
            durable.sync([draft.descriptor])


def _open_draft(folder: str, place: str) -> tuple[str, int]:
    """Open a new file: its path ("": it has no name yet) and its descriptor."""
    try:
        return "", os.open(folder, _UNNAMED, 0o666)
    except OSError as error:
        if error.errno not in _NO_UNNAMED:
            raise
    at = _beside(place, secrets.token_hex(8))
    return at, os.open(at, _NEW, 0o666)


def _give_name(draft: Draft) -> None:
    """Put a file that has no name in its place, under the lock of its path."""
    unnamed = f"/proc/self/fd/{draft.descriptor}"
    # With any `src_dir_fd` Python calls linkat, which follows this symbolic link.
    try:
        os.link(unnamed, draft.place, src_dir_fd=draft.descriptor)
    except FileExistsError:
        # linkat can't replace a file, so it gets a temporary name and is renamed. A file under that name is from a
        # process that was killed between the two; no other process uses it while we hold the lock.
        at = _beside(draft.place, "new")
        with suppress(FileNotFoundError):
            os.unlink(at)
        os.link(unnamed, at, src_dir_fd=draft.descriptor)
        os.rename(at, draft.place)


def _beside(place: str, mark: str) -> str:
    """A temporary name in the same folder: our lists skip a leading dot; CNCF Distribution reads "link" and "data"."""
    folder, _, name = place.rpartition("/")
    return f"{folder}/.{name}.{mark}.tmp"


def _discard(draft: Draft) -> None:
    if draft.descriptor >= 0:
        os.close(draft.descriptor)
        if draft.at and not draft.is_placed:
            with suppress(FileNotFoundError):
                os.unlink(draft.at)
