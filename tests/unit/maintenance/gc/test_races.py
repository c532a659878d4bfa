"""The races that other registries lose, step by step: each is named after the registry that lost content by it."""

import errno
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from authproxy.digest import Digest
from authproxy.maintenance.gc.collector import CollectOptions
from authproxy.maintenance.gc.options import Untagged
from authproxy.maintenance.gc.store_reading import Incomplete
from authproxy.storage import layout
from tests.support.collected_store import APP, GRACE_S, REMOVE, TRASH_S, Store, open_store
from tests.support.registry import connect, image, push_blob, push_manifest, sha256
from tests.support.steps import before

OTHER = "team/other"
CONFIG, LAYER = b"a config", b"a layer of many images"
IMAGE = image(CONFIG, [LAYER])
# Links and bytes go in one run after the other: nothing is held by the trash.
NO_TRASH = CollectOptions(GRACE_S, 0.0, Untagged.REMOVE)


@pytest.fixture(params=["filesystem", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(request.param, tmp_path) as made:
        yield made


async def push(store: Store, tag: str, repository: str = APP) -> None:
    """Push as docker does, through a process that has just started: HEAD, upload what is missing, PUT."""
    async with connect(store.driver) as process:
        if not await _is_pushed(process, tag, repository):
            assert await _is_pushed(process, tag, repository)  # something had gone between two requests


async def _is_pushed(process: httpx.AsyncClient, tag: str, repository: str) -> bool:
    for blob in (CONFIG, LAYER):
        if (await process.head(f"/v2/{repository}/blobs/{sha256(blob)}")).status_code == 404:
            await push_blob(process, repository, blob)
    headers = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
    answer = await process.put(f"/v2/{repository}/manifests/{tag}", content=IMAGE, headers=headers)
    assert answer.status_code in (201, 404), answer.text
    return answer.status_code == 201


async def assert_whole(store: Store, tag: str, repository: str = APP) -> None:
    """The image can be pulled by its tag and by its digest, from a process that has nothing cached; and stays."""
    for _ in range(3):
        async with connect(store.driver) as process:
            for reference in (tag, sha256(IMAGE)):
                assert (await process.get(f"/v2/{repository}/manifests/{reference}")).content == IMAGE
            for blob in (CONFIG, LAYER):
                assert (await process.get(f"/v2/{repository}/blobs/{sha256(blob)}")).content == blob
        await store.collect(NO_TRASH, after_s=GRACE_S + TRASH_S)


async def condemn_the_image(store: Store) -> None:
    """An image that was tagged once, and is condemned with all that it names."""
    await push(store, "old")
    await store.registry.delete(f"/v2/{APP}/manifests/old")
    await store.collect(NO_TRASH)
    await store.let_pass(GRACE_S + 1)


async def condemn_bytes(store: Store) -> None:
    """Content that no repository has any more, neither as a manifest nor as a blob."""
    await condemn_the_image(store)
    await store.collect(NO_TRASH)  # the links go into the trash
    assert await store.status(f"blobs/{sha256(LAYER)}") == 404
    assert await store.has_bytes(LAYER)
    await store.let_pass(GRACE_S + 1)


async def test_distribution_head_200_then_collect_then_put(store: Store) -> None:
    """A layer that HEAD found is collected before the manifest names it (distribution 3045)."""
    for blob in (CONFIG, LAYER):
        await push_blob(store.registry, APP, blob)
    await store.collect(REMOVE)
    await store.let_pass(GRACE_S + 1)
    async with connect(store.driver) as process:
        for blob in (CONFIG, LAYER):
            assert (await process.head(f"/v2/{APP}/blobs/{sha256(blob)}")).status_code == 200
        swept = (await store.collect(REMOVE)).swept
        assert (swept.layers, swept.blobs) == (0, 0)
        await push_manifest(process, APP, "v1", IMAGE)
    await assert_whole(store, "v1")


async def test_distribution_after_a_collection_no_cache_says_200(store: Store) -> None:
    """A cached descriptor answers HEAD for what is gone, and the next push succeeds without it (distribution 3743)."""
    await push(store, "old")
    assert await store.status(f"blobs/{sha256(LAYER)}") == 200
    await store.registry.delete(f"/v2/{APP}/manifests/old")
    async with connect(store.driver) as collecting:  # the process of `store.registry` learns nothing by itself
        assert (await collecting.get("/v2/")).status_code == 200
        for _ in range(5):
            await store.collect(NO_TRASH, after_s=GRACE_S + 1)
    assert not await store.has_bytes(LAYER)
    assert await store.status(f"blobs/{sha256(LAYER)}") == 404
    assert await store.status(f"manifests/{sha256(IMAGE)}") == 404


async def test_zot_pushing_what_is_condemned_leaves_its_old_age(store: Store, tmp_path: Path) -> None:
    """Identical content that is pushed again keeps its file's times, and goes by its age (zot PR 117)."""
    await condemn_bytes(store)
    await push(store, "v1")
    _touch(tmp_path, 0)
    await store.collect(NO_TRASH)
    await assert_whole(store, "v1")


async def test_harbor_a_young_file_is_collected_all_the_same(store: Store, tmp_path: Path) -> None:
    """Age is no proof of either: what nothing reaches goes, however young its file is (harbor 23116)."""
    await condemn_bytes(store)
    _touch(tmp_path, time.time())
    assert (await store.collect(NO_TRASH)).swept.blobs == 3
    assert not await store.has_bytes(LAYER)


def _touch(folder: Path, at: float) -> None:
    for file in folder.rglob("data"):
        os.utime(file, (at, at))


# What a collector does in turn once it has marked, as (method of the driver, a part of its arguments).
STEPS = [
    ("write", "/deleting/"),  # between marking and the batch
    ("replace", "gc/state"),  # the batch is written down, and not named
    ("sizes", "/revived/"),  # before it looks for marks
    ("delete_fenced", "docker/registry"),  # between the look and the removal
    ("write", "/condemned/"),  # all is removed
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"before {step[0]} of {step[1]}")
@pytest.mark.parametrize("repository", [APP, OTHER])
@pytest.mark.parametrize("prepare", [condemn_the_image, condemn_bytes])
async def test_quay_a_push_within_a_cycle(store: Store, step: tuple[str, str], repository: str, prepare: Any) -> None:
    """A push between two steps of the collector: Quay lost 40 in three hours (quay PR 6318)."""
    await prepare(store)
    await push_blob(store.registry, APP, b"nobody's")  # something is condemned by this run too
    if store.driver.fence_s and step[0] == "delete_fenced":
        await _unless_refused(store, repository)
        return

    async def deed() -> None:
        await push(store, "v1", repository)

    happened = before(store.driver, *step, deed)
    await store.collect(NO_TRASH)
    assert happened()
    await assert_whole(store, "v1", repository)


async def _unless_refused(store: Store, repository: str) -> None:
    """A bucket can't stop a deletion at once: a push is refused with 503, and the client tries again."""
    statuses = []

    async def deed() -> None:
        async with connect(store.driver) as process:
            answer = await process.head(f"/v2/{repository}/manifests/{sha256(IMAGE)}")
            statuses.append(answer.status_code)

    before(store.driver, "delete_fenced", "docker/registry", deed)
    await store.collect(NO_TRASH)
    assert statuses[0] in (404, 503)
    store.clock.now += store.driver.fence_s
    await push(store, "v1", repository)
    await assert_whole(store, "v1", repository)


@pytest.mark.parametrize("method", ["read", "sizes", "list_names", "scan_names"])
async def test_zot_a_failure_to_look_is_no_absence(store: Store, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be read isn't absent: a run that meets an error removes nothing (zot: a failed stat)."""
    await push(store, "v1")
    await push(store, "v1", OTHER)
    inner = getattr(store.driver, method)
    fails = False

    def failing(*arguments: Any, **more: Any) -> Any:
        if fails and "docker/registry" in repr(arguments):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return inner(*arguments, **more)

    monkeypatch.setattr(store.driver, method, failing)
    for fails in (True, False, True, False):
        try:
            await store.collect(NO_TRASH, after_s=GRACE_S + 1)
        except (OSError, Incomplete):
            assert fails
    await assert_whole(store, "v1")
    await assert_whole(store, "v1", OTHER)


async def test_a_manifest_whose_bytes_go_while_it_is_pushed(store: Store) -> None:
    """A push finds its content stored, which the collector removes before the push is visible to it."""
    await condemn_bytes(store)
    await push_blob(store.registry, APP, CONFIG)
    await push_blob(store.registry, APP, LAYER)

    async def deed() -> None:
        await store.collect(NO_TRASH)
        assert not await store.has_bytes(IMAGE)

    happened = before(store.driver, "publish", str(sha256(IMAGE)), deed)
    await push(store, "v1")
    assert happened()
    await assert_whole(store, "v1")


async def test_a_blob_whose_bytes_go_while_it_is_mounted(store: Store) -> None:
    """The source of a mount loses its link and its bytes between the look and the new link."""
    await condemn_bytes(store)
    await push_blob(store.registry, OTHER, CONFIG)
    await store.driver.write(layout.layer_link(OTHER, Digest.of(LAYER)), sha256(LAYER).encode())  # type: ignore[arg-type]

    async def deed() -> None:
        await store.driver.delete(layout.layer_link(OTHER, Digest.of(LAYER)))  # type: ignore[arg-type]
        await store.collect(NO_TRASH)
        assert not await store.has_bytes(LAYER)

    happened = before(store.driver, "write_all", f"{APP}/_layers", deed)
    async with connect(store.driver) as process:
        answer = await process.post(f"/v2/{APP}/blobs/uploads/", params={"mount": sha256(LAYER), "from": OTHER})
    assert happened()
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("after", range(6))
async def test_distribution_a_run_that_stops_leaves_no_link_without_content(
    store: Store, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links go before bytes: wherever a run stops, a link leads to content (distribution: bytes go first)."""
    await push(store, "kept", OTHER)
    await condemn_the_image(store)
    inner, left = store.driver.delete_fenced, after

    async def stopping(*arguments: Any, **more: Any) -> bool:
        nonlocal left
        if left == 0:
            raise OSError(errno.EIO, "stopped")
        left -= 1
        return await inner(*arguments, **more)

    monkeypatch.setattr(store.driver, "delete_fenced", stopping)
    for _ in range(4):
        try:
            await store.collect(NO_TRASH, after_s=GRACE_S + 1)
        except OSError:
            break
    monkeypatch.undo()
    async with connect(store.driver) as process:
        is_there = (await process.head(f"/v2/{APP}/manifests/{sha256(IMAGE)}")).status_code == 200
        for blob in (CONFIG, LAYER):
            status = (await process.get(f"/v2/{APP}/blobs/{sha256(blob)}")).status_code
            assert status == 200 or not is_there
    store.clock.now += store.driver.fence_s
    await assert_whole(store, "kept", OTHER)
