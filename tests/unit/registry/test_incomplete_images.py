"""An image that lacks a blob, as a push leaves it that has stopped: an index of it is refused.."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from authproxy.digest import Digest
from authproxy.oci.media_types import NON_DISTRIBUTABLE, OCI_IMAGE, OCI_INDEX
from authproxy.reference import Repository
from authproxy.registry.publisher import Publication, Publisher
from authproxy.storage import layout
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.memory import MemoryDriver
from tests.support.registry import code_of, connect, descriptor, image, index, push_blob, push_manifest, sha256

APP = Repository("team/app")
CONFIG, LAYER = b"a config", b"a layer"
IMAGE = image(CONFIG, [LAYER])


@pytest.fixture(params=["filesystem", "memory"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    made: Driver = FilesystemDriver(tmp_path, threads=4) if request.param == "filesystem" else MemoryDriver()
    yield made
    await made.close()


async def put_index(registry: httpx.AsyncClient, content: bytes) -> httpx.Response:
    path = f"/v2/{APP}/manifests/list"
    return await registry.put(path, content=content, headers={"Content-Type": OCI_INDEX})


@pytest.mark.parametrize("depth", [1, 2])
async def test_an_index_is_refused_until_its_image_is_complete(driver: Driver, depth: int) -> None:
    async with connect(driver) as registry:
        for blob in (CONFIG, LAYER):
            await push_blob(registry, APP, blob)
        await push_manifest(registry, APP, sha256(IMAGE), IMAGE)
        content = index([IMAGE])
        if depth == 2:
            await push_manifest(registry, APP, sha256(content), content, OCI_INDEX)
            content = index([content], annotations={"depth": "2"})
        await driver.delete(layout.layer_link(APP, Digest.of(LAYER)))
        answer = await put_index(registry, content)
        assert (answer.status_code, code_of(answer)) == (404, "MANIFEST_BLOB_UNKNOWN")
        assert sha256(LAYER) in answer.text
        await push_blob(registry, APP, LAYER)
        assert (await put_index(registry, content)).status_code == 201


async def test_layers_of_an_image_that_are_elsewhere_are_not_needed(driver: Driver) -> None:
    foreign = descriptor(b"elsewhere", next(iter(NON_DISTRIBUTABLE))) | {"urls": ["https://m.example.org/layer"]}
    content = json.dumps(json.loads(image(CONFIG)) | {"layers": [foreign]}).encode()
    async with connect(driver) as registry:
        await push_blob(registry, APP, CONFIG)
        await push_manifest(registry, APP, sha256(content), content)
        assert (await put_index(registry, index([content]))).status_code == 201


def lose_the_layer_once(patch: pytest.MonkeyPatch, driver: Driver) -> None:
    """A deletion takes the layer from the next push, after its links are visible."""
    keep = Publisher._keep
    lost: list[bool] = []

    async def lose(self: Publisher, new: Publication) -> None:
        if not lost:
            lost.append(True)
            await driver.delete(layout.layer_link(APP, Digest.of(LAYER)))
        await keep(self, new)

    patch.setattr(Publisher, "_keep", lose)


async def test_a_push_that_is_refused_leaves_nothing(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_the_layer_once(monkeypatch, driver)
    path = f"/v2/{APP}/manifests/{sha256(IMAGE)}"
    async with connect(driver) as registry:
        for blob in (CONFIG, LAYER):
            await push_blob(registry, APP, blob)
        assert (await registry.put(path, content=IMAGE, headers={"Content-Type": OCI_IMAGE})).status_code == 404
        assert (await registry.head(path)).status_code == 404
        await push_blob(registry, APP, LAYER)
        await push_manifest(registry, APP, sha256(IMAGE), IMAGE)
        assert (await registry.head(path)).status_code == 200


async def test_a_refused_push_leaves_what_another_has_pushed(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one brings the layer and the same manifest before the refused one tidies up."""
    lose_the_layer_once(monkeypatch, driver)
    withdraw = Publisher._withdraw
    path = f"/v2/{APP}/manifests/{sha256(IMAGE)}"

    async def after_another(self: Publisher, *about: Any) -> None:
        async with connect(driver) as other:
            await push_blob(other, APP, LAYER)
            await push_manifest(other, APP, sha256(IMAGE), IMAGE)
        await withdraw(self, *about)

    monkeypatch.setattr(Publisher, "_withdraw", after_another)
    async with connect(driver) as registry:
        for blob in (CONFIG, LAYER):
            await push_blob(registry, APP, blob)
        assert (await registry.put(path, content=IMAGE, headers={"Content-Type": OCI_IMAGE})).status_code == 404
        assert (await registry.head(path)).status_code == 200


async def test_a_refused_push_leaves_a_manifest_that_was_there(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its layer was lost since: a push of the layer repairs it."""
    path = f"/v2/{APP}/manifests/{sha256(IMAGE)}"
    async with connect(driver) as registry:
        for blob in (CONFIG, LAYER):
            await push_blob(registry, APP, blob)
        await push_manifest(registry, APP, sha256(IMAGE), IMAGE)
        lose_the_layer_once(monkeypatch, driver)
        assert (await registry.put(path, content=IMAGE, headers={"Content-Type": OCI_IMAGE})).status_code == 404
        assert (await registry.head(path)).status_code == 200
