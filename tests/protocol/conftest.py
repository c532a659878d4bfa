"""The core in memory, for the tables."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from authproxy.registry.rules import Rules
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem import FilesystemDriver
from authproxy.storage.memory import MemoryDriver
from tests.support.registry import connect


@pytest.fixture(params=["filesystem", "memory"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    made: Driver = FilesystemDriver(tmp_path, threads=4) if request.param == "filesystem" else MemoryDriver()
    yield made
    await made.close()


@pytest.fixture
async def registry(driver: Driver) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(driver) as client:
        yield client


@pytest.fixture
async def undeletable(driver: Driver) -> AsyncIterator[httpx.AsyncClient]:
    """The same storage, with deletes disabled."""
    async with connect(driver, Rules()) as client:
        yield client
