"""Pull times, from the request to the reader: never earlier than the truth, and nothing where nothing is pulled."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authproxy.digest import Digest
from authproxy.reference import Repository, Tag
from authproxy.registry.pull_log import MAX_BATCHES, PullLog
from authproxy.registry.pull_merge import KEEP_GONE_S, PullMerge
from authproxy.registry.pull_segments import MAX_SUBJECT, Pulled, Shard, size_of
from authproxy.registry.pull_times import Pull, PullTimes
from authproxy.storage import layout, state_layout
from authproxy.storage.driver import Driver, StorageFull
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.layout import StorePath
from authproxy.storage.memory import MemoryDriver

APP, OTHER = Repository("team/app"), Repository("team/other")
V1, V2 = Tag("v1"), Tag("v2")
ONE, TWO = Digest.of(b"one"), Digest.of(b"two")
BEGAN = 1_700_000_000


class Clocks:
    """The time of day and that since boot, which a test moves."""

    def __init__(self) -> None:
        self.now, self.up = float(BEGAN), 1000.0

    def wall(self) -> float:
        return self.now

    def uptime(self) -> float:
        return self.up

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        self.up += seconds


@pytest.fixture(params=["filesystem", "memory"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    made: Driver = FilesystemDriver(tmp_path, threads=4) if request.param == "filesystem" else MemoryDriver()
    yield made
    await made.close()


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def make_log(driver: Driver, clocks: Clocks, name: str = "a", **changes: object) -> PullLog:
    return PullLog(driver, now=clocks.wall, uptime=clocks.uptime, new_name=lambda: name, **changes)  # type: ignore[arg-type]


def make_merge(driver: Driver, clocks: Clocks, **changes: int) -> PullMerge:
    return PullMerge(driver, now=clocks.wall, **changes)


async def load(driver: Driver, clocks: Clocks) -> PullTimes:
    return await PullTimes.load(driver, now=clocks.wall)


async def last(driver: Driver, clocks: Clocks, repository: Repository, digest: Digest, tag: Tag | None) -> int | None:
    found = await (await load(driver, clocks)).last_pull(repository, digest, tag)
    return None if found is None else int(found.timestamp())


async def names(driver: Driver, folder: StorePath) -> Sequence[str]:
    return await driver.list_names(folder)


# What nobody holds any more would end properly, when it is collected.
KILLED: list[object] = []


@asynccontextmanager
async def killed(log: PullLog) -> AsyncIterator[None]:
    """A process that is killed at the end of the block: what it holds is freed, and it writes nothing more."""
    recording = log.recording()
    await recording.__aenter__()
    KILLED.append(recording)
    yield
    assert log._held is not None
    log._held.__exit__(None, None, None)


async def test_without_records_nothing_is_known(driver: Driver, clocks: Clocks) -> None:
    times = await load(driver, clocks)
    assert times.records_began() is None
    assert await times.last_pull(APP, ONE, V1) is None


async def test_a_pull_is_known_with_its_subject_and_an_unknown_one_counts_from_the_beginning_of_records(
    driver: Driver, clocks: Clocks
) -> None:
    log = make_log(driver, clocks)
    async with log.recording():
        clocks.pass_by(100)
        log.note(APP, V1, ONE, "alice")
        clocks.pass_by(30)
        await log.flush()
        times = await load(driver, clocks)
        at = datetime.fromtimestamp(BEGAN + 130, UTC)
        assert times.records_began() == datetime.fromtimestamp(BEGAN, UTC)
        assert times.unknown_until() is None
        assert await times.recorded(APP, ONE, V1) == await times.recorded_in(APP) == Pull(at, "alice")
        assert await times.last_pull(APP, ONE, V1) == await times.last_pull(APP, ONE, None) == at
        for never in ((APP, ONE, V2), (APP, TWO, V1), (OTHER, ONE, V1)):
            assert await times.last_pull(*never) == times.records_began()
            assert await times.recorded(*never) is None


async def test_a_pull_by_digest_counts_for_every_tag(driver: Driver, clocks: Clocks) -> None:
    """containerd asks for the tag by HEAD and pulls by the digest."""
    log = make_log(driver, clocks)
    async with log.recording():
        clocks.pass_by(9)
        log.note(APP, ONE, ONE, "")
    assert [await last(driver, clocks, APP, ONE, tag) for tag in (V1, V2, None)] == [BEGAN + 9] * 3


async def test_a_tag_that_moves_within_the_minute_is_recorded_for_both_manifests(
    driver: Driver, clocks: Clocks
) -> None:
    log = make_log(driver, clocks)
    async with log.recording():
        clocks.pass_by(9)
        log.note(APP, V1, ONE, "")
        log.note(APP, V1, TWO, "")
    assert [await last(driver, clocks, APP, digest, V1) for digest in (ONE, TWO)] == [BEGAN + 9] * 2


async def test_a_minute_of_pulls_is_one_segment_and_an_idle_one_writes_nothing(driver: Driver, clocks: Clocks) -> None:
    log = make_log(driver, clocks)
    async with log.recording():
        for _ in range(3):
            for tag in (V1, V2):
                log.note(APP, tag, ONE, "alice")
        await log.flush()
        await log.flush()
        assert len(await names(driver, state_layout.pull_segments())) == 1
    assert len(await names(driver, state_layout.pull_segments())) == 1
    assert await names(driver, state_layout.pull_writers()) == []


async def test_the_loop_writes_within_an_interval_of_the_first_pull(driver: Driver, clocks: Clocks) -> None:
    log = make_log(driver, clocks, interval_s=0.01)
    async with log.recording():
        running = asyncio.create_task(log.run())
        await asyncio.sleep(0.05)
        assert await names(driver, state_layout.pull_segments()) == []
        log.note(APP, V1, ONE, "alice")
        async with asyncio.timeout(5):
            while not await names(driver, state_layout.pull_segments()):  # noqa: ASYNC110 - a folder
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait([running])


async def test_switched_off_no_subject_is_stored(driver: Driver, clocks: Clocks) -> None:
    log = make_log(driver, clocks, with_subject=False)
    async with log.recording():
        log.note(APP, V1, ONE, "alice")
    pull = await (await load(driver, clocks)).recorded(APP, ONE, V1)
    assert pull is not None
    assert pull.by is None


@pytest.mark.parametrize("subject", ["x" * 10_000, "\x1b[2J\x00\u202e", "\ud800", '"}'], ids=ascii)
async def test_any_subject_is_stored_bounded(driver: Driver, clocks: Clocks, subject: str) -> None:
    log = make_log(driver, clocks)
    async with log.recording():
        log.note(APP, V1, ONE, subject)
    await make_merge(driver, clocks).merge()
    pull = await (await load(driver, clocks)).recorded(APP, ONE, V1)
    assert pull is not None
    assert pull.by == subject[:MAX_SUBJECT].encode("utf-8", "replace").decode()


class TestUnknown:
    async def test_a_killed_process_makes_everything_count_as_pulled_until_it_is_found_dead(
        self, driver: Driver, clocks: Clocks
    ) -> None:
        log = make_log(driver, clocks)
        async with killed(log):
            log.note(APP, V1, ONE, "alice")
            clocks.pass_by(500)
            assert await last(driver, clocks, APP, ONE, V1) == BEGAN  # alive: it may take a minute
        clocks.pass_by(500)
        assert await last(driver, clocks, OTHER, TWO, V2) == BEGAN + 1001
        merge = make_merge(driver, clocks)
        await merge.end_dead()
        await merge.end_dead()
        clocks.pass_by(500)
        assert await last(driver, clocks, APP, ONE, V1) == await last(driver, clocks, OTHER, TWO, V2) == BEGAN + 1000
        assert await names(driver, state_layout.pull_writers()) == []
        assert (await load(driver, clocks)).unknown_until() == datetime.fromtimestamp(BEGAN + 1000, UTC)

    async def test_of_two_processes_each_has_its_own_end(self, driver: Driver, clocks: Clocks) -> None:
        one, two = make_log(driver, clocks, "one"), make_log(driver, clocks, "two")
        async with one.recording():
            async with two.recording():
                clocks.pass_by(10)
                one.note(APP, V1, ONE, "alice")
                two.note(APP, V1, ONE, "bob")
                two.note(APP, V2, TWO, "bob")
                await make_merge(driver, clocks).end_dead()
            assert await names(driver, state_layout.pull_writers()) == ["one"]
        assert await names(driver, state_layout.pull_writers()) == []
        assert [await last(driver, clocks, APP, *pulled) for pulled in ((ONE, V1), (TWO, V2), (TWO, V1))] == [
            BEGAN + 10,
            BEGAN + 10,
            BEGAN,
        ]

    @pytest.mark.parametrize(
        "content", [b"", b"{", b"[]", b'{"version": "1.0", "to": -1, "pulls": {}}', b'{"version": "9.0"}']
    )
    async def test_a_segment_that_cannot_be_read_may_have_had_anything(
        self, driver: Driver, clocks: Clocks, content: bytes
    ) -> None:
        async with make_log(driver, clocks).recording():
            await driver.write(state_layout.pull_segment("x"), content)
            clocks.pass_by(5)
            assert (await last(driver, clocks, APP, ONE, V1) or 0) >= BEGAN + 5
            await make_merge(driver, clocks).merge()
            assert (await last(driver, clocks, APP, ONE, V1) or 0) >= BEGAN + 5
            assert await names(driver, state_layout.pull_segments()) == []

    async def test_a_damaged_shard_begins_anew_and_what_it_may_have_had_counts_as_pulled(
        self, driver: Driver, clocks: Clocks
    ) -> None:
        log = make_log(driver, clocks)
        async with log.recording():
            await driver.write(state_layout.pull_shard(APP, "all"), b"{damaged")
            await driver.write(state_layout.pulls_merged(), b"{damaged")
            log.note(APP, V1, ONE, "")
            await log.flush()
            clocks.pass_by(70)
            await make_merge(driver, clocks).merge()
        times = await load(driver, clocks)
        assert (await times.last_pull(APP, TWO, V2)) == datetime.fromtimestamp(BEGAN + 70, UTC)
        assert await times.recorded(APP, ONE, V1) == Pull(datetime.fromtimestamp(BEGAN, UTC), "")

    async def test_a_shard_of_a_newer_version_is_left_alone(self, driver: Driver, clocks: Clocks) -> None:
        newer = b'{"version": "2.0", "nonce": "", "all": 1}'
        log = make_log(driver, clocks)
        async with log.recording():
            await driver.write(state_layout.pull_shard(APP, "all"), newer)
            log.note(APP, V1, ONE, "")
        with pytest.raises(Exception, match="needs a newer authproxy"):
            await make_merge(driver, clocks).merge()
        assert await driver.read([state_layout.pull_shard(APP, "all")]) == [newer]
        assert len(await names(driver, state_layout.pull_segments())) == 1


class TestClock:
    async def test_set_back_it_makes_no_pull_earlier(self, driver: Driver, clocks: Clocks) -> None:
        clocks.pass_by(1000)
        async with make_log(driver, clocks).recording():
            pass
        clocks.now = 0.0  # a machine without a clock, after a boot
        log = make_log(driver, clocks, "b")
        async with log.recording():
            log.note(APP, V1, ONE, "")
        clocks.now = BEGAN + 2000.0
        assert await last(driver, clocks, APP, ONE, V1) == BEGAN + 1000

    async def test_set_forward_everything_that_was_pulled_before_counts_as_pulled_then(
        self, driver: Driver, clocks: Clocks
    ) -> None:
        log = make_log(driver, clocks)
        async with log.recording():
            log.note(APP, V1, ONE, "")
            await log.flush()
            clocks.now += 1_000_000
            log.note(APP, V2, TWO, "")
        assert await last(driver, clocks, APP, ONE, V1) == BEGAN + 1_000_000

    async def test_a_pull_in_the_future_stays_there(self, driver: Driver, clocks: Clocks) -> None:
        clocks.now += 1_000_000
        log = make_log(driver, clocks)
        async with log.recording():
            log.note(APP, V1, ONE, "")
        clocks.now -= 1_000_000
        await make_merge(driver, clocks).merge()
        assert await last(driver, clocks, APP, ONE, V1) == BEGAN + 1_000_000


class Full(MemoryDriver):
    """A storage that has no space for a while."""

    is_full = False

    async def replace(self, path: StorePath, content: bytes, *, expected: bytes | None, **until: float) -> bool:
        if self.is_full:
            raise StorageFull
        return await super().replace(path, content, expected=expected, **until)


class TestFullDisk:
    async def test_pulls_are_kept_until_there_is_space(self, clocks: Clocks) -> None:
        driver = Full()
        log = make_log(driver, clocks)
        async with log.recording():
            driver.is_full = True
            log.note(APP, V1, ONE, "alice")
            await log.flush()
            clocks.pass_by(60)
            await log.flush()
            assert await names(driver, state_layout.pull_segments()) == []
            driver.is_full = False
            await log.flush()
        assert await last(driver, clocks, APP, ONE, V1) == BEGAN + 60

    async def test_a_process_that_ends_with_them_was_killed(self, clocks: Clocks) -> None:
        driver = Full()
        log = make_log(driver, clocks)
        async with log.recording():
            driver.is_full = True
            log.note(APP, V1, ONE, "alice")
        clocks.pass_by(60)
        assert await last(driver, clocks, APP, ONE, V1) == BEGAN + 61

    async def test_a_start_on_a_full_disk_is_made_up_for(self, clocks: Clocks) -> None:
        driver = Full()
        driver.is_full = True
        log = make_log(driver, clocks)
        async with log.recording():
            driver.is_full = False
            log.note(APP, V1, ONE, "alice")
            await log.flush()
            assert await names(driver, state_layout.pull_writers()) == ["a"]
        assert await last(driver, clocks, APP, ONE, V1) == BEGAN

    async def test_more_than_fits_is_forgotten_and_everything_counts_as_pulled(self, clocks: Clocks) -> None:
        driver = Full()
        log = make_log(driver, clocks, max_pulls=10)
        async with log.recording():
            driver.is_full = True
            for number in range(10 * (MAX_BATCHES + 3)):
                log.note(APP, Tag(f"t{number}"), ONE, "")
                assert len(log._pulled) <= 10
                assert len(log._batches) <= MAX_BATCHES
            clocks.pass_by(60)
            driver.is_full = False
            await log.flush()
        assert await last(driver, clocks, OTHER, TWO, V2) == BEGAN + 60

    async def test_many_different_pulls_in_a_minute_become_several_segments(
        self, driver: Driver, clocks: Clocks
    ) -> None:
        log = make_log(driver, clocks, max_pulls=10)
        async with log.recording():
            for number in range(25):
                log.note(APP, Tag(f"t{number}"), ONE, "")
        assert len(await names(driver, state_layout.pull_segments())) == 3
        assert await last(driver, clocks, APP, ONE, Tag("t0")) == BEGAN


class TestMerge:
    async def test_segments_go_and_the_latest_pulls_stay(self, driver: Driver, clocks: Clocks) -> None:
        log = make_log(driver, clocks)
        merge = make_merge(driver, clocks)
        async with log.recording():
            for by in ("alice", "bob"):
                clocks.pass_by(60)
                log.note(APP, V1, ONE, by)
                await log.flush()
            log.note(OTHER, V2, TWO, "carol")
            await log.flush()
            before = await load(driver, clocks)
            assert await merge.merge() == 3
            assert await merge.merge() == 0
        assert await names(driver, state_layout.pull_segments()) == []
        after = await load(driver, clocks)
        for pulled in ((APP, ONE, V1), (OTHER, TWO, V2), (APP, TWO, V2)):
            assert await after.recorded(*pulled) == await before.recorded(*pulled)
            assert await after.last_pull(*pulled) == await before.last_pull(*pulled)

    async def test_segments_that_a_crash_left_are_merged_again(self, driver: Driver, clocks: Clocks) -> None:
        log = make_log(driver, clocks)
        async with log.recording():
            log.note(APP, V1, ONE, "alice")
        [name] = await names(driver, state_layout.pull_segments())
        [content] = await driver.read([state_layout.pull_segment(name)])
        assert content is not None
        clocks.pass_by(60)
        later = make_log(driver, clocks, "b")
        async with later.recording():
            later.note(APP, V1, ONE, "bob")
        await make_merge(driver, clocks).merge()
        await driver.write(state_layout.pull_segment(name), content)
        await make_merge(driver, clocks).merge()
        pull = await (await load(driver, clocks)).recorded(APP, ONE, V1)
        assert pull == Pull(datetime.fromtimestamp(BEGAN + 60, UTC), "bob")

    async def test_a_long_shard_is_split_and_read_all_the_same(self, driver: Driver, clocks: Clocks) -> None:
        digests = [Digest.of(bytes([number])) for number in range(40)]
        log = make_log(driver, clocks)
        merge = make_merge(driver, clocks, max_whole_bytes=1000)
        async with log.recording():
            for digest in digests:
                clocks.pass_by(60)
                log.note(APP, V1, digest, "alice")
                await log.flush()
                await merge.merge()
            for digest in digests[:5]:
                log.note(APP, V2, digest, "bob")
            clocks.pass_by(60)
            await log.flush()
            await merge.merge()
        assert len(await names(driver, state_layout.pulls_of(APP))) > 20
        found = [await last(driver, clocks, APP, digest, V1) for digest in digests]
        assert found == [BEGAN + 60 * (number + 1) for number in range(40)]
        assert {await last(driver, clocks, APP, digest, V2) for digest in digests[:5]} == {BEGAN + 60 * 41}
        [whole] = await driver.read([state_layout.pull_shard(APP, "all")])
        assert json.loads(whole or b"")["pulls"] == {}

    async def test_a_pull_of_what_is_gone_is_dropped_after_a_while_and_remembered_for_all(
        self, driver: Driver, clocks: Clocks
    ) -> None:
        log = make_log(driver, clocks)
        merge = make_merge(driver, clocks)
        await driver.write(layout.revision_link(APP, TWO), str(TWO).encode())
        async with log.recording():
            for digest in (ONE, TWO):
                clocks.pass_by(60)
                log.note(APP, V1, digest, "alice")
                await log.flush()
            await merge.merge()
            clocks.pass_by(KEEP_GONE_S)
            log.note(APP, V2, TWO, "alice")
            await log.flush()
            assert await merge.merge() == 1
        times = await load(driver, clocks)
        assert await times.recorded(APP, ONE, V1) is None
        assert await times.recorded(APP, TWO, V1) is not None
        assert await last(driver, clocks, APP, ONE, V1) == BEGAN + 60  # it may come back from the trash

    async def test_a_fold_that_lost_a_race_keeps_both(self, clocks: Clocks) -> None:
        """Two processes merge, one of which slept between reading a shard and writing it."""
        driver = MemoryDriver()
        one, two = make_log(driver, clocks, "one"), make_log(driver, clocks, "two")
        async with one.recording(), two.recording():
            for number in range(20):
                one.note(APP, V1, Digest.of(bytes([number])), "")
                two.note(APP, V2, Digest.of(bytes([number])), "")
                await one.flush()
                await two.flush()
        merges = [make_merge(driver, clocks, max_whole_bytes=1500) for _ in range(3)]
        await asyncio.gather(*(merge.merge() for merge in merges), return_exceptions=True)
        await merges[0].merge()
        times = await load(driver, clocks)
        for number in range(20):
            for tag in (V1, V2):
                assert await times.recorded(APP, Digest.of(bytes([number])), tag) is not None

    async def test_a_process_killed_anywhere_in_a_merge_loses_nothing(self, clocks: Clocks) -> None:
        for steps in range(60):
            driver = Dying(steps)
            log = make_log(driver, clocks)
            async with log.recording():
                for number in range(6):
                    log.note(APP, V1, Digest.of(bytes([number])), "")
                    await log.flush()
            driver.is_armed = True
            try:
                await make_merge(driver, clocks, max_whole_bytes=300).merge()
                died = False
            except Killed:
                died = True
            driver.is_armed = False
            for _ in range(2):
                times = await load(driver, clocks)
                for number in range(6):
                    assert await times.recorded(APP, Digest.of(bytes([number])), V1) is not None
                await make_merge(driver, clocks, max_whole_bytes=300).merge()
            if not died:
                return
        pytest.fail("the merge never ended")


class Killed(BaseException):
    """The process ends here."""


class Dying(MemoryDriver):
    """A storage whose process is killed after some writes."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.is_armed = False
        self._left = steps

    def _step(self) -> None:
        if self.is_armed:
            if not self._left:
                raise Killed
            self._left -= 1

    async def replace(self, path: StorePath, content: bytes, *, expected: bytes | None, **until: float) -> bool:
        self._step()
        return await super().replace(path, content, expected=expected, **until)

    async def delete(self, path: StorePath, *, expected: bytes | None = None) -> bool:
        self._step()
        return await super().delete(path, expected=expected)


