"""How worker processes share their numbers: a folder with one slot for each worker.

    <folder>/0.lock    held by the worker that has slot 0; the kernel releases it when the worker dies
    <folder>/0.json    its numbers

A worker that replaces a dead one takes its slot and continues its counters: so no counter goes down, and the folder
does not grow. prometheus_client's multiprocess mode, a memory-mapped file for each process, writes at every count and
keeps the files of dead processes forever.
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
        """Take the first free slot. Raises OSError if the folder cannot be used."""
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
        """Share the numbers: the others see all of them, or the previous ones."""
        new = self._folder / f"{self._name}.new"
        new.write_bytes(dump(numbers))
        new.replace(self._folder / f"{self._name}.json")

    def others(self) -> Iterator[tuple[Numbers, bool]]:
        """The numbers of all other slots, each with whether its worker is alive."""
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
    """Whether a worker has the slot. The check holds it for a moment: a new worker takes the next one then."""
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
