"""What only a folder has: a tree that another program reads, power cuts, full disks, a second process."""

import asyncio
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from authproxy.digest import Digest
from authproxy.errors import StartError, Unavailable
from authproxy.reference import Repository, Tag
from authproxy.storage import layout
from authproxy.storage.driver import PIECE_BYTES, NotFound, StorageFull, Upload, UploadBusy
from authproxy.storage.filesystem import driver as filesystem
from authproxy.storage.filesystem import durable
from authproxy.storage.filesystem import group_fsync as syncs
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.filesystem.nonblocking import NotCached
from authproxy.storage.filesystem.write_buffer import BUFFER_BYTES
from tests.support.descriptors import open_descriptors

APP = Repository("team/app")
SESSION = layout.upload(APP, UUID(int=1))
STARTED = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
V1 = layout.tag_current(APP, Tag("v1"))
HELLO = layout.blob(Digest.of(b"hello"))


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[FilesystemDriver]:
    made = FilesystemDriver(tmp_path, threads=4)
    yield made
    await made.close()


def files(root: Path) -> set[str]:
    """Everything that is stored, without the locks."""
    below = (path for path in (root / layout.ROOT).rglob("*") if path.is_file())
    return {str(path.relative_to(root)) for path in below}


async def push(driver: FilesystemDriver, content: bytes = b"hello") -> None:
    async with driver.create_upload(SESSION, started=STARTED) as upload:
        await upload.write(content)
        await upload.commit(layout.blob(Digest.of(content)))


async def test_a_session_looks_as_distribution_has_it(driver: FilesystemDriver, tmp_path: Path) -> None:
    async with driver.create_upload(SESSION, started=STARTED) as upload:
        await upload.write(b"hel")
    assert files(tmp_path) == {f"{SESSION}/data", f"{SESSION}/startedat"}
    assert (tmp_path / SESSION / "data").read_bytes() == b"hel"
    assert (tmp_path / SESSION / "startedat").read_text() == "2024-01-02T03:04:05Z"


async def test_a_commit_leaves_the_content_alone(driver: FilesystemDriver, tmp_path: Path) -> None:
    await push(driver)
    assert files(tmp_path) == {HELLO}
    assert not (tmp_path / SESSION).exists()


async def test_what_a_crash_left_is_invisible_and_in_nobodys_way(driver: FilesystemDriver, tmp_path: Path) -> None:
    leftover = tmp_path / layout.tags(APP) / ".v0.tmp"
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    await driver.write(V1, b"x")
    assert await driver.list_names(layout.tags(APP)) == ["v1"]
    assert await driver.delete(V1)
    assert await driver.list_names(layout.tags(APP)) == []


async def test_a_session_folder_that_lost_its_data_is_no_session(driver: FilesystemDriver, tmp_path: Path) -> None:
    """As a kill between the rename and the cleaning up leaves it."""
    async with driver.create_upload(SESSION, started=STARTED):
        pass
    (tmp_path / SESSION / "data").unlink()
    with pytest.raises(NotFound):
        await driver.upload_size(SESSION)


