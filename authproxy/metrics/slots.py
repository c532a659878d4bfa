"""How worker processes tell each other their numbers: a folder with one slot for each that serves at the same time.

    <folder>/0.lock    held by the worker that has slot 0, and let go of by the kernel when it dies
    <folder>/0.json    its numbers

A worker that replaces one that died takes its slot, and counts on from what it left: so no counter ever goes down and
the folder does not grow. prometheus_client's own way, a memory-mapped file for each process, writes to it with every
count and keeps the files of the dead for ever.
"""

import fcntl
import itertools
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from authproxy.metrics.numbers import Numbers, dump, load


class Slot:
    """One worker's place in the folder, from `take` to `close`."""

    def __init__(self, folder: Path, name: str, lock: int) -> None:
        self._folder = folder
        self._name = name
        self._lock = lock
        self.left_behind = _read(folder / f"{name}.json")  # by its previous owner

    @classmethod
    def take(cls, folder: Path) -> "Slot":
        """The first slot that nobody has. Raises OSError where the folder cannot be used."""
        for number in itertools.count():
            lock = os.open(folder / f"{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            else:
                return cls(folder, str(number), lock)
        raise AssertionError("numbers do not end")

    def write(self, numbers: Numbers) -> None:
        """Show the numbers to the others, who see all of them or the ones before."""
        new = self._folder / f"{self._name}.new"
        new.write_bytes(dump(numbers))
        new.replace(self._folder / f"{self._name}.json")

    def others(self) -> Iterator[tuple[Numbers, bool]]:
        """The numbers of all other slots, each with whether its worker lives."""
        for path in sorted(self._folder.glob("*.json")):
            if path.stem != self._name:
                yield _read(path), _is_held(path.with_suffix(".lock"))

    def close(self) -> None:
        """Release the slot with its numbers to the next owner."""
        os.close(self._lock)


def _read(path: Path) -> Numbers:
    with suppress(FileNotFoundError):
        return load(path.read_bytes())
    return {}


def _is_held(lock: Path) -> bool:
    """Whether somebody has the slot. It is held for the question: who wants it just then takes the next one."""
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