def test_a_shard_is_bounded_and_never_earlier() -> None:
    """A million tags of one manifest, or pulls of very many."""
    tags = {f"t{number}": Pulled(number, "") for number in range(1000)}
    shard = Shard({ONE.hex: tags}).at_most(5000)
    assert shard.pulls == {ONE.hex: {"": Pulled(999, "")}}
    many = Shard({Digest.of(bytes([number])).hex: {"": Pulled(number, "")} for number in range(200)}).at_most(5000)
    assert size_of(many.fields()) <= 5000
    kept = {tags[""].at for tags in many.pulls.values()}
    assert kept == set(range(200 - len(kept), 200))
    assert many.dropped == 199 - len(kept)


PULLS = st.lists(
    st.tuples(
        st.sampled_from([APP, OTHER]),
        st.sampled_from([V1, V2, None]),
        st.sampled_from([ONE, TWO]),
        st.sampled_from(["flush", "merge", "kill", "end", "nothing"]),
        st.integers(0, 3 * 24 * 3600),
    ),
    max_size=30,
)


@given(PULLS)
@settings(deadline=None)
def test_no_answer_is_ever_earlier_than_the_truth(pulls: list[tuple[Repository, Tag | None, Digest, str, int]]) -> None:
    asyncio.run(_check(pulls))


async def _check(pulls: list[tuple[Repository, Tag | None, Digest, str, int]]) -> None:
    driver, clocks = MemoryDriver(), Clocks()
    truth: dict[tuple[Repository, Tag | None, Digest], int] = {}
    log = make_log(driver, clocks, "0")
    recording = log.recording()
    await recording.__aenter__()
    for number, (repository, tag, digest, then, wait_s) in enumerate(pulls, start=1):
        clocks.pass_by(wait_s)
        log.note(repository, digest if tag is None else tag, digest, "")
        truth[repository, tag, digest] = int(clocks.now)
        merge = make_merge(driver, clocks, max_whole_bytes=150)
        if then == "flush":
            await log.flush()
        elif then == "merge":
            await log.flush()
            await merge.merge()
        elif then in ("kill", "end"):
            if then == "end":
                await recording.__aexit__(None, None, None)
            elif log._held is not None:
                KILLED.append(recording)
                log._held.__exit__(None, None, None)
            log = make_log(driver, clocks, str(number))
            recording = log.recording()
            await recording.__aenter__()
            await merge.end_dead()
    await log.flush()
    for (repository, tag, digest), at in truth.items():
        found = await last(driver, clocks, repository, digest, tag)
        assert found is not None
        assert found >= at
