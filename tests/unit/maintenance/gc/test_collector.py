"""Collecting: what goes when, what comes back, what stays; over both drivers, through the requests of a registry."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from authproxy.digest import Digest, parse_digest
from authproxy.maintenance.gc.collector import CollectOptions, Collector, NotEnabled, StorageSpace
from authproxy.maintenance.gc.sweep import Superseded
from authproxy.maintenance.gc.tidy import KEPT_PUSHES
from authproxy.oci import media_types
from authproxy.registry.history import all_pushes, pushes_of
from authproxy.registry.trash import Trash
from authproxy.registry.undelete import Undelete
from authproxy.storage import layout, state_layout
from authproxy.storage.driver import Driver
from tests.support.collected_store import APP, GRACE_S, KEEP, REMOVE, TRASH_S, Store, open_store
from tests.support.registry import connect, image, index, push_blob, push_image, push_manifest, sha256


@pytest.fixture(params=["filesystem", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(request.param, tmp_path) as made:
        yield made


async def delete(store: Store, reference: str) -> None:
    assert (await store.registry.delete(f"/v2/{APP}/manifests/{reference}")).status_code == 202


async def test_nothing_is_collected_before_it_is_enabled(store: Store) -> None:
    await store.driver.delete(state_layout.gc_enabled())
    with pytest.raises(NotEnabled, match="--enable"):
        await store.collect()


async def test_a_blob_that_nothing_names_goes_after_the_grace_and_the_trash(store: Store) -> None:
    await push_image(store.registry, APP, "v1")
    await push_blob(store.registry, APP, b"nobody's")
    first = await store.collect()
    assert (first.condemned, first.swept.layers, await store.status(f"blobs/{sha256(b'kept')}")) == (2, 0, 404)
    waiting = await store.collect(after_s=GRACE_S / 2)
    assert waiting.is_waiting
    assert waiting.condemned == 2
    swept = (await store.collect(after_s=GRACE_S)).swept
    assert (swept.layers, swept.blobs) == (1, 0)
    assert await store.status(f"blobs/{sha256(b'''nobody's''')}") == 404
    assert await store.has_bytes(b"nobody's")
    done = await store.collect(after_s=GRACE_S + TRASH_S)
    assert (done.swept.blobs, done.swept.bytes) == (1, len(b"nobody's"))
    assert not await store.has_bytes(b"nobody's")
    assert await store.status("manifests/v1") == 200


async def test_an_abandoned_upload_goes_and_one_under_way_stays(store: Store) -> None:
    for number, began in enumerate((datetime.now(UTC) - timedelta(days=8), datetime.now(UTC))):
        session = layout.upload(APP, UUID(int=number))
        async with store.driver.create_upload(session, started=began) as upload:
            await upload.write(b"some of it")
    done = await store.collect(replace(KEEP, uploads_age=timedelta(days=7)))
    assert (done.uploads, done.upload_bytes) == (1, len(b"some of it"))
    assert await store.driver.list_names(layout.uploads(APP)) == [str(UUID(int=1))]
    assert (await store.collect(KEEP)).uploads == 0


async def test_the_folders_that_another_program_has_left_go(tmp_path: Path) -> None:
    gone = Digest.of(b"deleted by CNCF Distribution")
    left = [
        tmp_path / path for path in (layout.blob(gone), layout.layer_link(APP, gone), layout.revision_link(APP, gone))
    ]
    async with open_store("filesystem", tmp_path) as store:
        await push_image(store.registry, APP, "v1")
        for path in left:
            path.parent.mkdir(parents=True)
        foreign = left[1].parent.with_name("a folder") / "a file"
        foreign.parent.mkdir()
        foreign.touch()
        await store.collect()
        assert [path.parent.exists() for path in left] == [False, False, False]
        assert foreign.exists()
        assert await store.status("manifests/v1") == 200


async def test_an_image_that_was_deleted_goes_with_its_blobs(store: Store) -> None:
    digest = await push_image(store.registry, APP, "v1")
    await push_image(store.registry, APP, "v2")
    await delete(store, digest)
    for _ in range(6):
        await store.collect(after_s=GRACE_S + TRASH_S)
    assert not await store.has_bytes(b"config v1")
    assert await store.has_bytes(b"a layer")  # v2 has it too
    assert [each async for each in Trash(store.driver).of(APP)] == []
    assert await store.status("manifests/v2") == 200


async def test_a_head_in_the_grace_revives(store: Store) -> None:
    blob = await push_blob(store.registry, APP, b"nobody's")
    await store.collect()
    async with connect(store.driver) as another:  # a process that has just looked
        assert (await another.head(f"/v2/{APP}/blobs/{blob}")).status_code == 200
    swept = (await store.collect(after_s=GRACE_S + 1)).swept
    assert (swept.layers, swept.blobs) == (0, 0)
    assert await store.status(f"blobs/{blob}") == 200
    await store.collect(after_s=GRACE_S + 1)
    assert (await store.collect(after_s=GRACE_S + 1)).swept.layers == 1  # promised once, and not again


async def test_a_push_of_what_is_condemned_keeps_it(store: Store) -> None:
    digest = await push_image(store.registry, APP, "v1")
    await store.registry.delete(f"/v2/{APP}/manifests/v1")
    await store.collect(REMOVE)
    async with connect(store.driver) as another:
        await push_image(another, APP, "v1")
    await store.collect(REMOVE, after_s=GRACE_S + 1)
    assert await store.status(f"manifests/{digest}") == 200
    for blob in (b"config v1", b"a layer"):
        assert await store.status(f"blobs/{sha256(blob)}") == 200


async def test_untagged_manifests_are_kept_unless_told_otherwise(store: Store) -> None:
    digest = await push_image(store.registry, APP, "v1")
    await store.registry.delete(f"/v2/{APP}/manifests/v1")
    for _ in range(3):
        await store.collect(after_s=GRACE_S + TRASH_S)
    assert await store.status(f"manifests/{digest}") == 200
    await store.collect(REMOVE, after_s=GRACE_S + 1)
    swept = (await store.collect(REMOVE, after_s=GRACE_S + 1)).swept
    assert (swept.revisions, swept.layers) == (1, 2)
    assert await store.status(f"manifests/{digest}") == 404
    [deleted, *_] = [each async for each in Trash(store.driver).of(APP) if each.links.revisions]
    assert (str(*deleted.links.revisions), deleted.by) == (digest, "garbage collection")


async def test_an_index_goes_with_its_images_and_its_signature(store: Store) -> None:
    await push_image(store.registry, APP, "v1")
    one = image(b"config v1", [b"a layer"])
    both = index([one])
    list_digest = await push_manifest(store.registry, APP, "list", both, media_types.OCI_INDEX)
    subject = {"mediaType": media_types.OCI_INDEX, "digest": list_digest, "size": len(both)}
    signature = image(b"config v1", [], subject=subject)
    await push_manifest(store.registry, APP, sha256(signature), signature)
    await store.registry.delete(f"/v2/{APP}/manifests/v1")
    await store.collect(REMOVE)
    swept = (await store.collect(REMOVE, after_s=GRACE_S + 1)).swept
    assert swept.revisions == 0  # the tag of the index keeps all three
    await store.registry.delete(f"/v2/{APP}/manifests/list")
    await store.collect(REMOVE, after_s=GRACE_S + 1)
    swept = (await store.collect(REMOVE, after_s=GRACE_S + 1)).swept
    assert (swept.revisions, swept.layers) == (3, 2)
    assert await store.driver.list_names(layout.referrers(APP, Digest("sha256", list_digest[7:]), "sha256")) == []
    assert (await store.registry.get("/v2/_catalog")).json() == {"repositories": []}


async def test_the_trash_can_be_ended_at_once_but_no_grace(store: Store) -> None:
    digest = await push_image(store.registry, APP, "v1")
    await delete(store, digest)
    await store.collect()
    now = CollectOptions(GRACE_S, TRASH_S, ends_trash=True)
    done = await store.collect(now)
    assert done.is_waiting
    assert done.trash_ended == 1
    assert await store.has_bytes(b"config v1")
    done = await store.collect(now, after_s=GRACE_S + 1)
    assert (done.swept.layers, await store.has_bytes(b"config v1")) == (2, False)


async def test_a_collector_that_slept_removes_nothing(store: Store) -> None:
    """Between its marking and its sweep another one has begun a new epoch."""
    blob = await push_blob(store.registry, APP, b"nobody's")
    await store.collect()
    await store.let_pass(GRACE_S)
    slept = Collector(store.driver, KEEP, ticks=store.ticks)
    real_mark = slept._mark

    async def sleep(options: object) -> object:
        found = await real_mark(options)  # type: ignore[arg-type]
        await store.collect()
        await push_blob(store.registry, APP, b"nobody's")
        return found

    slept._mark = sleep  # type: ignore[assignment,method-assign]
    with pytest.raises(Superseded):
        await slept.run()
    assert await store.status(f"blobs/{blob}") == 200
    assert await store.has_bytes(b"nobody's")


async def test_a_run_that_stops_in_the_sweep_is_gone_on_with(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        await push_blob(store.registry, APP, b"%d" % number)
    await store.collect()
    await store.let_pass(GRACE_S)
    removed = 0
    remove = type(store.driver).delete_fenced

    async def stops(self: Driver, path: layout.StorePath, fence: object, **more: object) -> bool:
        nonlocal removed
        if removed == 2:
            raise OSError("the disk is gone")
        removed += 1
        return await remove(self, path, fence, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(type(store.driver), "delete_fenced", stops)
    with pytest.raises(OSError, match="the disk is gone"):
        await store.collect()
    monkeypatch.undo()
    assert (await store.collect(after_s=store.driver.fence_s)).swept.layers == 3


async def test_a_collector_of_nothing_writes_nothing_but_its_time(store: Store) -> None:
    await push_image(store.registry, APP, "v1")
    done = await store.collect()
    assert (done.condemned, done.grace_left_s) == (0, None)
    assert await store.driver.read([state_layout.gc_state()]) == [None]


async def test_the_history_of_what_is_gone_goes_too(store: Store) -> None:
    digest = parse_digest(await push_image(store.registry, APP, "v1"))
    for _ in range(5):
        await push_image(store.registry, APP, "v2")
    assert len([each async for each in all_pushes(store.driver, APP)]) == 6
    await store.collect()
    assert len([each async for each in all_pushes(store.driver, APP)]) == 1 + KEPT_PUSHES
    await delete(store, str(digest))
    await store.collect()
    assert await pushes_of(store.driver, APP, digest) != []  # it is in the trash
    for _ in range(3):
        await store.collect(after_s=GRACE_S + TRASH_S)
    assert await pushes_of(store.driver, APP, digest) == []
    assert await store.status("manifests/v2") == 200


async def test_a_note_whose_referrer_is_gone_goes(store: Store) -> None:
    await push_image(store.registry, APP, "v1")
    gone, subject = Digest.of(b"gone"), Digest.of(b"subject")
    await store.driver.write(layout.referrer_link(APP, subject, gone), b"x")
    await store.collect()
    assert await store.driver.read([layout.referrer_link(APP, subject, gone)]) == [None]


async def test_the_lists_of_a_run_that_stopped_go(store: Store) -> None:
    await push_image(store.registry, APP, "v1")
    await store.driver.write(state_layout.gc_condemned("0123456789abcdef", "00"), b"x")
    await store.collect()
    assert await store.driver.list_names(state_layout.gc_epoch("0123456789abcdef")) == []


async def test_a_full_storage_ends_the_oldest_of_the_trash(store: Store) -> None:
    for tag in ("v1", "v2", "v3"):
        await delete(store, await push_image(store.registry, APP, tag))
    sizes = [len(await _manifest_of(tag)) for tag in ("v1", "v2", "v3")]
    free = StorageSpace(free=0, total=10 * (sizes[0] + 2))
    options = CollectOptions(GRACE_S, TRASH_S, min_free=0.1)
    done = await Collector(store.driver, options, ticks=store.ticks, space=lambda: free).run()
    assert done.trash_ended == 1
    left = [tag async for each in Trash(store.driver).of(APP) for tag in each.links.tags]
    assert left == ["v2", "v3"]


async def _manifest_of(tag: str) -> bytes:
    return image(f"config {tag}".encode(), [b"a layer"])


async def test_many_referrers_with_long_notes_go_into_the_trash(store: Store) -> None:
    """A record of the trash is read whole, so it is bounded."""
    await push_blob(store.registry, APP, b"{}")
    await store.collect(REMOVE)
    subject = {"mediaType": media_types.OCI_IMAGE, "digest": sha256(b"an image that is gone"), "size": 2}
    contents = [
        image(b"{}", subject=subject, annotations={"number": str(number), "long": "x" * 480_000})
        for number in range(20)
    ]
    for content in contents:
        await push_manifest(store.registry, APP, sha256(content), content)
    for _ in range(2):
        await store.collect(REMOVE, after_s=GRACE_S + 1)
    assert [await store.status(f"manifests/{sha256(content)}") for content in contents] == [404] * 20
    await Undelete(store.driver).restore(APP, None)
    assert [await store.status(f"manifests/{sha256(content)}") for content in contents] == [200] * 20
    listed = (await store.registry.get(f"/v2/{APP}/referrers/{subject['digest']}", params={"n": 5})).json()
    assert len(listed["manifests"]) == 5
