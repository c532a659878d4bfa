"""A fenced deletion on a folder: nothing changes its record between the comparison and the removal."""

import threading
import time
from pathlib import Path

import pytest

from authproxy.storage.driver import Fence
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.filesystem.locks import STRIPES, Locks
from authproxy.storage.layout import StorePath

RECORD, LINK = StorePath("authproxy/v1/gc/state"), StorePath("docker/registry/v2/repositories/a/link")
# Long enough for the other thread, if nothing stops it.
LONG_S = 0.3


async def test_the_record_is_swapped_only_after_the_removal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver, another = FilesystemDriver(tmp_path, threads=2), FilesystemDriver(tmp_path, threads=2)
    await driver.write(RECORD, b"mine")
    await driver.write(LINK, b"x")
    remove = driver._remove
    seen: list[bytes] = []

    def stopped(path: StorePath) -> bool:
        swap = threading.Thread(target=lambda: another._write_all([[(RECORD, b"cancelled")]]))
        swap.start()
        time.sleep(LONG_S)
        seen.append((tmp_path / RECORD).read_bytes())
        done = remove(path)
        threads.append(swap)
        return done

    threads: list[threading.Thread] = []
    monkeypatch.setattr(driver, "_remove", stopped)
    assert await driver.delete_fenced(LINK, Fence(RECORD, b"mine", 0.0))
    for thread in threads:
        thread.join()
    assert seen == [b"mine"]
    assert await another.read([RECORD, LINK], fresh=True) == [b"cancelled", None]
    await driver.close()
    await another.close()


def test_two_locks_are_taken_in_one_order(tmp_path: Path) -> None:
    """Each the other way round, by many threads: none waits for ever."""
    names = [str(number) for number in range(2 * STRIPES)]
    locks = Locks(tmp_path)

    def work(first: list[str], second: list[str]) -> None:
        for one, other in zip(first, second, strict=True):
            with locks.hold(one, beside=other):
                pass

    backwards = list(reversed(names))
    pairs = [(names, backwards), (backwards, names), (names, names), (backwards, backwards)]
    threads = [threading.Thread(target=work, args=pair, daemon=True) for pair in pairs * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
        assert not thread.is_alive()
