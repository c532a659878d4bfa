"""Undelete: what comes back from the trash, whole; and what stays as it is."""

import inspect
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from authproxy.digest import Digest, parse_digest
from authproxy.oci import media_types
from authproxy.reference import Repository, Tag
from authproxy.registry.trash import Links, Trash
from authproxy.registry.undelete import NotRestorable, Undelete
from authproxy.storage import layout
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.memory import MemoryDriver
from tests.support.registry import connect, image, index, push_blob, push_image, push_manifest, sha256, sha512

APP = Repository("team/app")


@pytest.fixture(params=["filesystem", "memory"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    made: Driver = FilesystemDriver(tmp_path, threads=4) if request.param == "filesystem" else MemoryDriver()
    yield made
    await made.close()


@pytest.fixture
async def registry(driver: Driver) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(driver) as client:
        yield client


async def delete(registry: httpx.AsyncClient, reference: str) -> None:
    assert (await registry.delete(f"/v2/{APP}/manifests/{reference}")).status_code == 202


async def trash(driver: Driver) -> int:
    return len([each async for each in Trash(driver).of(APP)])


async def test_a_manifest_comes_back_with_its_tags_and_names(driver: Driver, registry: httpx.AsyncClient) -> None:
    digest = await push_image(registry, APP, "v1")
    content = (await registry.get(f"/v2/{APP}/manifests/v1")).content
    await push_manifest(registry, APP, f"{sha512(content)}?tag=long", content)
    await delete(registry, digest)
    restored = await Undelete(driver).restore(APP, Tag("v1"))
    assert restored.tags == {"v1": parse_digest(digest)}
    for reference in ("v1", digest, sha512(content)):
        assert (await registry.get(f"/v2/{APP}/manifests/{reference}")).content == content
    restored = await Undelete(driver).restore(APP, None)
    assert list(restored.tags) == ["long"]
    assert (await registry.get(f"/v2/{APP}/manifests/long")).content == content
    assert await trash(driver) == 0


async def test_a_tag_comes_back_alone(driver: Driver, registry: httpx.AsyncClient) -> None:
    await push_image(registry, APP, "v1")
    await delete(registry, "v1")
    await Undelete(driver).restore(APP, Tag("v1"))
    assert (await registry.get(f"/v2/{APP}/manifests/v1")).status_code == 200
    assert await trash(driver) == 0


async def test_a_tag_that_was_pushed_since_stays(driver: Driver, registry: httpx.AsyncClient) -> None:
    digest = await push_image(registry, APP, "v1")
    await delete(registry, digest)
    await push_blob(registry, APP, b"{}")
    newer = await push_manifest(registry, APP, "v1", image(b"{}"))
    restored = await Undelete(driver).restore(APP, parse_digest(digest))
    assert (restored.tags, restored.tags_kept) == ({}, ["v1"])
    assert (await registry.head(f"/v2/{APP}/manifests/v1")).headers["docker-content-digest"] == newer
    assert (await registry.get(f"/v2/{APP}/manifests/{digest}")).status_code == 200


async def test_an_index_comes_back_with_its_images(driver: Driver, registry: httpx.AsyncClient) -> None:
    one = await push_image(registry, APP, "one")
    content = (await registry.get(f"/v2/{APP}/manifests/one")).content
    both = index([content])
    digest = await push_manifest(registry, APP, "list", both, media_types.OCI_INDEX)
    await delete(registry, digest)
    await delete(registry, one)
    restored = await Undelete(driver).restore(APP, Tag("list"))
    assert restored.manifests == {parse_digest(digest), parse_digest(one)}
    assert (await registry.get(f"/v2/{APP}/manifests/{one}")).content == content
    assert (await registry.get(f"/v2/{APP}/tags/list")).json()["tags"] == ["list"]


async def test_a_signature_is_listed_again(driver: Driver, registry: httpx.AsyncClient) -> None:
    digest = await push_image(registry, APP, "v1")
    subject = {"mediaType": media_types.OCI_IMAGE, "digest": digest, "size": 1}
    signature = image(b"config v1", [], subject=subject)
    await push_manifest(registry, APP, sha256(signature), signature)
    await delete(registry, sha256(signature))
    await Undelete(driver).restore(APP, Digest.of(signature))
    listed = (await registry.get(f"/v2/{APP}/referrers/{digest}")).json()["manifests"]
    assert [entry["digest"] for entry in listed] == [sha256(signature)]


async def test_a_blob_comes_back(driver: Driver, registry: httpx.AsyncClient) -> None:
    blob = await push_blob(registry, APP, b"alone")
    assert (await registry.delete(f"/v2/{APP}/blobs/{blob}")).status_code == 202
    await Undelete(driver).restore(APP, parse_digest(blob))
    assert (await registry.get(f"/v2/{APP}/blobs/{blob}")).content == b"alone"


async def test_what_is_not_in_the_trash_is_an_error(driver: Driver, registry: httpx.AsyncClient) -> None:
    await push_image(registry, APP, "v1")
    for what in (Tag("v1"), Digest.of(b"x"), None):
        with pytest.raises(NotRestorable, match="in the trash"):
            await Undelete(driver).restore(APP, what)


async def test_content_that_is_gone_is_an_error_that_says_so(driver: Driver, registry: httpx.AsyncClient) -> None:
    digest = await push_image(registry, APP, "v1")
    await delete(registry, digest)
    await driver.delete(layout.blob(parse_digest(digest)))
    with pytest.raises(NotRestorable, match="only a push brings it back"):
        await Undelete(driver).restore(APP, Tag("v1"))
    assert (await registry.get(f"/v2/{APP}/tags/list")).status_code == 404


async def test_a_layer_that_is_gone_is_named(driver: Driver, registry: httpx.AsyncClient) -> None:
    digest = await push_image(registry, APP, "v1")
    await delete(registry, digest)
    assert (await registry.delete(f"/v2/{APP}/blobs/{sha256(b'a layer')}")).status_code == 202
    await driver.delete(layout.blob(Digest.of(b"a layer")))
    restored = await Undelete(driver).restore(APP, Tag("v1"))
    assert restored.missing == {Digest.of(b"a layer")}


async def test_deeply_nested_indexes_come_back() -> None:
    """Deeper than Python's calls may be nested."""
    driver, depth = MemoryDriver(), 300
    limit = sys.getrecursionlimit()
    async with connect(driver) as registry:
        await push_blob(registry, APP, b"{}")
        contents = [image(b"{}")]
        for _ in range(depth):
            contents.append(index(contents[-1:]))
        links = {Digest.of(content): Digest.of(content) for content in contents}
        await driver.write_all(
            [[(layout.blob(digest), content) for digest, content in zip(links, contents, strict=True)]]
        )
        digest = Digest.of(contents[-1])
        deleted = Links(revisions=links)
        await Trash(driver).record(APP, deleted, at=datetime.now(UTC), by="", why="")
        sys.setrecursionlimit(len(inspect.stack(0)) + 200)
        try:
            restored = await Undelete(driver).restore(APP, digest)
        finally:
            sys.setrecursionlimit(limit)
        assert restored.manifests == set(links)
        assert (await registry.get(f"/v2/{APP}/manifests/{digest}")).status_code == 200


async def test_what_is_gone_costs_nothing_else_of_its_repository(driver: Driver, registry: httpx.AsyncClient) -> None:
    gone, kept = [await push_image(registry, APP, tag) for tag in ("a", "b")]
    content = (await registry.get(f"/v2/{APP}/manifests/a")).content
    above = await push_manifest(registry, APP, "all", index([content]), media_types.OCI_INDEX)
    for reference in ("a", above, gone, kept):
        await delete(registry, reference)
    await driver.delete(layout.blob(parse_digest(gone)))
    restored = await Undelete(driver).restore(APP, None)
    assert restored.tags == {"b": parse_digest(kept)}
    assert restored.manifests == {parse_digest(kept)}
    assert restored.missing == {parse_digest(gone), parse_digest(above)}
    with pytest.raises(NotRestorable, match="only a push"):
        await Undelete(driver).restore(APP, parse_digest(above))
