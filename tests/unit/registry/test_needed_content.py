"""What a repository must hold before it stores a manifest, and what counts as held."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import re2  # type: ignore[import-untyped]  # it ships without types

from authproxy.digest import Digest
from authproxy.oci.media_types import NON_DISTRIBUTABLE, OCI_IMAGE, OCI_INDEX
from authproxy.registry.options import ManifestRules, Rules
from authproxy.storage import layout
from authproxy.storage.memory import MemoryDriver
from tests.support.registry import (
    Call,
    check,
    connect,
    descriptor,
    image,
    index,
    push_blob,
    push_manifest,
    sha256,
    sha512,
)

CONFIG, LAYER = b"{}", b"a layer of some bytes"
IMAGE = image(CONFIG, [LAYER])
OCI = {"Content-Type": OCI_IMAGE}
PUT_IMAGE = Call("", "PUT", "/v2/a/manifests/v1", 201, OCI, IMAGE)
BLOB = layout.blob(Digest.of(LAYER))


@pytest.fixture
async def driver() -> AsyncIterator[MemoryDriver]:
    """A storage whose repository "a" holds all that IMAGE needs."""
    made = MemoryDriver()
    async with connect(made) as registry:
        await push_blob(registry, "a", CONFIG)
        await push_blob(registry, "a", LAYER, sha512(LAYER))
    yield made
    await made.close()


@pytest.fixture
async def registry(driver: MemoryDriver) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(driver) as client:
        yield client


async def put(client: httpx.AsyncClient, content: bytes) -> tuple[int, Any]:
    """Push a manifest; the status, and the error if there is one."""
    headers = {"Content-Type": json.loads(content)["mediaType"]}
    answer = await client.put("/v2/a/manifests/v1", content=content, headers=headers)
    return answer.status_code, answer.json()["errors"][0] if answer.content else None


@pytest.mark.parametrize("name", [sha256, sha512], ids=["sha256", "sha512"])
async def test_an_empty_file_is_no_content_of_another_digest(
    registry: httpx.AsyncClient, driver: MemoryDriver, name: Any
) -> None:
    """What a crash under another program leaves: clients have to be told to push it again."""
    await driver.write(BLOB, b"")
    path = f"/v2/a/blobs/{name(LAYER)}"
    await check(registry, Call("", "HEAD", path, 404))
    await check(registry, Call("", "GET", path, 404, code="BLOB_UNKNOWN"))
    await check(registry, Call("", "POST", f"/v2/b/blobs/uploads/?mount={name(LAYER)}&from=a", 202))
    status, error = await put(registry, IMAGE)
    assert (status, error["code"], error["detail"]) == (404, "MANIFEST_BLOB_UNKNOWN", {"missing": [sha256(LAYER)]})
    await driver.write(BLOB, LAYER)
    await check(registry, Call("", "HEAD", path, 200))
    await check(registry, PUT_IMAGE)


async def test_an_empty_blob_is_a_blob(registry: httpx.AsyncClient) -> None:
    for digest in (sha256(b""), sha512(b"")):
        await push_blob(registry, "a", b"", digest)
        await check(registry, Call("", "HEAD", f"/v2/a/blobs/{digest}", 200, answers={"Content-Length": "0"}))
        await check(registry, Call("", "GET", f"/v2/a/blobs/{digest}", 200, content=b""))
    assert await put(registry, image(CONFIG, [b""])) == (201, None)


async def test_an_empty_file_is_no_manifest(registry: httpx.AsyncClient, driver: MemoryDriver) -> None:
    await check(registry, PUT_IMAGE)
    await driver.write(layout.blob(Digest.of(IMAGE)), b"")
    for reference in ("v1", sha256(IMAGE)):
        path = f"/v2/a/manifests/{reference}"
        await check(registry, Call("", "GET", path, 404, code="MANIFEST_UNKNOWN"))
    assert (await put(registry, index([IMAGE])))[0] == 404
    await check(registry, PUT_IMAGE)
    await check(registry, Call("", "GET", "/v2/a/manifests/v1", 200, content=IMAGE))


async def test_a_damaged_manifest_can_be_pushed_again(registry: httpx.AsyncClient, driver: MemoryDriver) -> None:
    await check(registry, PUT_IMAGE)
    await driver.write(layout.blob(Digest.of(IMAGE)), IMAGE.replace(b"2", b"3", 1))  # of the right size
    await check(registry, PUT_IMAGE)
    await check(registry, Call("", "GET", "/v2/a/manifests/v1", 200, content=IMAGE))


async def test_another_size_than_the_descriptor_says_is_told(registry: httpx.AsyncClient, driver: MemoryDriver) -> None:
    await driver.write(BLOB, LAYER[:5])
    status, error = await put(registry, IMAGE)
    assert (status, error["code"]) == (400, "SIZE_INVALID")
    assert error["detail"] == {"digest": sha256(LAYER), "stored": 5, "descriptor": len(LAYER)}
    for words in (sha256(LAYER), "5 bytes", f"says {len(LAYER)}", "authproxy verify"):
        assert words in error["message"]
    async with connect(driver, Rules(manifests=ManifestRules(enabled=False))) as unchecked:
        assert await put(unchecked, IMAGE) == (201, None)


async def test_another_size_of_a_manifest_is_told(registry: httpx.AsyncClient) -> None:
    await check(registry, PUT_IMAGE)
    body = json.loads(index()) | {"manifests": [descriptor(IMAGE, OCI_IMAGE) | {"size": 1}]}
    status, error = await put(registry, json.dumps(body).encode())
    assert (status, error["code"], error["detail"]["descriptor"]) == (400, "SIZE_INVALID", 1)


async def test_what_is_missing_is_named(registry: httpx.AsyncClient) -> None:
    absent = [f"absent {number}".encode() for number in range(200)]
    status, error = await put(registry, image(CONFIG, [LAYER, *absent, absent[0]]))
    assert (status, error["code"]) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert f"{sha256(absent[0])} and 199 more" in error["message"]
    assert error["detail"]["missing"] == [sha256(content) for content in absent[:100]]


async def test_an_index_of_layers_is_a_cache_of_buildkit(registry: httpx.AsyncClient) -> None:
    def cache(content: bytes) -> bytes:
        entries = [descriptor(content, "application/vnd.oci.image.layer.v1.tar+gzip")]
        return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()

    assert await put(registry, cache(LAYER)) == (201, None)
    assert (await put(registry, cache(b"absent")))[0] == 404
    assert (await put(registry, index([LAYER])))[0] == 404  # a blob that is said to be a manifest


async def test_the_rules_are_those_of_the_core(driver: MemoryDriver) -> None:
    foreign = json.loads(image(CONFIG))
    foreign["layers"] = [descriptor(b"x", NON_DISTRIBUTABLE[0], urls=["https://example.com/x"])]
    incomplete = index([b"absent"])
    for rules, statuses in (
        (ManifestRules(), (201, 404)),
        (ManifestRules(allowed_urls=(re2.compile("^https://other"),), index_platforms="none"), (400, 201)),
        (ManifestRules(enabled=False), (201, 201)),
        (ManifestRules(classes=frozenset({"plugin"})), (403, 404)),
    ):
        async with connect(driver, Rules(manifests=rules)) as registry:
            found = [(await put(registry, content))[0] for content in (json.dumps(foreign).encode(), incomplete)]
            assert tuple(found) == statuses


async def test_an_entry_by_its_sha512_is_held(registry: httpx.AsyncClient) -> None:
    await push_manifest(registry, "a", sha512(IMAGE), IMAGE)
    entry = descriptor(IMAGE, OCI_IMAGE) | {"digest": sha512(IMAGE)}
    by_long = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()
    assert await put(registry, by_long) == (201, None)


async def test_what_an_index_lacks_is_said_with_the_setting_that_decides_it(registry: httpx.AsyncClient) -> None:
    status, error = await put(registry, index([IMAGE]))
    assert (status, error["code"]) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert "push it first; what an index needs is set by validation.manifests.indexes" in error["message"]


async def test_what_an_image_lacks_is_said_without_it(registry: httpx.AsyncClient) -> None:
    status, error = await put(registry, image(CONFIG, [b"a layer that is not here"]))
    assert (status, error["code"]) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert "validation" not in error["message"]
