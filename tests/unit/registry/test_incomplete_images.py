"""An image that lacks a blob, as a push leaves it that was refused or has stopped: an index of it is refused too."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from authproxy.digest import Digest
from authproxy.oci.media_types import NON_DISTRIBUTABLE, OCI_INDEX
from authproxy.reference import Repository
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
