"""What a server goes by: changes are seen, an older storage is doubted first, and what is unread is refused."""

import asyncio
import datetime as dt
import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from authproxy.errors import StartError, Unavailable
from authproxy.files.watcher import MAX_AGE_S, Watch
from authproxy.storage.layout import STATE, StorePath
from authproxy.storage.memory import MemoryDriver
from authproxy.token.revocation_store import SETTLES_S, RevocationStore, all_revoked, revoked
from authproxy.token.revocations import RevocationFolder, revoke
from authproxy.token.seen_revocations import SeenFile
from authproxy.token.stored_revocations import EitherRevokes, StoredRevocations
from tests.support.tokens import FakeClock

NOW = 1_800_000_000.0


class Unreliable(MemoryDriver):
    """A storage that can fail, and that can stop to answer."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.reads = 0
        self.is_read_only = False

    async def read(self, paths: Sequence[StorePath], *, fresh: bool = False) -> list[bytes | None]:
        self.reads += 1
        await self.may_answer.wait()
        if self.fault is not None:
            raise self.fault
        return await super().read(paths, fresh=fresh)

    async def replace(
        self, path: StorePath, content: bytes, *, expected: bytes | None, until: float = math.inf
    ) -> bool:
        if self.is_read_only:
            raise OSError(30, "Read-only file system")
        return await super().replace(path, content, expected=expected, until=until)


class Node:
    """A server's revocations, and a command beside it."""

    def __init__(
        self, folder: Path, driver: Unreliable | None = None, *, files: RevocationFolder | None = None
    ) -> None:
        self.driver = driver or Unreliable()
        self.clock, self.today = FakeClock(1000), FakeClock(int(NOW))
        self.store = RevocationStore(self.driver, b"s" * 32, SeenFile(folder, "/store"), now=self.today)
        self.stored = StoredRevocations(self.store, files=files, now=self.clock, today=self.today)
        self.watch = Watch(now=self.clock, every_s=3600)

    async def start(self) -> None:
        await self.watch.first_looks([self.stored])
        self.watch.start([self.stored])

    async def may_answer(self) -> bool:
        """What RefuseStaleFiles asks."""
        if not self.watch.is_current():
            await self.watch.look_first()
            return not self.watch.is_blind()
        return True

    async def path(self) -> StorePath:
        [ring] = await self.driver.list_names(StorePath(f"{STATE}/tokens"))
        return StorePath(f"{STATE}/tokens/{ring}/revocations")


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


async def test_before_the_first_look_no_token_is_accepted(node: Node) -> None:
    with pytest.raises(Unavailable):
        node.stored.refuses("alice", NOW)
    await node.start()
    assert not node.stored.refuses("alice", NOW)
    node.watch.stop()


async def test_a_change_is_seen_at_the_next_look_and_is_another_version(node: Node) -> None:
    await node.start()
    version = node.stored.version
    await node.store.change(revoked("alice", NOW))
    await node.stored.look()
    assert node.stored.refuses("alice", NOW - 1)
    assert node.stored.version is not version
    version = node.stored.version
    await node.stored.look()
    assert node.stored.version is version
    node.watch.stop()


async def test_an_answer_waits_for_a_look_only_if_the_last_one_was_long_ago(node: Node) -> None:
    await node.start()
    await node.store.change(revoked("alice", NOW))
    reads = node.driver.reads
    node.clock.now += 1
    assert await node.may_answer()
    assert node.driver.reads == reads
    node.clock.now += 600  # the process was stopped: no thread has looked
    assert await node.may_answer()
    assert node.stored.refuses("alice", NOW - 1)
    node.watch.stop()


async def test_without_the_storage_it_goes_on_for_a_minute_and_comes_back_by_itself(node: Node) -> None:
    await node.store.change(revoked("alice", NOW))
    await node.start()
    node.driver.fault = OSError("gone")
    node.clock.now += 30
    assert await node.may_answer()
    assert node.stored.refuses("alice", NOW - 1)
    node.clock.now += MAX_AGE_S
    assert not await node.may_answer()
    node.driver.fault = None
    assert not await node.may_answer()  # tried a moment ago
    node.clock.now += 3601
    assert await node.may_answer()
    node.watch.stop()


