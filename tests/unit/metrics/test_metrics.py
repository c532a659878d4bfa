"""What a scrape says: of one worker, of several, of workers that have died."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from authproxy import __version__
from authproxy.errors import TooManyRequests
from authproxy.metrics.families import FAMILIES, HEALTH_CHECK_UP, UPLOADS_PURGED
from authproxy.metrics.logins import CountedLogins
from authproxy.metrics.metrics import Metrics
from authproxy.metrics.numbers import MetricKind
from authproxy.principal import Principal
from tests.support.binaries import ROOT

PAGE = ROOT / "docs" / "reference" / "metrics.md"
WITHIN_S = 30.0


class Request(NamedTuple):
    """What the edge tells of a request that has ended."""

    scope: Any = {"method": "GET", "path": "/"}  # noqa: RUF012 - nobody writes to it
    status: int = 404
    sent: int = 10
    received: int = 0
    seconds: float = 0.001


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event: it is what anybody may read
            await asyncio.sleep(0.001)


@asynccontextmanager
async def worker(folder: Path | None = None, *, every_s: float = 0.001) -> AsyncIterator[Metrics]:
    """Metrics that share what they count, without waiting between two times."""
    metrics = Metrics(folder)
    task = asyncio.create_task(metrics.run(every_s=every_s))
    await until(lambda: folder is None or metrics._slot is not None)
    try:
        yield metrics
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def parse(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample, by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


async def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return parse(await metrics.expose()).get((name, tuple(sorted(labels.items()))))


async def requests(metrics: Metrics) -> float | None:
    return await value(metrics, "registry_http_requests_total", handler="other", method="get", code="404")


async def test_a_scrape_is_what_prometheus_reads() -> None:
    async with worker() as metrics:
        metrics.record(Request(sent=2000))
        samples = parse(await metrics.expose())
        assert metrics.content_type.startswith("text/plain; version=0.0.4")
    size = "registry_http_response_size_bytes"
    assert samples[f"{size}_bucket", (("handler", "other"), ("le", "1024.0"))] == 0
    assert samples[f"{size}_bucket", (("handler", "other"), ("le", "2048.0"))] == 1
    assert samples[f"{size}_bucket", (("handler", "other"), ("le", "+Inf"))] == 1
    assert samples[f"{size}_sum", (("handler", "other"),)] == 2000
    assert samples[f"{size}_count", (("handler", "other"),)] == 1
    assert samples["registry_http_requests_total", (("code", "404"), ("handler", "other"), ("method", "get"))] == 1
    assert samples["process_resident_memory_bytes", ()] > 1_000_000
    assert any(name == "authproxy_build_info" and ("version", __version__) in labels for name, labels in samples)
    assert samples["authproxy_workers", ()] == 1


async def test_what_a_rate_needs_is_there_before_anything_happens() -> None:
    async with worker() as metrics:
        samples = parse(await metrics.expose())
    assert samples["authproxy_logins_total", (("result", "refused"),)] == 0
    assert samples["authproxy_token_answers_total", (("result", "granted"),)] == 0
    assert samples["authproxy_uploads_purged_total", ()] == 0


async def test_rare_events_are_counted_and_others_are_asked_for() -> None:
    async with worker() as metrics:
        metrics.count(UPLOADS_PURGED, by=3)
        metrics.count(UPLOADS_PURGED)
        metrics.watch(HEALTH_CHECK_UP, lambda: {("a",): 1, ("b",): 0})
        assert await value(metrics, "authproxy_uploads_purged_total") == 4
        assert await value(metrics, "authproxy_health_check_up", check="a") == 1
        assert await value(metrics, "authproxy_health_check_up", check="b") == 0


async def test_any_worker_tells_the_sum(tmp_path: Path) -> None:
    async with worker(tmp_path) as one, worker(tmp_path) as two:
        states: list[dict[tuple[str, ...], float]] = [{("redis:6379",): 1}, {("redis:6379",): 0}]
        for metrics, state in zip((one, two), states, strict=True):
            metrics.record(Request())
            metrics.watch(HEALTH_CHECK_UP, state.copy)
        two.record(Request())
        await two.expose()
        assert await requests(one) == 3
        assert await value(one, "authproxy_workers") == 2
        assert await value(one, "authproxy_health_check_up", check="redis:6379") == 0
        await one.expose()
        assert await requests(two) == 3


async def test_a_worker_shows_what_it_counted_without_being_asked(tmp_path: Path) -> None:
    async with worker(tmp_path) as one, worker(tmp_path) as two:
        shown = tmp_path / "1.json"
        two.record(Request())
        await until(lambda: shown.exists() and b"registry_http_requests_total" in shown.read_bytes())
        assert await requests(one) == 1


async def test_a_worker_at_rest_writes_nothing(tmp_path: Path) -> None:
    async with worker(tmp_path) as metrics:
        metrics.record(Request())
        await metrics.expose()
        await asyncio.sleep(0.05)  # many times its interval: what it has not seen yet, it sees now
        before = (tmp_path / "0.json").stat()
        await asyncio.sleep(0.05)
        assert (tmp_path / "0.json").stat() == before


async def test_a_folder_that_cannot_be_written_does_not_take_the_numbers_away(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    with capture_logs() as logs:
        async with worker(folder) as metrics:
            folder.rename(tmp_path / "gone")  # in one step: the worker may be writing there just now
            metrics.record(Request())
            assert await requests(metrics) == 1
    assert {(line["event"], line["reason"]) for line in logs} == {
        ("metrics are not shared", "No such file or directory")
    }


async def test_counters_outlive_their_worker_and_gauges_do_not(tmp_path: Path) -> None:
    async with worker(tmp_path) as one:
        async with worker(tmp_path) as two:
            two.record(Request())
            await two.expose()
            cpu = await value(one, "process_cpu_seconds_total")
        assert await requests(one) == 1
        assert await value(one, "authproxy_workers") == 1
        async with worker(tmp_path) as heir:
            heir.record(Request())
            assert await requests(heir) == 2
            assert await requests(one) == 2
            assert await value(one, "authproxy_workers") == 2
            now = await value(one, "process_cpu_seconds_total")
            assert cpu is not None
            assert now is not None
            assert now >= cpu


async def test_the_last_second_is_not_lost_at_the_end(tmp_path: Path) -> None:
    async with worker(tmp_path) as one:
        async with worker(tmp_path, every_s=3600) as slow:
            await until((tmp_path / "1.json").exists)
            slow.record(Request())
        assert await requests(one) == 1


class People:
    """Alice, whose password is right; whoever else is wrong; too many at once."""

    async def authenticate(self, name: str, password: str, client: str) -> Principal | None:
        assert client == "192.0.2.1"
        if name == "crowd":
            raise TooManyRequests
        return await self.find(name)

    async def find(self, name: str) -> Principal | None:
        return Principal("alice") if name == "alice" else None


async def test_logins_are_counted_by_how_they_went() -> None:
    async with worker() as metrics:
        people = CountedLogins(People(), metrics)
        assert await people.authenticate("alice", "right", "192.0.2.1") == Principal("alice")
        assert await people.authenticate("mallory", "wrong", "192.0.2.1") is None
        with pytest.raises(TooManyRequests):
            await people.authenticate("crowd", "any", "192.0.2.1")
        assert await people.find("alice") == Principal("alice")
        assert {
            result: await value(metrics, "authproxy_logins_total", result=result)
            for result in ("accepted", "refused", "throttled")
        } == {"accepted": 1, "refused": 1, "throttled": 1}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_metric_has_a_heading_and_its_labels(name: str) -> None:
    _, heading, rest = PAGE.read_text(encoding="utf-8").partition(f"\n### `{name}`\n")
    entry = rest.partition("\n#")[0]
    assert heading
    assert FAMILIES[name].kind.value in entry.casefold()
    assert [label for label in FAMILIES[name].labels if f"`{label}`" not in entry] == []


def test_no_metric_is_described_that_is_not_there() -> None:
    described = {line[5:-1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("### `")}
    assert described == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_names_follow_prometheus(*, family: Any) -> None:
    assert (family.kind is MetricKind.COUNTER) == family.name.endswith("_total")
    assert (family.kind is MetricKind.HISTOGRAM) == bool(family.buckets)