async def test_what_is_written_into_a_tree_while_it_is_deleted_stays(
    driver: FilesystemDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (layout.tag_index_link(APP, Tag("v1"), Digest.of(content)) for content in (b"old", b"new"))
    await driver.write(old, b"x")
    remove = os.rmdir

    def write_and_remove(path: str, *, dir_fd: int | None = None) -> None:
        if path == "sha256":  # the folder of links, empty by now
            (tmp_path / new).parent.mkdir(exist_ok=True)
            (tmp_path / new).write_bytes(b"y")
        remove(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", write_and_remove)
    assert await driver.delete_tree(layout.tag_index(APP, Tag("v1")))
    assert files(tmp_path) == {new}


async def test_a_session_is_written_by_one_at_a_time(driver: FilesystemDriver) -> None:
    async with driver.create_upload(SESSION, started=STARTED):
        with pytest.raises(UploadBusy):
            async with driver.open_upload(SESSION, wait_s=0):
                pass
        with pytest.raises(UploadBusy):
            async with driver.open_upload(SESSION, wait_s=0.05):
                pass


async def test_the_second_writer_comes_when_the_first_has_left(driver: FilesystemDriver) -> None:
    async def second() -> bytes:
        async with driver.open_upload(SESSION, wait_s=10) as upload:
            assert upload.size == 3
            await upload.write(b"lo")
        return b"done"

    async with driver.create_upload(SESSION, started=STARTED) as upload:
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0)
        await upload.write(b"hel")
    assert await waiting == b"done"
    assert await driver.upload_size(SESSION) == 5


@pytest.mark.parametrize("end", ["commit", "abort"])
async def test_the_second_writer_finds_no_session_where_the_first_has_ended_it(
    driver: FilesystemDriver, end: str
) -> None:
    async def second() -> None:
        async with driver.open_upload(SESSION, wait_s=10):
            pass

    async def finish(upload: Upload) -> None:
        if end == "commit":
            await upload.commit(layout.blob(Digest.of(b"")))
        else:
            await upload.abort()

    async with driver.create_upload(SESSION, started=STARTED) as upload:
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0)
        await finish(upload)
    with pytest.raises(NotFound):
        await waiting


async def test_a_second_process_waits_for_the_session(driver: FilesystemDriver, tmp_path: Path) -> None:
    other = FilesystemDriver(tmp_path)
    async with driver.create_upload(SESSION, started=STARTED):
        with pytest.raises(UploadBusy) as raised:
            async with other.open_upload(SESSION, wait_s=0.05):
                pass
    assert raised.value.headers == (("Retry-After", "1"),)
    await other.close()


HOLD = """
import fcntl, sys
held = open(sys.argv[1], "r+b")
fcntl.flock(held, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


async def test_the_lock_of_a_session_is_seen_by_other_programs(driver: FilesystemDriver, tmp_path: Path) -> None:
    async with driver.create_upload(SESSION, started=STARTED):
        pass
    holder = subprocess.Popen(  # noqa: ASYNC220 - it is another process that this test is about
        [sys.executable, "-c", HOLD, str(tmp_path / SESSION / "data")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UploadBusy):
            async with driver.open_upload(SESSION, wait_s=0):
                pass
        holder.kill()
    async with driver.open_upload(SESSION, wait_s=0) as upload:
        assert upload.size == 0


class Disk:
    """A disk that takes so many bytes and then no more, and remembers what was synced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int = 1 << 40) -> None:
        self.room = room
        self.steps: list[str] = []
        self._pwrite, self._sync_all = os.pwrite, syncs.sync_all
        rename_file, link_file = os.rename, os.link

        def rename(path: str, target: str) -> None:
            self.steps.append(f"rename to {Path(target).name}")
            rename_file(path, target)

        def link(path: str, target: str, **more: Any) -> None:
            link_file(path, target, **more)
            if path.startswith("/proc/self/fd/"):
                self.steps.append(f"name {Path(target).name}")

        monkeypatch.setattr(os, "link", link)
        monkeypatch.setattr(os, "pwrite", self.pwrite)
        monkeypatch.setattr(syncs, "sync_all", self.sync_all)
        monkeypatch.setattr(os, "rename", rename)

    def pwrite(self, descriptor: int, data: memoryview, offset: int) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._pwrite(descriptor, data[: self.room], offset)
        self.room -= written
        return written

    def sync_all(self, files: Sequence[int], folders: Sequence[int]) -> None:
        self.steps.append(" ".join(["sync", *map(_kind, files), *(f"{_kind(folder)}/" for folder in folders)]))
        self._sync_all(files, folders)


def _kind(descriptor: int) -> str:
    """The last part of a file's path, without what is random in it; `new`: it has no name yet."""
    name = Path(f"/proc/self/fd/{descriptor}").readlink().name
    if name.endswith(" (deleted)"):
        return "new"
    return name.split(".")[1] if name.startswith(".") else name


