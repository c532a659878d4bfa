"""Reads that don't wait for the disk, and the thread that does where they can't."""

import ctypes
import errno
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from authproxy.reference import Repository, Tag
from authproxy.storage import layout
from authproxy.storage.driver import NotFound
from authproxy.storage.filesystem import nonblocking as cached
from authproxy.storage.filesystem.driver import MAX_AT_ONCE, FilesystemDriver
from authproxy.storage.filesystem.nonblocking import (
    NotCached,
    open_cached,
    read_cached,
    size_cached,
    stat_folder_cached,
)
from tests.support.descriptors import open_descriptors

DISK = "/var/tmp"  # noqa: S108 - what is made there has a name of its own
PATH = layout.tag_current(Repository("a"), Tag("v1"))


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder on a disk: where TMPDIR is in memory, the kernel takes no calls that must not wait."""
    with TemporaryDirectory(dir=DISK) as folder:
        yield Path(folder)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "file"
    made.write_bytes(b"hello")
    return made


def test_a_file_that_was_just_written_is_in_memory(file: Path) -> None:
    assert read_cached(file, 5) == b"hello"
    assert size_cached(file) == 5
    descriptor = open_cached(file)
    assert os.read(descriptor, 9) == b"hello"
    os.close(descriptor)


def test_an_empty_file_is_read(file: Path) -> None:
    file.write_bytes(b"")
    assert read_cached(file, 0) == b""


def test_a_file_that_was_looked_for_is_known_to_be_missing(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert not missing.exists()
    assert (read_cached(missing, 1), size_cached(missing)) == (None, None)
    with pytest.raises(NotFound):
        open_cached(missing)
    with pytest.raises(NotFound):
        open_cached(missing / "below")


def test_what_is_known_about_a_folder_is_what_a_call_that_waits_says(file: Path) -> None:
    folder = file.parent
    assert stat_folder_cached(str(folder)) == folder.stat()
    with pytest.raises(NotFound):
        stat_folder_cached(str(file))


def test_more_than_was_asked_for_is_left_to_a_thread(file: Path) -> None:
    with pytest.raises(NotCached):
        read_cached(file, 4)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOSYS, errno.EPERM, errno.EINVAL])
def test_a_kernel_or_sandbox_without_the_call_leaves_it_to_a_thread(
    file: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> int:
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(cached, "_syscall", refuse)
    for attempt in (open_cached, size_cached):
        with pytest.raises(NotCached):
            attempt(file)


@pytest.mark.parametrize("error", [BlockingIOError(), OSError(errno.EOPNOTSUPP, "")], ids=["cold", "can't tell"])
def test_content_that_is_not_in_memory_is_left_to_a_thread(
    file: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def refuse(*_: object) -> int:
        raise error

    monkeypatch.setattr(os, "preadv", refuse)
    with pytest.raises(NotCached):
        read_cached(file, 5)
    assert str(file) not in {target for _, target in open_descriptors()}


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[FilesystemDriver]:
    made = FilesystemDriver(tmp_path)
    yield made
    await made.close()


async def test_the_driver_reads_the_same_where_nothing_is_in_memory(
    driver: FilesystemDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await driver.write(PATH, b"one")
    monkeypatch.setattr(cached, "_syscall", lambda *_: -1)
    ctypes.set_errno(errno.EAGAIN)
    nothing = layout.tag_current(Repository("a"), Tag("v2"))
    assert await driver.read([PATH, nothing]) == [b"one", None]
    assert await driver.sizes([PATH, nothing]) == [3, None]
    async with driver.open_reader(PATH) as reader:
        assert [piece async for piece in reader.pieces(0, reader.size)] == [b"one"]
    with pytest.raises(NotFound):
        async with driver.open_reader(nothing):
            pass


async def test_many_are_read_in_a_thread(driver: FilesystemDriver) -> None:
    await driver.write(PATH, b"one")
    many = [PATH] * (MAX_AT_ONCE + 1)
    assert await driver.read(many) == [b"one"] * len(many)
    assert await driver.sizes(many) == [3] * len(many)
