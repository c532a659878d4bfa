"""One suite for every driver: what the registry relies on, whatever the storage."""

import asyncio
import hashlib
import itertools
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authproxy.digest import Digest
from authproxy.reference import Repository, Tag
from authproxy.storage import layout
from authproxy.storage.driver import MAX_SMALL_BYTES, PIECE_BYTES, Driver, Fence, NotFound, Swap, UploadBusy
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.memory import MemoryDriver
from authproxy.storage.running_digest import RunningDigest

APP = Repository("team/app")
SESSION = layout.upload(APP, UUID(int=1))
STARTED = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
V1 = layout.tag_current(APP, Tag("v1"))
# Longer than any driver's buffer, piece or part.
LARGE = bytes(range(256)) * (4 * PIECE_BYTES // 256) + b"and a bit"


@pytest.fixture(params=["filesystem", "memory"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    made: Driver = FilesystemDriver(tmp_path, threads=4) if request.param == "filesystem" else MemoryDriver()
    yield made
    await made.close()


async def store(driver: Driver, content: bytes, session: layout.StorePath = SESSION) -> layout.StorePath:
    target = layout.blob(Digest.of(content))
    async with driver.create_upload(session, started=STARTED) as upload:
        await upload.write(content)
        await upload.commit(target)
    return target


async def load(driver: Driver, path: layout.StorePath, first: int = 0, length: int | None = None) -> bytes:
    async with driver.open_reader(path) as reader:
        wanted = reader.size - first if length is None else length
        return b"".join([piece async for piece in reader.pieces(first, wanted)])


async def test_what_was_written_is_read_in_the_order_asked(driver: Driver) -> None:
    await driver.write(V1, b"one")
    v2 = layout.tag_current(APP, Tag("v2"))
    await driver.write(v2, b"two")
    nothing = layout.tag_current(APP, Tag("v3"))
    assert await driver.read([v2, nothing, V1]) == [b"two", None, b"one"]
    assert await driver.sizes([v2, nothing, V1]) == [3, None, 3]


async def test_a_write_replaces(driver: Driver) -> None:
    await driver.write(V1, b"one")
    await driver.write(V1, b"another")
    assert await driver.read([V1]) == [b"another"]


async def test_the_version_of_a_content_changes_with_it(driver: Driver) -> None:
    assert await driver.version(V1) is None
    await driver.write(V1, b"one")
    first = await driver.version(V1)
    assert first is not None
    assert await driver.version(V1) == first
    await driver.write(V1, b"two")
    assert await driver.version(V1) not in (first, None)


async def test_content_that_the_system_forgot_is_read_again(driver: Driver) -> None:
    await driver.write(V1, b"one")
    await driver.drop_cached(V1)
    assert await driver.read([V1], fresh=True) == [b"one"]
    await driver.drop_cached(layout.tag_current(APP, Tag("nowhere")))


async def test_what_is_too_long_to_be_small_is_not_read_whole(driver: Driver) -> None:
    path = await store(driver, b"x" * (MAX_SMALL_BYTES + 1))
    assert await driver.read([path]) == [None]
    assert await driver.sizes([path]) == [MAX_SMALL_BYTES + 1]


async def test_a_path_through_a_file_holds_nothing(driver: Driver) -> None:
    await driver.write(V1, b"one")
    below = layout.StorePath(f"{V1}/x")
    assert await driver.read([below]) == [None]
    assert await driver.sizes([below]) == [None]
    assert await driver.list_names(V1) == []
    assert await driver.delete(below) is False


@pytest.mark.parametrize(
    ("expected", "wins"), [(None, False), (b"one", True), (b"two", False)], ids=["nothing", "what is there", "other"]
)
async def test_replace_compares_first(driver: Driver, expected: bytes | None, *, wins: bool) -> None:
    await driver.write(V1, b"one")
    assert await driver.replace(V1, b"new", expected=expected) is wins
    assert await driver.read([V1]) == [b"new" if wins else b"one"]


async def test_replace_of_nothing_makes_it(driver: Driver) -> None:
    assert await driver.replace(V1, b"first", expected=None)
    assert await driver.read([V1]) == [b"first"]


async def test_of_many_that_expect_the_same_one_wins(driver: Driver) -> None:
    await driver.write(V1, b"start")
    wins = await asyncio.gather(*(driver.replace(V1, f"{i}".encode(), expected=b"start") for i in range(12)))
    assert wins.count(True) == 1
    assert await driver.read([V1]) == [f"{wins.index(True)}".encode()]


async def test_delete_takes_its_empty_folders_along(driver: Driver) -> None:
    await driver.write(V1, b"one")
    assert await driver.delete(V1) is True
    assert await driver.delete(V1) is False
    assert await driver.list_names(layout.repositories()) == []


async def test_only_empty_folders_are_removed(driver: Driver) -> None:
    await driver.write(V1, b"one")
    folder = layout.StorePath(V1.rpartition("/")[0])
    await driver.remove_empty_folders([folder, layout.layers(APP), layout.repositories()])
    assert await driver.read([V1]) == [b"one"]


async def test_delete_compares_where_it_is_told_to(driver: Driver) -> None:
    await driver.write(V1, b"one")
    assert await driver.delete(V1, expected=b"two") is False
    assert await driver.read([V1]) == [b"one"]
    assert await driver.delete(V1, expected=b"one") is True


async def test_delete_tree_leaves_the_neighbours(driver: Driver) -> None:
    digests = [Digest.of(b"1"), Digest.of(b"2")]
    await driver.write(V1, b"one")
    for digest in digests:
        await driver.write(layout.tag_index_link(APP, Tag("v1"), digest), b"x")
    assert await driver.delete_tree(layout.tag_index(APP, Tag("v1"))) is True
    assert await driver.delete_tree(layout.tag_index(APP, Tag("v1"))) is False
    assert await driver.sizes([layout.tag_index_link(APP, Tag("v1"), digest) for digest in digests]) == [None, None]
    assert await driver.read([V1]) == [b"one"]


async def test_writers_and_deleters_of_one_folder_do_not_disturb_each_other(driver: Driver) -> None:
    """A folder that becomes empty is removed just when somebody makes it."""

    async def come_and_go(tag: str) -> None:
        path = layout.tag_current(APP, Tag(tag))
        for _ in range(8):
            await driver.write(path, b"x")
            assert await driver.read([path]) == [b"x"]
            await driver.delete(path)

    await asyncio.gather(*(come_and_go(tag) for tag in "abc"))


NAMES = ["a", "a-b", "a.b", "a0", "B", "_x", "ab", "v1", "v1-rc", "v1.1", "v10"]


async def test_names_come_bytewise_in_pages(driver: Driver) -> None:
    for name in NAMES:
        await driver.write(layout.tag_current(APP, Tag(name)), b"x")
    folder = layout.tags(APP)
    assert await driver.list_names(folder) == sorted(NAMES, key=str.encode)
    found: list[str] = []
    while page := await driver.list_names(folder, after=found[-1] if found else "", limit=3):
        assert len(page) <= 3
        found += page
    assert found == sorted(NAMES, key=str.encode)
    assert await driver.list_names(folder, after="a-a", limit=2) == ["a-b", "a.b"]
    assert await driver.list_names(folder, limit=0) == []


async def test_a_folder_that_is_not_there_has_no_names(driver: Driver) -> None:
    assert await driver.list_names(layout.tags(APP)) == []


async def test_nothing_to_read_is_not_found(driver: Driver) -> None:
    with pytest.raises(NotFound):
        await load(driver, layout.blob(Digest.of(b"nothing")))


@pytest.mark.parametrize(
    ("first", "length"),
    [(0, len(LARGE)), (0, 0), (0, 1), (PIECE_BYTES - 1, 2), (PIECE_BYTES, PIECE_BYTES), (len(LARGE) - 3, 3)],
    ids=["all", "nothing", "the first byte", "over an edge", "a whole piece", "the end"],
)
async def test_a_reader_brings_exactly_what_was_asked(driver: Driver, first: int, length: int) -> None:
    path = await store(driver, LARGE)
    assert await load(driver, path, first, length) == LARGE[first : first + length]


async def test_pieces_are_no_longer_than_they_may_be(driver: Driver) -> None:
    path = await store(driver, LARGE)
    async with driver.open_reader(path) as reader:
        assert reader.size == len(LARGE)
        sizes = [len(piece) async for piece in reader.pieces(0, reader.size)]
    assert sum(sizes) == len(LARGE)
    assert max(sizes) <= PIECE_BYTES


@pytest.mark.parametrize(("first", "length"), [(0, None), (5, 7), (0, 0)], ids=["all", "a part", "nothing"])
async def test_more_may_be_read_than_was_said_when_it_was_opened(
    driver: Driver, first: int, length: int | None
) -> None:
    path = await store(driver, LARGE)
    async with driver.open_reader(path, first, length) as reader:
        assert reader.size == len(LARGE)
        assert b"".join([piece async for piece in reader.pieces(1, len(LARGE) - 2)]) == LARGE[1:-1]


async def test_a_reader_goes_on_from_its_first_piece_where_its_content_is_deleted(driver: Driver) -> None:
    path = await store(driver, LARGE)
    async with driver.open_reader(path) as reader:
        pieces = reader.pieces(0, reader.size)
        first = await anext(pieces)
        await driver.delete(path)
        assert first + b"".join([piece async for piece in pieces]) == LARGE


async def test_what_is_deleted_before_its_first_piece_is_read_whole_or_not_found(driver: Driver) -> None:
    path = await store(driver, LARGE)
    async with driver.open_reader(path) as reader:
        await driver.delete(path)
        try:
            found = b"".join([piece async for piece in reader.pieces(0, reader.size)])
        except NotFound:
            found = LARGE
    assert found == LARGE


@given(cuts=st.lists(st.integers(0, len(LARGE)), max_size=12))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_however_the_bytes_are_cut_the_digest_is_the_same(driver: Driver, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(LARGE)]
    async with driver.create_upload(SESSION, started=STARTED) as upload:
        for first, end in itertools.pairwise(edges):
            await upload.write(LARGE[first:end])
        assert upload.size == len(LARGE)
        digests = await upload.digests(["sha256"])
        await upload.abort()
    assert digests == {"sha256": Digest.of(LARGE)}


async def test_one_byte_at_a_time(driver: Driver) -> None:
    content = LARGE[:3000]
    async with driver.create_upload(SESSION, started=STARTED) as upload:
        for i in range(len(content)):
            await upload.write(content[i : i + 1])
        assert (await upload.digests(["sha256"]))["sha256"] == Digest.of(content)
        await upload.commit(layout.blob(Digest.of(content)))
    assert await load(driver, layout.blob(Digest.of(content))) == content


async def test_a_digest_in_the_middle_does_not_end_the_upload(driver: Driver) -> None:
    async with driver.create_upload(SESSION, started=STARTED) as upload:
        await upload.write(b"hel")
        assert (await upload.digests(["sha256"]))["sha256"] == Digest.of(b"hel")
        await upload.write(b"lo")
        assert (await upload.digests(["sha256"]))["sha256"] == Digest.of(b"hello")


async def test_a_session_goes_on_with_what_was_accepted(driver: Driver) -> None:
    async with driver.create_upload(SESSION, started=STARTED) as upload:
        await upload.write(b"hel")
    assert await driver.upload_size(SESSION) == 3
    async with driver.open_upload(SESSION, wait_s=1) as upload:
        assert upload.size == 3
        await upload.write(b"lo")
        assert (await upload.digests(["sha256", "sha512"])) == {
            "sha256": Digest.of(b"hello"),
            "sha512": Digest.of(b"hello", "sha512"),
        }


async def test_what_an_error_interrupts_is_kept(driver: Driver) -> None:
    async def break_off() -> None:
        async with driver.create_upload(SESSION, started=STARTED) as upload:
            await upload.write(LARGE)
            raise RuntimeError("the client went away")

    with pytest.raises(RuntimeError, match="the client went away"):
        await break_off()
    assert await driver.upload_size(SESSION) == len(LARGE)


async def test_a_running_digest_is_carried_on_where_it_fits(driver: Driver) -> None:
    async with driver.create_upload(SESSION, started=STARTED) as upload:
        upload.adopt(RunningDigest(["sha512"]))
        await upload.write(b"hel")
    running = upload.running
    assert running.offset == 3
    async with driver.open_upload(SESSION, wait_s=1) as upload:
        upload.adopt(running)
        await upload.write(b"lo")
        assert await upload.digests(["sha512"]) == {"sha512": Digest.of(b"hello", "sha512")}
        assert upload.running is running


async def test_a_running_digest_that_others_have_left_behind_catches_up(driver: Driver) -> None:
    """Another process has taken the chunks in the middle."""
    async with driver.create_upload(SESSION, started=STARTED) as upload:
        await upload.write(b"hel")
        running = upload.running
    async with driver.open_upload(SESSION, wait_s=1) as upload:
        await upload.write(b"lo, ")
    async with driver.open_upload(SESSION, wait_s=1) as upload:
        upload.adopt(running)
        await upload.write(b"world")
        assert running.offset == 3  # nothing is read before the digest is asked for
        assert await upload.digests(["sha256"]) == {"sha256": Digest.of(b"hello, world")}
        assert (upload.running, running.offset) == (running, 12)


async def test_a_running_digest_that_has_seen_more_than_there_is_is_left_out(driver: Driver) -> None:
    async with driver.create_upload(SESSION, started=STARTED) as upload:
        await upload.write(b"hel")
    longer = RunningDigest()
    longer.update(b"help")
    async with driver.open_upload(SESSION, wait_s=1) as upload:
        upload.adopt(longer)
        await upload.write(b"lo")
        assert (await upload.digests(["sha256"]))["sha256"] == Digest.of(b"hello")


@pytest.mark.parametrize("content", [b"hello", LARGE], ids=["small", "large"])
async def test_an_algorithm_that_nobody_has_followed_is_computed_beside_the_other(
    driver: Driver, content: bytes
) -> None:
    async with driver.create_upload(SESSION, started=STARTED) as upload:
        await upload.write(content[:2])
        await upload.digests(["sha256"])
        await upload.write(content[2:])
        both = {algorithm: Digest.of(content, algorithm) for algorithm in ("sha256", "sha512")}
        assert await upload.digests(["sha256", "sha512"]) == both
        await upload.commit(layout.blob(both["sha256"]))
    assert await load(driver, layout.blob(both["sha256"])) == content


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_pieces_of_any_kind_and_size_come_in_order(
    driver: Driver, kind: type[bytes | bytearray | memoryview]
) -> None:
    large = PIECE_BYTES
    sizes = [1, large, 2, 3, large - 1, 2 * large, large, 4]
    edges = [0, *itertools.accumulate(sizes)]
    content = os.urandom(edges[-1])
    async with driver.create_upload(SESSION, started=STARTED) as upload:
        for first, end in itertools.pairwise(edges):
            await upload.write(kind(content[first:end]))
            assert upload.size == end
        assert await upload.digests(["sha256"]) == {"sha256": Digest.of(content)}
        await upload.commit(layout.blob(Digest.of(content)))
    assert await load(driver, layout.blob(Digest.of(content))) == content


async def test_an_upload_is_visible_from_its_commit_on(driver: Driver) -> None:
    target = layout.blob(Digest.of(b"hello"))
    async with driver.create_upload(SESSION, started=STARTED) as upload:
        await upload.write(b"hello")
        await upload.digests(["sha256"])
        assert await driver.sizes([target]) == [None]
        unfinished = upload.is_finished
        await upload.commit(target)
        assert (unfinished, upload.is_finished) == (False, True)
        assert await driver.sizes([target]) == [5]
        await upload.commit(target)
    await is_gone(driver, SESSION)
    assert await load(driver, target) == b"hello"


async def is_gone(driver: Driver, session: layout.StorePath) -> None:
    with pytest.raises(NotFound):
        await driver.upload_size(session)
    with pytest.raises(NotFound):
        async with driver.open_upload(session, wait_s=0):
            pass


async def test_an_empty_upload_is_content(driver: Driver) -> None:
    path = await store(driver, b"")
    assert await driver.sizes([path]) == [0]
    assert await load(driver, path) == b""
    assert path.endswith(hashlib.sha256(b"").hexdigest() + "/data")


async def test_an_aborted_upload_leaves_nothing(driver: Driver) -> None:
    async with driver.create_upload(SESSION, started=STARTED) as upload:
        await upload.write(LARGE)
        await upload.abort()
        await upload.abort()
        assert upload.is_finished
    await is_gone(driver, SESSION)


async def test_content_that_is_there_already_stays(driver: Driver) -> None:
    first = await store(driver, b"hello")
    assert await store(driver, b"hello") == first
    assert await load(driver, first) == b"hello"
    await is_gone(driver, SESSION)


@pytest.mark.parametrize("damaged", [LARGE[:-1], LARGE[:-1] + b"x"], ids=["too short", "other bytes"])
async def test_content_that_was_damaged_is_replaced(driver: Driver, damaged: bytes) -> None:
    target = layout.blob(Digest.of(LARGE))
    await driver.write(target, damaged)
    async with driver.open_reader(target) as reader:
        pieces = reader.pieces(0, reader.size)
        first = await anext(pieces)
        await store(driver, LARGE)
        assert first + b"".join([piece async for piece in pieces]) == damaged
    assert await load(driver, target) == LARGE


async def test_a_commit_brings_its_links(driver: Driver) -> None:
    target, link = layout.blob(Digest.of(b"hello")), layout.layer_link(APP, Digest.of(b"hello"))
    await driver.write(link, b"an older one")
    async with driver.create_upload(SESSION, started=STARTED) as upload:
        await upload.write(b"hello")
        await upload.commit(target, {link: b"a link", V1: b"another"})
        assert await driver.read([target, link, V1]) == [b"hello", b"a link", b"another"]


async def test_several_are_put_together(driver: Driver) -> None:
    v2 = layout.tag_current(APP, Tag("v2"))
    await driver.write(V1, b"old")
    await driver.write_all([[(V1, b"one"), (v2, b"two")], [(V1, b"the last counts")]])
    assert await driver.read([V1, v2]) == [b"the last counts", b"two"]
    await driver.write_all([])


async def test_a_group_is_visible_when_the_next_one_is(driver: Driver) -> None:
    groups = [[(layout.tag_current(APP, Tag(f"{group}-{n}")), b"x") for n in range(3)] for group in range(3)]
    paths = [[path for path, _ in group] for group in groups]
    writing = asyncio.create_task(driver.write_all(groups))
    is_done = False
    while not is_done:
        is_done = writing.done()  # before the look: the last look sees all
        # From the last to the first: what is written between the looks can only make the earlier ones more complete.
        seen = [await driver.sizes(group) for group in reversed(paths)]
        for later, earlier in itertools.pairwise(seen):
            assert later == [None] * 3 or earlier == [1, 1, 1]
        await asyncio.sleep(0)
    await writing
    assert [await driver.sizes(group) for group in paths] == [[1, 1, 1]] * 3


TARGET = layout.blob(Digest.of(LARGE))


@pytest.mark.parametrize("content", [b"", b"hello", LARGE], ids=["nothing", "small", "large"])
@pytest.mark.parametrize("is_opened_again", [False, True], ids=["new", "opened again"])
async def test_content_whose_target_is_known_from_the_start(
    driver: Driver, content: bytes, *, is_opened_again: bool
) -> None:
    target = layout.blob(Digest.of(content))
    if is_opened_again:
        async with driver.create_upload(SESSION, started=STARTED):
            pass
        opening = driver.open_upload(SESSION, wait_s=1, target=target)
    else:
        opening = driver.create_upload(SESSION, started=STARTED, target=target)
    async with opening as upload:
        await upload.write(content)
        assert upload.size == len(content)
        assert await driver.sizes([target]) == [None]
        assert await upload.digests(["sha256"]) == {"sha256": Digest.of(content)}
        await upload.commit(target, {V1: b"a link"})
    assert await load(driver, target) == content
    assert await driver.read([V1]) == [b"a link"]
    await is_gone(driver, SESSION)


async def test_a_target_that_becomes_known_with_the_last_chunk(driver: Driver) -> None:
    async with driver.create_upload(SESSION, started=STARTED) as upload:
        await upload.write(LARGE[:-3])
    async with driver.open_upload(SESSION, wait_s=1, target=TARGET) as upload:
        await upload.write(LARGE[-3:])
        assert await upload.digests(["sha256"]) == {"sha256": Digest.of(LARGE)}
        await upload.commit(TARGET)
    assert await load(driver, TARGET) == LARGE


@pytest.mark.parametrize("content", [b"hello", LARGE], ids=["small", "large"])
async def test_an_upload_to_a_known_target_that_breaks_off_can_be_done_again(driver: Driver, content: bytes) -> None:
    target = layout.blob(Digest.of(content))
    async with driver.create_upload(SESSION, started=STARTED, target=target) as upload:
        await upload.write(content[:-1])
    kept = await driver.upload_size(SESSION)
    assert kept in (0, len(content) - 1)
    assert await driver.sizes([target]) == [None]
    async with driver.open_upload(SESSION, wait_s=1, target=target) as upload:
        assert upload.size == kept
        await upload.write(content[kept:])
        assert await upload.digests(["sha256"]) == {"sha256": Digest.of(content)}
        await upload.commit(target)
    assert await load(driver, target) == content


async def test_an_upload_to_a_known_target_that_is_aborted_leaves_nothing(driver: Driver) -> None:
    async with driver.create_upload(SESSION, started=STARTED, target=TARGET) as upload:
        await upload.write(LARGE)
        await upload.abort()
    await is_gone(driver, SESSION)
    assert await driver.sizes([TARGET]) == [None]


async def test_eight_that_push_the_same_content_end_with_one(driver: Driver) -> None:
    sessions = [layout.upload(APP, UUID(int=number)) for number in range(8)]
    paths = await asyncio.gather(*(store(driver, LARGE, session) for session in sessions))
    assert len(set(paths)) == 1
    assert await load(driver, paths[0]) == LARGE
    for session in sessions:
        await is_gone(driver, session)


async def write_beside(driver: Driver, content: bytes) -> None:
    """A second request on the session."""
    async with driver.open_upload(SESSION, wait_s=0) as upload:
        await upload.write(content)


@pytest.mark.parametrize("before", [b"", b"hel", LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("content", [b"lo", LARGE], ids=["small", "large"])
async def test_of_two_that_write_to_a_session_one_is_refused(driver: Driver, before: bytes, content: bytes) -> None:
    """At the latest when it leaves; and what the session holds is never of both."""

    async def write(own: bytes) -> None:
        async with driver.open_upload(SESSION, wait_s=0) as upload:
            await upload.write(own)
            seconds.extend(await asyncio.gather(write_beside(driver, content), return_exceptions=True))
            await upload.write(own)

    seconds: list[BaseException | None] = []
    async with driver.create_upload(SESSION, started=STARTED) as upload:
        await upload.write(before)
    [first] = await asyncio.gather(write(b"x"), return_exceptions=True)
    [second] = seconds
    assert sorted([first is None, second is None]) == [False, True]
    assert isinstance(first or second, UploadBusy)
    expected = before + (b"xx" if first is None else content)
    async with driver.open_upload(SESSION, wait_s=0) as upload:
        assert await upload.digests(["sha256"]) == {"sha256": Digest.of(expected)}


@pytest.mark.parametrize("target", [None, TARGET], ids=["target unknown", "target known"])
async def test_a_second_writer_is_refused_at_the_latest_at_commit(
    driver: Driver, target: layout.StorePath | None
) -> None:
    async def push() -> None:
        async with driver.open_upload(SESSION, wait_s=0, target=target) as upload:
            await upload.write(LARGE)
            second.extend(await asyncio.gather(write_beside(driver, b"of another"), return_exceptions=True))
            await upload.commit(TARGET)

    second: list[BaseException | None] = []
    async with driver.create_upload(SESSION, started=STARTED):
        pass
    [first] = await asyncio.gather(push(), return_exceptions=True)
    assert sorted([first is None, second[0] is None]) == [False, True]
    assert isinstance(first or second[0], UploadBusy)
    if first is None:
        assert await load(driver, TARGET) == LARGE
    else:
        assert await driver.sizes([TARGET]) == [None]
        assert await driver.upload_size(SESSION) == len(b"of another")


async def test_a_request_whose_session_is_ended_by_another_is_refused_or_the_other_is(driver: Driver) -> None:
    async def abort() -> None:
        async with driver.open_upload(SESSION, wait_s=0) as upload:
            await upload.abort()

    async def write() -> None:
        async with driver.create_upload(SESSION, started=STARTED) as upload:
            await upload.write(LARGE)
            other.extend(await asyncio.gather(abort(), return_exceptions=True))

    other: list[BaseException | None] = []
    [own] = await asyncio.gather(write(), return_exceptions=True)
    if other == [None]:
        assert isinstance(own, NotFound)
        await is_gone(driver, SESSION)
    else:
        assert own is None
        assert isinstance(other[0], UploadBusy)
        assert await driver.upload_size(SESSION) == len(LARGE)


async def test_no_session_is_not_found(driver: Driver) -> None:
    await is_gone(driver, SESSION)


async def test_a_cancelled_writer_keeps_what_it_had_accepted(driver: Driver) -> None:
    accepted: list[int] = []
    under_way = asyncio.Event()

    async def write_for_ever() -> None:
        async with driver.create_upload(SESSION, started=STARTED) as upload:
            try:
                while True:
                    await upload.write(LARGE)
                    under_way.set()
                    await asyncio.sleep(0)
            finally:
                accepted.append(upload.size)

    task = asyncio.create_task(write_for_ever())
    await under_way.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert accepted == [await driver.upload_size(SESSION)]
    async with driver.open_upload(SESSION, wait_s=5) as upload:
        whole = (LARGE * (upload.size // len(LARGE) + 1))[: upload.size]
        assert await upload.digests(["sha256"]) == {"sha256": Digest.of(whole)}


V2 = layout.tag_current(APP, Tag("v2"))
RECORD = layout.StorePath(f"{layout.STATE}/deletions/team/app/_deletions")


async def test_a_conditional_delete_leaves_no_link(driver: Driver) -> None:
    """Empty content where the storage can't delete by condition: no link, and the next write takes its place."""
    await driver.write(V1, b"one")
    assert await driver.delete(V1, expected=b"one") is True
    assert not (await driver.read([V1]))[0]
    assert not (await driver.sizes([V1]))[0]


async def test_published_contents_are_visible_before_the_pointers_move(driver: Driver) -> None:
    await driver.write(V1, b"old")
    async with driver.publish(
        [[(RECORD, b"content")]], [Swap(V1, b"new", b"old"), Swap(V2, b"new", None)]
    ) as published:
        assert await driver.read([RECORD, V1, V2], fresh=True) == [b"content", b"old", None]
        assert await published.move() == [True, True]
    assert await driver.read([RECORD, V1, V2]) == [b"content", b"new", b"new"]


async def test_a_pointer_that_changed_meanwhile_stays(driver: Driver) -> None:
    await driver.write(V1, b"old")
    async with driver.publish([], [Swap(V1, b"new", b"old"), Swap(V2, b"new", None)]) as published:
        await driver.write(V1, b"another")
        assert await published.move() == [False, True]
    assert await driver.read([V1, V2]) == [b"another", b"new"]


async def test_a_look_that_fails_moves_no_pointer(driver: Driver) -> None:
    with pytest.raises(NotFound):
        async with driver.publish([[(RECORD, b"content")]], [Swap(V1, b"new", None)]):
            raise NotFound
    assert await driver.read([RECORD, V1]) == [b"content", None]
    assert await driver.list_names(layout.tags(APP)) == []


async def test_a_fenced_deletion_depends_on_its_record(driver: Driver) -> None:
    await driver.write(V1, b"one")
    await driver.write(RECORD, b"mine")
    end = driver.clock_s() + driver.fence_s
    assert await driver.delete_fenced(V1, Fence(RECORD, b"another's", end)) is False
    assert await driver.read([V1]) == [b"one"]
    assert await driver.delete_fenced(V1, Fence(RECORD, b"mine", end)) is True
    assert await driver.read([V1]) == [None]
    assert await driver.delete_fenced(V1, Fence(RECORD, b"mine", end)) is True


async def test_a_fenced_deletion_without_a_record_removes_nothing(driver: Driver) -> None:
    await driver.write(V1, b"one")
    assert await driver.delete_fenced(V1, Fence(RECORD, b"mine", driver.clock_s() + driver.fence_s)) is False
    assert await driver.read([V1]) == [b"one"]


async def test_a_fresh_read_sees_what_another_program_wrote(tmp_path: Path) -> None:
    driver = FilesystemDriver(tmp_path)
    await driver.write(V1, b"one")
    assert await driver.read([V1]) == [b"one"]
    (tmp_path / V1).write_bytes(b"two")
    assert await driver.read([V1], fresh=True) == [b"two"]
    await driver.close()


async def test_state_leaves_its_folder_where_it_goes(tmp_path: Path) -> None:
    driver = FilesystemDriver(tmp_path)
    await driver.write(RECORD, b"x")
    assert await driver.delete(RECORD) is True
    assert (tmp_path / layout.STATE).is_dir()
    assert not list((tmp_path / layout.STATE).iterdir())
    await driver.close()


async def test_a_scan_finds_each_name_below_a_folder_once(driver: Driver) -> None:
    tags = [Tag(f"v{number}") for number in range(2500)]
    await driver.write_all([[(layout.tag_current(APP, tag), b"x") for tag in tags]])
    batches = [batch async for batch in driver.scan_names(layout.tags(APP))]
    assert sorted(name for batch in batches for name in batch) == sorted(tags)
    assert max(map(len, batches)) <= 1000


async def test_a_scan_of_no_folder_finds_nothing(driver: Driver) -> None:
    await driver.write(V1, b"x")
    assert [batch async for batch in driver.scan_names(layout.tags(Repository("none")))] == []
    assert [batch async for batch in driver.scan_names(V1)] == []
