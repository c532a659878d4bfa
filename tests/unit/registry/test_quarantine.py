"""What is in quarantine is missing for clients, and is there again as soon as somebody pushes it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from authproxy.digest import Digest, parse_digest
from authproxy.reference import Repository
from authproxy.registry.options import Rules
from authproxy.registry.quarantine import Damage, Quarantine, find_quarantined, is_isolated, isolate, release
from authproxy.storage import layout, state_layout
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.memory import MemoryDriver
from tests.support.registry import code_of, connect, image, push_blob, push_manifest, sha256

CONFIG = b"{}"
LAYER = b"layer " * 50_000  # too long for the cache of responses
MANIFEST = image(CONFIG, [LAYER])
BROKEN = b"broken"


@pytest.fixture(params=["filesystem", "memory"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    made: Driver = FilesystemDriver(tmp_path, threads=4) if request.param == "filesystem" else MemoryDriver()
    async with connect(made) as client:
        await push_all(client)
    yield made
    await made.close()


async def push_all(client: httpx.AsyncClient) -> None:
    await push_blob(client, "app", CONFIG)
    await push_blob(client, "app", LAYER)
    await push_manifest(client, "app", "v1", MANIFEST)


async def damage(driver: Driver, content: bytes) -> Digest:
    """Damage what is stored of a content, and put it in quarantine as its finder does."""
    digest = Digest.of(content)
    await driver.write(layout.blob(digest), BROKEN)
    version = await driver.version(layout.blob(digest))
    assert version is not None
    await isolate(driver, Damage(digest, version), at="today")
    return digest


@pytest.mark.parametrize("content", [CONFIG, LAYER], ids=["small", "large"])
async def test_a_blob_is_missing_until_it_is_pushed_again(driver: Driver, content: bytes) -> None:
    digest = await damage(driver, content)
    address = f"/v2/app/blobs/{digest}"
    async with connect(driver) as client:
        assert (await client.head(address)).status_code == 404
        for headers in ({}, {"Range": "bytes=0-1"}):
            answer = await client.get(address, headers=headers)
            assert (answer.status_code, code_of(answer)) == (404, "BLOB_UNKNOWN")
            assert f"the stored content of {digest} is damaged, and a push repairs it" in answer.text
        refused = await client.put(
            "/v2/app/manifests/v2",
            content=MANIFEST,
            headers={"Content-Type": "application/vnd.oci.image.manifest.v1+json"},
        )
        assert (refused.status_code, code_of(refused)) == (404, "MANIFEST_BLOB_UNKNOWN")
        assert "a push repairs it" in refused.text
        mount = await client.post(f"/v2/other/blobs/uploads/?mount={digest}&from=app")
        assert mount.status_code == 202
        await push_blob(client, "app", content)
        assert (await client.head(address)).status_code == 200
        assert (await client.get(address)).content == content
        await push_manifest(client, "app", "v2", MANIFEST)
    assert [found async for found in find_quarantined(driver)] == []


async def test_a_manifest_is_missing_until_it_is_pushed_again(driver: Driver) -> None:
    digest = await damage(driver, MANIFEST)
    async with connect(driver) as client:
        for reference in ("v1", digest):
            assert (await client.head(f"/v2/app/manifests/{reference}")).status_code == 404
            answer = await client.get(f"/v2/app/manifests/{reference}")
            assert (answer.status_code, code_of(answer)) == (404, "MANIFEST_UNKNOWN")
            assert f"the stored content of {digest} is damaged" in answer.text
        await push_manifest(client, "app", "v1", MANIFEST)
        assert (await client.get("/v2/app/manifests/v1")).content == MANIFEST


async def test_a_cached_response_is_not_sent_again(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authproxy.registry.quarantine.LOOKS_EVERY_S", 0.0)
    digest = Digest.of(MANIFEST)
    async with connect(driver) as client:
        assert (await client.get("/v2/app/manifests/v1")).status_code == 200
        # Nothing tells the cache that the file itself has changed.
        version = await driver.version(layout.blob(digest))
        assert version is not None
        await isolate(driver, Damage(digest, version), at="today")
        assert (await client.get("/v2/app/manifests/v1")).status_code == 404


async def test_other_content_at_the_place_is_not_in_quarantine(driver: Driver) -> None:
    digest = await damage(driver, LAYER)
    assert await is_isolated(driver, digest)
    await driver.write(layout.blob(digest), LAYER)
    assert not await is_isolated(driver, digest)


async def test_a_record_that_is_damaged_itself_hides_nothing(driver: Driver) -> None:
    digest = await damage(driver, LAYER)
    await driver.write(state_layout.quarantined(digest), b"")
    assert not await is_isolated(driver, digest)
    async with connect(driver) as client:
        assert (await client.head(f"/v2/app/blobs/{digest}")).status_code == 200


async def test_release_ends_it(driver: Driver) -> None:
    digest = await damage(driver, LAYER)
    await release(driver, digest)
    assert not await is_isolated(driver, digest)


async def test_a_read_only_registry_removes_no_record(tmp_path: Path) -> None:
    writer = FilesystemDriver(tmp_path)
    async with connect(writer) as client:
        await push_all(client)
    digest = await damage(writer, LAYER)
    await writer.write(layout.blob(digest), LAYER)
    async with connect(FilesystemDriver(tmp_path, read_only=True), Rules(read_only=True)) as client:
        assert (await client.get(f"/v2/app/blobs/{digest}")).content == LAYER
    assert [found async for found in find_quarantined(writer)] == [digest]


async def test_without_records_the_storage_is_the_driver_itself() -> None:
    driver = MemoryDriver()
    quarantine = Quarantine(driver)
    await quarantine.look()
    assert quarantine.storage.read == driver.read
    assert quarantine.storage.sizes == driver.sizes
    assert quarantine.storage.open_reader == driver.open_reader


async def test_every_request_waits_for_the_first_look_of_a_process(driver: Driver) -> None:
    digest = await damage(driver, LAYER)
    async with connect(driver) as client:
        answers = await asyncio.gather(*(client.head(f"/v2/app/blobs/{digest}") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {404}


async def test_nobody_can_put_content_of_others_in_quarantine(driver: Driver) -> None:
    """Only what was read in the storage counts: a push of other bytes under a digest is refused before."""
    digest = parse_digest(sha256(LAYER))
    async with connect(driver) as client:
        opened = await client.post("/v2/mallory/blobs/uploads/")
        answer = await client.put(f"{opened.headers['location']}&digest={digest}", content=BROKEN)
        assert answer.status_code == 400
        assert (await client.get(f"/v2/app/blobs/{digest}")).content == LAYER
    assert [found async for found in find_quarantined(driver)] == []
    assert await driver.list_names(layout.repository(Repository("mallory")), limit=1) in ([], ["_uploads"])