async def test_a_storage_that_hangs_is_waited_for_a_moment_and_by_all_together(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authproxy.files.watcher.LOOKS_WITHIN_S", 0.05)
    await node.start()
    node.driver.may_answer.clear()
    node.clock.now += 30
    reads = node.driver.reads
    assert await asyncio.gather(*(node.may_answer() for _ in range(100))) == [True] * 100
    assert node.driver.reads == reads + 1
    node.clock.now += MAX_AGE_S
    assert not await node.may_answer()
    node.driver.may_answer.set()
    node.clock.now += 3601
    assert not await node.may_answer()  # by the look that hung: it may have read what was there an hour ago
    await asyncio.sleep(0.01)
    node.clock.now += 3601
    assert await node.may_answer()
    node.watch.stop()


async def test_a_node_that_starts_without_the_storage_refuses_until_it_is_there(node: Node) -> None:
    node.driver.fault = OSError("gone")
    await node.start()
    assert not await node.may_answer()
    assert list(node.watch.overdue()) == ["stored revocations"]
    node.driver.fault = None
    node.clock.now += 3601
    assert await node.may_answer()
    assert node.watch.overdue() == {}
    node.watch.stop()


async def test_the_thread_that_watches_looks_on_the_event_loop(node: Node) -> None:
    await node.start()
    await node.store.change(revoked("alice", NOW))
    await asyncio.to_thread(node.stored.refresh)
    assert node.stored.refuses("alice", NOW - 1)
    node.driver.fault = Unavailable("the disk is slow")
    with pytest.raises(StartError, match="can't be read: the disk is slow"):
        await asyncio.to_thread(node.stored.refresh)
    node.watch.stop()


async def lose(node: Node, backup: bytes | None) -> None:
    path = await node.path()
    await node.driver.delete(path)
    if backup is not None:
        await node.driver.write(path, backup)


async def settle(node: Node) -> None:
    with pytest.raises(StartError, match="older than those seen before"):
        await node.stored.look()
    node.clock.now += int(SETTLES_S)
    await node.stored.look()


@pytest.mark.parametrize("remembers", [True, False], ids=["running", "restarted"])
@pytest.mark.parametrize("has_backup", [True, False], ids=["older", "none"])
async def test_a_storage_that_was_restored_ends_all_logins(
    tmp_path: Path, *, remembers: bool, has_backup: bool
) -> None:
    node = Node(tmp_path)
    await node.store.change(revoked("bob", NOW))
    [backup] = await node.driver.read([await node.path()])
    await node.store.change(revoked("alice", NOW))
    if remembers:
        await node.stored.look()
    await lose(node, backup if has_backup else None)
    node.today.now += 60
    await settle(node)
    for user in ("alice", "bob", "carol"):
        assert node.stored.refuses(user, NOW + 59)
        assert not node.stored.refuses(user, NOW + 63)
    other = Node(tmp_path, node.driver)  # another node is not alarmed again
    await other.stored.look()
    assert other.stored.refuses("carol", NOW + 59)
    assert not other.stored.refuses("carol", NOW + 63)


async def test_what_only_looked_older_for_a_moment_ends_nothing(node: Node) -> None:
    """A network share may show a folder as it was."""
    await node.store.change(revoked("bob", NOW))
    [older] = await node.driver.read([await node.path()])
    await node.store.change(revoked("alice", NOW))
    await node.stored.look()
    [newer] = await node.driver.read([await node.path()])
    await lose(node, older)
    with pytest.raises(StartError):
        await node.stored.look()
    assert node.stored.refuses("alice", NOW - 1)  # what is known stays in force
    await lose(node, newer)
    node.clock.now += 60
    await node.stored.look()
    assert not node.stored.refuses("carol", NOW - 1)


async def test_where_it_cannot_be_written_it_is_in_force_all_the_same(node: Node) -> None:
    await node.store.change(revoked("alice", NOW))
    await node.stored.look()
    await lose(node, None)
    node.driver.is_read_only = True
    node.today.now += 60
    await settle(node)
    assert node.stored.refuses("carol", NOW + 59)
    assert not node.stored.refuses("carol", NOW + 63)
    node.today.now += 600
    await node.stored.look()
    assert not node.stored.refuses("carol", NOW + 63)  # once, and not again with each look


async def test_files_are_taken_over_and_stay_in_force(tmp_path: Path) -> None:
    revoke(tmp_path / "state", "bob", dt.datetime.fromtimestamp(NOW, dt.UTC))
    files = RevocationFolder(tmp_path / "state")
    node = Node(tmp_path, files=files)
    both = EitherRevokes(files, node.stored)
    await node.stored.look()
    await node.stored.look()
    for path in files.folder.iterdir():
        path.unlink()
    version = both.version
    files.refresh()
    assert both.version is not version
    assert both.refuses("bob", NOW - 1)  # a file that is removed later takes nothing back
    revoke(tmp_path / "state", "carol", dt.datetime.fromtimestamp(NOW, dt.UTC))
    version = both.version
    files.refresh()  # a node of an earlier version has written it
    assert both.version is not version
    assert both.refuses("carol", NOW - 1)
    version = both.version
    await node.store.change(all_revoked(NOW + 5))
    await node.stored.look()
    assert both.version is not version
    assert both.refuses("dave", NOW + 4)
