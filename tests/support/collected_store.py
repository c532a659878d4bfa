"""A storage with a registry, and a collector whose time is the test's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from authproxy.digest import Digest
from authproxy.maintenance.gc.collector import Collected, CollectOptions, Collector
from authproxy.maintenance.gc.options import Untagged
from authproxy.maintenance.ticks import Ticks
from authproxy.reference import Repository
from authproxy.storage import layout, state_layout
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.memory import MemoryDriver
from authproxy.storage.records import Records
from tests.support.registry import connect

APP = Repository("team/app")
GRACE_S, TRASH_S = 100.0, 300.0
REMOVE = CollectOptions(GRACE_S, TRASH_S, Untagged.REMOVE)
KEEP = CollectOptions(GRACE_S, TRASH_S)


class Clock:
    """Hours pass by a call."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Store:
    """A storage with a registry, and a collector whose time is ours."""

    def __init__(self, driver: Driver, registry: httpx.AsyncClient, clock: Clock) -> None:
        self.driver = driver
        self.registry = registry
        self.clock = clock
        self.records = Records(driver)
        self.ticks = Ticks(self.records, tick_s=1.0, now=self.clock, boot="one")

    async def enable(self) -> None:
        await self.records.create(state_layout.gc_enabled(), {})

    async def collect(self, options: CollectOptions = KEEP, *, after_s: float = 0.0) -> Collected:
        await self.let_pass(after_s)
        return await Collector(self.driver, options, ticks=self.ticks).run()

    async def let_pass(self, seconds: float) -> None:
        for _ in range(2 if seconds else 0):  # time counts from the next tick on
            await self.ticks.advance()
            self.clock.now += seconds + 1

    async def status(self, path: str, method: str = "HEAD", repository: str = APP) -> int:
        return (await self.registry.request(method, f"/v2/{repository}/{path}")).status_code

    async def has_bytes(self, content: bytes) -> bool:
        return await self.driver.sizes([layout.blob(Digest.of(content))]) != [None]


@asynccontextmanager
async def open_store(kind: str, folder: Path) -> AsyncIterator[Store]:
    """A "filesystem" in this folder, or "memory", on which collection is enabled."""
    clock = Clock()
    driver: Driver = FilesystemDriver(folder, threads=4) if kind == "filesystem" else MemoryDriver(clock_s=clock)
    async with connect(driver) as registry:
        made = Store(driver, registry, clock)
        await made.enable()
        yield made
    await driver.close()
