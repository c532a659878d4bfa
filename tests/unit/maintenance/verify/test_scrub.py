"""The scrub finds damage in the background, counts it, and goes on after an interruption."""

import asyncio
import math
from pathlib import Path

import pytest

from authproxy.digest import Digest
from authproxy.maintenance.verify.scrub import Scrub, ScrubOptions, scrub_job
from authproxy.maintenance.verify.throttle import Throttle
from authproxy.metrics.metrics import Metrics
from authproxy.registry.quarantine import is_isolated
from authproxy.storage import layout, state_layout
from authproxy.storage.driver import StorageFull
from authproxy.storage.layout import StorePath
from authproxy.storage.memory import MemoryDriver
from authproxy.storage.records import Records

CONTENTS = [f"blob {number}".encode() * 100 for number in range(100)]
WHOLE = sum(map(len, CONTENTS))


async def stored() -> MemoryDriver:
    driver = MemoryDriver()
    for content in CONTENTS:
        await driver.write(layout.blob(Digest.of(content)), content)
    return driver


async def metric(metrics: Metrics, name: str) -> float:
    text = (await metrics.expose()).decode()
    return float(next(line for line in text.splitlines() if line.startswith(name)).rpartition(" ")[2])


async def test_damage_is_found_counted_and_put_in_quarantine() -> None:
    driver, metrics = await stored(), Metrics()
    damaged = Digest.of(CONTENTS[7])
    await driver.write(layout.blob(damaged), b"broken")
    job = scrub_job(driver, ScrubOptions(3600.0, 10**9), metrics)
    report = await job.work()
    assert (job.name, job.interval_s) == ("scrub", 3600.0)
    assert report == {
        "blobs": 100,
        "read_bytes": WHOLE - len(CONTENTS[7]) + len(b"broken"),
        "repositories": 0,
        "damaged": 1,
        "unknown": 0,
        "warning": 0,
        "quarantined": 1,
    }
    assert await is_isolated(driver, damaged)
    assert await metric(metrics, "authproxy_scrub_read_bytes_total") == report["read_bytes"]
    assert await metric(metrics, 'authproxy_scrub_findings_total{severity="damaged"}') == 1
    assert await Records(driver).read(state_layout.scrub()) is None


async def test_an_interrupted_scrub_goes_on_and_counts_nothing_twice() -> None:
    driver, metrics = await stored(), Metrics()
    scrub = Scrub(driver, 20_000, metrics)  # a few steps in the time that it gets
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.8):
            await scrub.work()
    record = await Records(driver).read(state_layout.scrub())
    assert record is not None
    done = record.fields["position"]["blobs"]
    assert 0 < done < len(CONTENTS)
    report = await Scrub(driver, 10**9, metrics).work()
    assert report["blobs"] == len(CONTENTS)
    assert await metric(metrics, "authproxy_scrub_read_bytes_total") == WHOLE


@pytest.mark.parametrize("fields", [{}, {"position": {}}, {"position": {"form": 99}}, {"position": "x"}])
async def test_a_position_that_cannot_be_read_is_no_obstacle(fields: dict[str, object]) -> None:
    driver = await stored()
    await Records(driver).create(state_layout.scrub(), fields)
    assert (await Scrub(driver, 10**9, Metrics()).work())["blobs"] == len(CONTENTS)


class Full(MemoryDriver):
    """No record fits any more."""

    async def replace(
        self, path: StorePath, content: bytes, *, expected: bytes | None, until: float = math.inf
    ) -> bool:
        del path, content, expected, until
        raise StorageFull


async def test_a_full_disk_ends_no_scrub() -> None:
    driver = Full()
    for content in CONTENTS:
        await driver.write(layout.blob(Digest.of(content)), content)
    await driver.write(layout.blob(Digest.of(CONTENTS[7])), b"broken")
    scrub = Scrub(driver, 30_000, Metrics())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await scrub.work()
    report = await Scrub(driver, 10**9, Metrics()).work()
    assert (report["blobs"], report["damaged"], report["quarantined"]) == (len(CONTENTS), 1, 0)


async def test_a_rate_is_kept_by_all_tasks_together() -> None:
    slept: list[float] = []
    clock = [0.0]

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    throttle = Throttle(1000, now=lambda: clock[0], sleep=sleep)
    for _ in range(10):
        await throttle.take(500)
    assert clock[0] == pytest.approx(4.5)
    assert slept == [0.5] * 9
    await Throttle(None, sleep=sleep).take(10**12)


async def test_nothing_is_read_of_an_empty_storage(tmp_path: Path) -> None:
    del tmp_path
    driver = MemoryDriver()
    assert (await Scrub(driver, 1, Metrics()).work())["blobs"] == 0
