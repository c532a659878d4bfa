"""Revocations in the storage: none is ever lost, whoever restores, damages or forges what."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from authproxy.errors import StartError
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.layout import STATE, StorePath
from authproxy.storage.memory import MemoryDriver
from authproxy.storage.records import RecordTooNew
from authproxy.token.revocation_store import (
    MAX_SUBJECTS,
    RevocationsDamaged,
    RevocationStore,
    all_revoked,
    imported,
    restored,
    revoked,
)
from authproxy.token.revocation_table import Seen, Table
from authproxy.token.seen_revocations import FILE, SeenFile

NOW = 1_800_000_000.0
SECRET = b"s" * 32


@pytest.fixture(params=["filesystem", "memory"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    made: Driver = (
        FilesystemDriver(tmp_path / "store", threads=2, has_content=False)
        if request.param == "filesystem"
        else MemoryDriver()
    )
    yield made
    await made.close()


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    return tmp_path / "keys"


def open_store(
    driver: Driver, keys: Path, *, secret: bytes = SECRET, name: str = "/store", now: float = NOW
) -> RevocationStore:
    return RevocationStore(driver, secret, SeenFile(keys, name), now=lambda: now)


@pytest.fixture
def store(driver: Driver, keys: Path) -> RevocationStore:
    return open_store(driver, keys)


async def change(store: RevocationStore, how: Callable[[Table], Table]) -> Table:
    return await store.change(how, settles_s=0.0)


async def path_of(driver: Driver) -> StorePath:
    [ring] = await driver.list_names(StorePath(f"{STATE}/tokens"))
    return StorePath(f"{STATE}/tokens/{ring}/revocations")


async def test_nothing_is_revoked_and_written_at_first(driver: Driver, store: RevocationStore, keys: Path) -> None:
    found, seen = await store.read_continued(Seen())
    await store.note(found)
    assert seen is None
    assert not found.table.refuses("alice", 0.0)
    assert await driver.list_names(StorePath(STATE)) == []
    assert os.listdir(keys) == []  # noqa: PTH208


async def test_what_was_issued_before_is_refused_to_that_subject(store: RevocationStore) -> None:
    await change(store, revoked("alice", NOW))
    table = (await store.read()).table
    assert table.refuses("alice", NOW - 1)
    assert not table.refuses("alice", NOW)
    assert not table.refuses("bob", NOW - 1)


async def test_an_earlier_revocation_is_never_weakened(store: RevocationStore) -> None:
    await change(store, revoked("alice", NOW))
    table = await change(store, revoked("alice", NOW - 100))
    assert (table.subjects["alice"], table.number) == (NOW, 1)


async def test_everyones_and_what_is_taken_back(store: RevocationStore) -> None:
    await change(store, revoked("alice", NOW))
    await change(store, all_revoked(NOW + 5))
    assert (await store.read()).table.refuses("bob", NOW + 4)
    await change(store, restored(None))
    table = (await store.read()).table
    assert not table.refuses("bob", NOW + 4)
    assert table.refuses("alice", NOW - 1)
    await change(store, restored("alice"))
    table = (await store.read()).table
    assert not table.refuses("alice", NOW - 1)
    assert table.number == 4


async def test_files_are_taken_over_once(store: RevocationStore) -> None:
    await change(store, revoked("alice", NOW))
    await change(store, imported({"alice": NOW - 1, "bob": NOW}))
    table = await change(store, imported({"carol": NOW}))
    assert dict(table.subjects) == {"alice": NOW, "bob": NOW}


async def test_concurrent_revocations_lose_none(driver: Driver, keys: Path) -> None:
    names = [f"user{number}" for number in range(12)]
    await asyncio.gather(*(change(open_store(driver, keys), revoked(name, NOW)) for name in names))
    assert set((await open_store(driver, keys).read()).table.subjects) == set(names)


async def copied(driver: Driver, path: StorePath) -> bytes:
    [content] = await driver.read([path], fresh=True)
    assert content is not None
    return content


async def put_back(driver: Driver, path: StorePath, content: bytes) -> None:
    [current] = await driver.read([path], fresh=True)
    assert await driver.replace(path, content, expected=current)


async def test_a_restored_backup_revives_nothing(driver: Driver, store: RevocationStore, keys: Path) -> None:
    await change(store, revoked("bob", NOW - 100))
    backup = await copied(driver, await path_of(driver))
    await change(store, revoked("alice", NOW))
    await put_back(driver, await path_of(driver), backup)
    other = open_store(driver, keys, now=NOW + 60)  # a process that remembers nothing: the folder of the keys does
    found, seen = await other.read_continued(Seen())
    assert not found.table.refuses("alice", NOW - 1)
    assert seen is not None
    written = await other.restart(found, seen)
    assert written is not None
    for user in ("alice", "bob", "carol"):
        assert written.table.refuses(user, NOW + 59)
        assert not written.table.refuses(user, NOW + 62)
    assert written.table.number == 3


async def test_a_clock_that_is_years_behind_revives_nothing_either(
    driver: Driver, store: RevocationStore, keys: Path
) -> None:
    await change(store, revoked("bob", NOW - 100))
    backup = await copied(driver, await path_of(driver))
    await change(store, revoked("alice", NOW))
    await put_back(driver, await path_of(driver), backup)
    table = await change(open_store(driver, keys, now=5.0), revoked("carol", 7.0))
    assert table.refuses("alice", NOW - 1)


async def test_a_command_on_a_restored_backup_ends_all_logins_too(
    driver: Driver, store: RevocationStore, keys: Path
) -> None:
    await change(store, revoked("alice", NOW))
    path = await path_of(driver)
    await driver.delete(path)
    table = await change(open_store(driver, keys, now=NOW + 60), revoked("bob", NOW + 60))
    assert table.refuses("alice", NOW + 59)
    assert table.number == 3


async def test_the_same_number_of_another_past_is_noticed(driver: Driver, store: RevocationStore, keys: Path) -> None:
    await change(store, revoked("bob", NOW))
    backup = await copied(driver, await path_of(driver))
    await change(store, revoked("alice", NOW))
    remembered = (await store.read()).seen
    await put_back(driver, await path_of(driver), backup)
    (keys / FILE).unlink()
    await change(store, revoked("carol", NOW))
    found, seen = await store.read_continued(remembered)
    assert found.table.number == remembered.number
    assert seen == remembered


async def test_the_first_use_with_another_storage_accepts_no_earlier_login_and_disturbs_nothing(
    store: RevocationStore, keys: Path
) -> None:
    await change(store, revoked("alice", NOW))
    second = open_store(MemoryDriver(), keys, name="/other", now=NOW + 60)
    assert (await change(second, revoked("bob", NOW + 60))).refuses("carol", NOW + 59)
    for one in (store, second):
        found, seen = await one.read_continued(Seen())
        assert seen is None, found


async def test_what_others_do_to_the_record_is_noticed(driver: Driver, store: RevocationStore) -> None:
    """A number that is raised, a subject that is left out: by anyone who has no key."""
    await change(store, revoked("alice", NOW))
    path = await path_of(driver)
    fields = json.loads(await copied(driver, path))
    forgeries: tuple[dict[str, object], ...] = (
        {"number": 99},
        {"subjects": {}},
        {"all_before": 1.0},
        {"seal": "00"},
        {"seal": None},
        {"x": 1},
    )
    for forged in forgeries:
        await put_back(driver, path, json.dumps({**fields, **forged}).encode())
        with pytest.raises(RevocationsDamaged, match=r"Restore this file .*token revoke --all"):
            await store.read()


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b"\0" * 100, b'{"version": "1.0"}', b"[" * 99_999],
    ids=["cut off", "a list", "zeros", "no fields", "deep"],
)
async def test_a_damaged_record_is_replaced_only_by_ending_all_logins(
    driver: Driver, store: RevocationStore, keys: Path, content: bytes
) -> None:
    await change(store, revoked("alice", NOW))
    await put_back(driver, await path_of(driver), content)
    with pytest.raises(RevocationsDamaged):
        await change(store, revoked("bob", NOW))
    table = await open_store(driver, keys, now=NOW + 60).replace_damaged(all_revoked(NOW + 60))
    assert table.refuses("anyone", NOW + 59)
    assert (await store.read()).table.number > 1


async def test_a_record_of_a_newer_version_is_left_alone(driver: Driver, store: RevocationStore) -> None:
    await change(store, revoked("alice", NOW))
    await put_back(driver, await path_of(driver), b'{"version": "2.0"}')
    with pytest.raises(RecordTooNew, match="needs a newer authproxy"):
        await change(store, revoked("bob", NOW))


async def test_fields_of_a_newer_minor_version_are_kept(driver: Driver, store: RevocationStore) -> None:
    await change(store, lambda table: Table("x", table.number, NOW, subjects={"a": NOW}, others={"new": [1]}))
    await change(store, revoked("bob", NOW))
    assert json.loads(await copied(driver, await path_of(driver)))["new"] == [1]


async def test_two_key_rings_over_one_storage_have_a_table_each(driver: Driver, tmp_path: Path, keys: Path) -> None:
    (tmp_path / "others").mkdir()
    other = open_store(driver, tmp_path / "others", secret=b"t" * 32)
    await change(open_store(driver, keys), revoked("alice", NOW))
    assert not (await other.read()).table.refuses("alice", 0.0)


async def test_a_hundred_thousand_subjects(driver: Driver, store: RevocationStore, keys: Path) -> None:
    everyone = {f"user{number}@example.com": NOW for number in range(100_000)}
    await change(store, imported(everyone))
    record = await copied(driver, await path_of(driver))
    assert len(record) < 64 * 1024
    await change(store, revoked("user7@example.com", NOW + 7))
    await change(store, restored("user8@example.com"))
    other = open_store(driver, keys)
    table = (await other.read()).table
    assert len(table.subjects) == 99_999
    assert table.refuses("user7@example.com", NOW + 6)
    [ring] = await driver.list_names(StorePath(f"{STATE}/tokens"))
    shards = StorePath(f"{STATE}/tokens/{ring}/shards")
    names = await driver.list_names(shards)
    assert len(names) == 256  # of those that were replaced nothing is left
    await driver.delete(StorePath(f"{shards}/{names[0]}"))
    with pytest.raises(RevocationsDamaged, match="a part of it is missing"):
        await open_store(driver, keys).read()
    await driver.write(StorePath(f"{shards}/{names[0]}"), b"{}")
    with pytest.raises(RevocationsDamaged, match="is damaged"):
        await open_store(driver, keys).read()


async def test_a_long_list_that_becomes_short_is_still_right(store: RevocationStore) -> None:
    await change(store, imported({f"user{number}": NOW for number in range(MAX_SUBJECTS + 1)}))
    await change(store, lambda table: Table(table.id, table.number, NOW, subjects={"alice": NOW}))
    assert dict((await store.read()).table.subjects) == {"alice": NOW}


async def test_a_shard_cannot_lead_elsewhere(driver: Driver, store: RevocationStore) -> None:
    """A record with the right seal has only digests; any other is refused before its path is made."""
    from authproxy.token.revocation_store import _is_digest

    assert not any(map(_is_digest, ["../../x", "A" * 64, "a" * 63, 7, None]))
    del driver, store


@pytest.mark.parametrize(
    "content", ["", "[]", '{"a": 1}', '{"a": {"number": -1, "latest": 1, "seal": "", "store": ""}}']
)
async def test_a_damaged_note_beside_the_keys_says_how_to_go_on(
    store: RevocationStore, keys: Path, content: str
) -> None:
    (keys / FILE).write_text(content)
    with pytest.raises(StartError, match=r"\.revocations is damaged; remove it.*token revoke --all"):
        await store.read_continued(Seen())


async def test_a_key_folder_that_cannot_be_written_is_a_warning(
    driver: Driver, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr("authproxy.token.seen_revocations.write_private", refuse)
    assert (await change(open_store(driver, keys), revoked("alice", NOW))).number == 1