async def test_a_commit_syncs_all_that_is_new_before_its_renames_and_the_folders_after_them(
    driver: FilesystemDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = Digest.of(b"hello")
    async with driver.create_upload(SESSION, started=STARTED) as upload:
        await upload.write(b"hello")
        disk = Disk(monkeypatch)
        await upload.commit(HELLO, {layout.layer_link(APP, digest): b"a link"})
    assert disk.steps == [
        f"sync data new v2/ blobs/ sha256/ {UUID(int=1)}/ app/ _layers/ sha256/",
        f"rename to {digest.hex}",
        "name link",
        f"sync {digest.hex[:2]}/ {digest.hex}/",
    ]


async def test_a_commit_where_the_blob_is_replaces_the_file_alone(
    driver: FilesystemDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await push(driver)
    (tmp_path / HELLO).write_bytes(b"damaged")
    disk = Disk(monkeypatch)
    await push(driver)
    assert (tmp_path / HELLO).read_bytes() == b"hello"
    assert files(tmp_path) == {HELLO}
    assert not (tmp_path / SESSION).exists()
    assert disk.steps[-2:] == ["rename to data", f"sync {Digest.of(b'hello').hex}/"]


async def test_what_distribution_left_in_a_session_does_not_come_to_the_blob(
    driver: FilesystemDriver, tmp_path: Path
) -> None:
    async with driver.create_upload(SESSION, started=STARTED) as upload:
        await upload.write(b"hello")
    (tmp_path / SESSION / "hashstates" / "sha256").mkdir(parents=True)
    (tmp_path / SESSION / "hashstates" / "sha256" / "5").touch()
    async with driver.open_upload(SESSION, wait_s=0) as upload:
        await upload.commit(HELLO)
    assert files(tmp_path) == {HELLO}
    assert [entry.name for entry in (tmp_path / HELLO).parent.iterdir()] == ["data"]
    assert not (tmp_path / SESSION).exists()


async def test_a_session_becomes_the_blob(driver: FilesystemDriver, tmp_path: Path) -> None:
    """Its folder and its file: nothing is removed, which is dear to whoever makes a file within the next minutes."""
    async with driver.create_upload(SESSION, started=STARTED) as upload:
        made = [path.stat().st_ino for path in (tmp_path / SESSION, tmp_path / SESSION / "data")]
        await upload.write(b"hello")
        await upload.commit(HELLO)
    blob = tmp_path / HELLO
    assert [path.stat().st_ino for path in (blob.parent, blob)] == made
    assert [entry.name for entry in blob.parent.iterdir()] == ["data"]


async def test_a_session_just_opened_is_taken_without_a_thread(
    driver: FilesystemDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with driver.create_upload(SESSION, started=STARTED):
        pass
    monkeypatch.setattr(driver._workers, "submit", None)
    async with driver.open_upload(SESSION, wait_s=0) as upload:
        assert upload.size == 0
    assert await driver.upload_size(SESSION) == 0


async def test_what_several_are_put_into_is_synced_once_and_the_last_after_the_others(
    driver: FilesystemDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [layout.StorePath(f"{layout.ROOT}/{name}") for name in ("x/a", "x/b", "y/c")]
    disk = Disk(monkeypatch)
    await driver.write_all([[(path, b"content") for path in paths[:2]], [(paths[2], b"content")]])
    assert disk.steps == ["sync new new new v2/", "name a", "name b", "name c", "sync x/", "sync y/"]


async def test_a_new_session_syncs_nothing_where_its_repository_is_known(
    driver: FilesystemDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await push(driver)
    disk = Disk(monkeypatch)
    async with driver.create_upload(SESSION, started=STARTED):
        pass
    assert disk.steps == []


async def test_a_link_is_synced_before_and_after_its_rename(
    driver: FilesystemDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await driver.write(V1, b"one")
    disk = Disk(monkeypatch)
    await driver.write(V1, b"two")
    assert disk.steps == ["sync new", "name .link.new.tmp", "rename to link", "sync current/"]


async def test_a_second_name_that_a_kill_left_is_replaced(driver: FilesystemDriver, tmp_path: Path) -> None:
    await driver.write(V1, b"one")
    left = (tmp_path / V1).with_name(".link.new.tmp")
    left.write_bytes(b"of a process that was killed")
    await driver.write(V1, b"two")
    assert await driver.read([V1]) == [b"two"]
    assert not left.exists()


async def test_where_files_have_to_have_names_they_are_written_beside_their_places(
    driver: FilesystemDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS."""

    def refuse(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return open_file(path, flags, mode)

    open_file = os.open
    monkeypatch.setattr(os, "open", refuse)
    disk = Disk(monkeypatch)
    for content in (b"one", b"two"):
        await driver.write(V1, content)
        assert await driver.read([V1]) == [content]
    assert disk.steps[-3:] == ["sync link", "rename to link", "sync current/"]
    assert files(tmp_path) == {V1}


@pytest.mark.parametrize("room", [0, 1, BUFFER_BYTES, 2 * BUFFER_BYTES + 1], ids=["at once", "a byte", "one", "two"])
async def test_a_full_disk_drops_the_upload_and_says_so(
    driver: FilesystemDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    async def fill() -> None:
        async with driver.create_upload(SESSION, started=STARTED) as upload:
            for _ in range(6):
                await upload.write(bytes(BUFFER_BYTES // 2))

    disk = Disk(monkeypatch, room)
    with pytest.raises(StorageFull, match="full") as raised:
        await fill()
    assert raised.value.status == 503
    assert files(tmp_path) == set()
    disk.room = 1 << 40
    await push(driver)
    assert files(tmp_path) == {HELLO}


async def test_a_full_disk_leaves_no_half_of_a_link(
    driver: FilesystemDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await driver.write(V1, b"sha256:one")
    Disk(monkeypatch, room=3)
    with pytest.raises(StorageFull):
        await driver.write(V1, b"sha256:two")
    assert files(tmp_path) == {V1}
    assert await driver.read([V1]) == [b"sha256:one"]


@pytest.mark.parametrize("last", ["_layers", "sha256", Digest.of(b"hello").hex])
async def test_a_disk_that_is_full_of_folders_is_left_without_the_new_ones(
    driver: FilesystemDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    def mkdir(path: str, mode: int = 0o777) -> None:
        if Path(path).name == last and Path(path).parent.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        make(path, mode)

    make = os.mkdir
    monkeypatch.setattr(os, "mkdir", mkdir)
    with pytest.raises(StorageFull):
        await driver.write(layout.layer_link(APP, Digest.of(b"hello")), b"a link")
    assert list((tmp_path / layout.ROOT).iterdir()) == []


async def test_a_session_is_not_opened_twice_under_one_name(driver: FilesystemDriver) -> None:
    async def again() -> None:
        async with driver.create_upload(SESSION, started=STARTED):
            pass

    async with driver.create_upload(SESSION, started=STARTED) as upload:
        await upload.write(b"hello")
    with pytest.raises(FileExistsError):
        await again()
    assert await driver.upload_size(SESSION) == 5


async def test_another_error_of_the_disk_is_a_fault_and_the_session_stays(
    driver: FilesystemDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async def write() -> None:
        async with driver.create_upload(SESSION, started=STARTED) as upload:
            await upload.write(b"hello")

    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(Unavailable, match="fault"):
        await write()
    monkeypatch.undo()
    assert await driver.upload_size(SESSION) == 0


async def test_a_blob_that_was_cut_short_breaks_off(driver: FilesystemDriver, tmp_path: Path) -> None:
    content = bytes(2 * PIECE_BYTES)
    await push(driver, content)
    path = layout.blob(Digest.of(content))
    async with driver.open_reader(path) as reader:
        os.truncate(tmp_path / path, PIECE_BYTES + 5)
        with pytest.raises(OSError, match=f"ends at {PIECE_BYTES + 5} bytes"):
            assert [len(piece) async for piece in reader.pieces(0, reader.size)] == []


async def test_what_is_not_in_memory_is_read_in_a_thread(
    driver: FilesystemDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of each piece is; the disk has the rest."""
    content = bytes(range(256)) * (2 * PIECE_BYTES // 256)
    await push(driver, content)
    preadv = os.preadv

    def half(descriptor: int, buffers: list[memoryview], offset: int, flags: int = 0) -> int:
        if not flags:
            return preadv(descriptor, buffers, offset)
        if offset:
            raise BlockingIOError
        return preadv(descriptor, [memoryview(buffers[0])[: len(buffers[0]) // 2]], offset)

    monkeypatch.setattr(os, "preadv", half)
    async with driver.open_reader(layout.blob(Digest.of(content))) as reader:
        pieces = [piece async for piece in reader.pieces(0, reader.size)]
    assert [len(piece) for piece in pieces] == [PIECE_BYTES] * 2
    assert b"".join(pieces) == content


@pytest.mark.parametrize("is_cached", [True, False], ids=["at hand", "in a thread"])
async def test_a_cancelled_opening_leaves_nothing_open(
    driver: FilesystemDriver, monkeypatch: pytest.MonkeyPatch, *, is_cached: bool
) -> None:
    def not_cached(_: str) -> int:
        raise NotCached

    await push(driver)
    if not is_cached:
        monkeypatch.setattr(filesystem, "open_cached", not_cached)

    async def open_it() -> None:
        async with driver.open_reader(HELLO):
            await asyncio.Event().wait()

    for _ in range(5):
        task = asyncio.create_task(open_it())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    await driver.close()  # waits for the threads
    await asyncio.sleep(0)  # and their results
    await asyncio.sleep(0)
    assert not [target for _, target in open_descriptors() if target.endswith(HELLO)]


@pytest.mark.parametrize("below", ["a-file", "a-file/below"])
def test_a_root_that_can_not_be_written_stops_the_start(tmp_path: Path, below: str) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises(StartError, match=rf"rootdirectory: {tmp_path}/a-file.* can't be written .*another\."):
        FilesystemDriver(tmp_path / below)


def test_a_root_that_is_missing_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    FilesystemDriver(tmp_path / "new/root")
    assert (tmp_path / "new/root" / layout.ROOT).is_dir()
    assert (tmp_path / "new/root").stat().st_mode & 0o777 == 0o700


def test_a_root_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root").chmod(0o750)
    FilesystemDriver(tmp_path / "root")
    assert (tmp_path / "root").stat().st_mode & 0o777 == 0o750


async def test_a_folder_that_is_removed_under_the_writer_is_made_again(
    driver: FilesystemDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a delete of the tag does it, between the writing and the renaming."""
    sync_all = syncs.sync_all

    def remove_first(files: Sequence[int], folders: Sequence[int]) -> None:
        sync_all(files, folders)
        monkeypatch.setattr(syncs, "sync_all", sync_all)
        shutil.rmtree(tmp_path / layout.tags(APP))

    monkeypatch.setattr(syncs, "sync_all", remove_first)
    await driver.write(V1, b"one")
    assert await driver.read([V1]) == [b"one"]
    assert files(tmp_path) == {V1}


def test_a_folder_that_keeps_vanishing_is_an_error_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, rounds, mkdir = f"{tmp_path}/above/folder", [], os.mkdir

    def vanish(path: str, mode: int = 0o777) -> None:
        if path == folder:
            rounds.append(path)
            raise FileNotFoundError(path)
        mkdir(path, mode)

    monkeypatch.setattr(os, "mkdir", vanish)
    with pytest.raises(FileNotFoundError):
        durable.make_folders(folder)
    assert len(rounds) == 2 * durable.ATTEMPTS
