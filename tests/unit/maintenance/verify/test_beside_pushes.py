"""Pushes and deletions beside a verification are no damage, whatever it reads in between."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from authproxy.digest import Digest
from authproxy.maintenance.verify.findings import Finding, Severity
from authproxy.maintenance.verify.position import Position
from authproxy.maintenance.verify.verification import Verification
from authproxy.oci.media_types import OCI_IMAGE, OCI_INDEX
from authproxy.registry.quarantine import find_quarantined
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.memory import MemoryDriver
from tests.support.registry import connect, image, index, push_blob, push_manifest

# Pushes of each pusher while verifications run.
PUSHES = 12


@pytest.fixture(params=["filesystem", "memory"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    made: Driver = FilesystemDriver(tmp_path, threads=4) if request.param == "filesystem" else MemoryDriver()
    yield made
    await made.close()


async def push_and_push(driver: Driver, seed: int) -> None:
    """Images that share layers and tags, an index and a referrer of some."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    async with connect(driver) as client:
        for _ in range(PUSHES):
            try:
                await push_some(client, chance)
            except AssertionError:  # what it needs was deleted in between
                await asyncio.sleep(0)


async def push_some(client: httpx.AsyncClient, chance: random.Random) -> None:
    repository = f"r{chance.randrange(3)}/app"
    layers = list({f"layer {chance.randrange(6)} ".encode() * chance.choice([1, 20_000]) for _ in range(2)})
    config = f'{{"n": {chance.randrange(4)}}}'.encode()
    for blob in (*layers, config):
        await push_blob(client, repository, blob)
    manifest = image(config, layers)
    await push_manifest(client, repository, f"t{chance.randrange(4)}", manifest)
    await push_manifest(client, repository, "all", index([manifest]), OCI_INDEX)
    subject = {"mediaType": OCI_IMAGE, "digest": str(Digest.of(manifest)), "size": len(manifest)}
    referrer = image(config, layers, subject=subject)
    await push_manifest(client, repository, str(Digest.of(referrer)), referrer)


async def delete_and_delete(driver: Driver, stop: asyncio.Event) -> None:
    """Tags and what they point at."""
    chance = random.Random(0)  # noqa: S311 - no secret
    async with connect(driver) as client:
        while not stop.is_set():
            repository = f"/v2/r{chance.randrange(3)}/app/manifests"
            tag = f"{repository}/t{chance.randrange(4)}"
            digest = (await client.head(tag)).headers.get("docker-content-digest")
            await client.delete(tag if digest is None or chance.random() < 0.5 else f"{repository}/{digest}")
            await asyncio.sleep(0)


async def test_no_damage_is_found_where_there_is_none(driver: Driver) -> None:
    stop = asyncio.Event()
    found: list[Finding] = []
    async with asyncio.TaskGroup() as group:
        pushers = [group.create_task(push_and_push(driver, seed)) for seed in range(2)]
        group.create_task(delete_and_delete(driver, stop))
        while not all(pusher.done() for pusher in pushers):
            found += (await Verification(driver, Position(""), isolates=True, at="today").run()).position.findings
            await asyncio.sleep(0)
        stop.set()
    assert [finding for finding in found if finding.severity is not Severity.WARNING] == []
    assert [digest async for digest in find_quarantined(driver)] == []
