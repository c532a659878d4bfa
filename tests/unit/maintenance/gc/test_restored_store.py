"""Collecting in a restored storage, whose content and state are of different times.

What docs/how-to/back-up-and-restore.md says of it.
"""

import shutil
from pathlib import Path

import pytest

from authproxy.maintenance.gc.collector import Collected, CollectOptions, Collector
from authproxy.maintenance.gc.options import Untagged
from authproxy.maintenance.ticks import Ticks
from authproxy.reference import Repository
from authproxy.storage import state_layout
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.records import Records
from tests.support.registry import connect, push_blob, push_image, sha256

APP = Repository("team/app")
GRACE_S, TRASH_S = 100.0, 300.0
CONTENT, STATE = "docker", "authproxy"

# The story of a storage, copied at three moments: `v2` is condemned, is pushed again, and is deleted.
CONDEMNED, PUSHED_AGAIN, DELETED = "condemned", "pushed again", "deleted"
MOMENTS = (CONDEMNED, PUSHED_AGAIN, DELETED)


class Time:
    """The time since boot."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def collect(root: Path, time: Time, untagged: Untagged, *, after_s: float = 0.0) -> Collected:
    """One run of a collector, `after_s` after whatever was before."""
    driver = FilesystemDriver(root, threads=4)
    ticks = Ticks(Records(driver), tick_s=1.0, now=time, boot="one")
    for _ in range(2 if after_s else 0):  # time counts from the next tick on
        await ticks.advance()
        time.now += after_s + 1
    try:
        return await Collector(driver, CollectOptions(GRACE_S, TRASH_S, untagged), ticks=ticks).run()
    finally:
        await driver.close()


async def tell(root: Path, copies: Path, time: Time) -> None:
    """What happens, on the disk, with a copy of each moment."""
    driver = FilesystemDriver(root, threads=4)
    async with connect(driver) as registry:
        await Records(driver).create(state_layout.gc_enabled(), {})
        await push_image(registry, APP, "v1")
        digest = await push_image(registry, APP, "v2")
        await push_blob(registry, APP, b"an orphan")
        assert (await registry.delete(f"/v2/{APP}/manifests/{digest}")).status_code == 202
        await collect(root, time, Untagged.REMOVE)
        shutil.copytree(root, copies / CONDEMNED)
        await push_image(registry, APP, "v2")
        shutil.copytree(root, copies / PUSHED_AGAIN)
        assert (await registry.delete(f"/v2/{APP}/manifests/{digest}")).status_code == 202
        await collect(root, time, Untagged.REMOVE, after_s=GRACE_S)
        shutil.copytree(root, copies / DELETED)
    await driver.close()


@pytest.mark.parametrize("untagged", Untagged)
@pytest.mark.parametrize("state", MOMENTS)
@pytest.mark.parametrize("content", MOMENTS)
async def test_whatever_is_restored_all_tags_stay(tmp_path: Path, content: str, state: str, untagged: Untagged) -> None:
    time = Time()
    await tell(tmp_path / "original", tmp_path, time)
    restored = tmp_path / "restored"
    shutil.copytree(tmp_path / content / CONTENT, restored / CONTENT)
    shutil.copytree(tmp_path / state / STATE, restored / STATE)
    tags = ["v1", "v2"] if content == PUSHED_AGAIN else ["v1"]

    for _ in range(4):
        await collect(restored, time, untagged, after_s=GRACE_S + TRASH_S)
        driver = FilesystemDriver(restored, threads=4)
        async with connect(driver) as registry:
            for tag in tags:
                found = await registry.get(f"/v2/{APP}/manifests/{tag}")
                assert found.status_code == 200
                manifest = found.json()
                for blob in (manifest["config"], *manifest["layers"]):
                    assert (await registry.get(f"/v2/{APP}/blobs/{blob['digest']}")).status_code == 200
            assert (await registry.get(f"/v2/{APP}/tags/list")).json()["tags"] == tags
        await driver.close()
    async with connect(driver := FilesystemDriver(restored, threads=4)) as registry:
        assert (await registry.head(f"/v2/{APP}/blobs/{sha256(b'an orphan')}")).status_code == 404, "the rest is gone"
    await driver.close()


async def test_what_the_backup_has_not_condemned_stays_for_a_grace(tmp_path: Path) -> None:
    """A tag that a restore has lost: its image is condemned at first."""
    time = Time()
    await tell(tmp_path / "original", tmp_path, time)
    restored = tmp_path / PUSHED_AGAIN
    shutil.rmtree(restored / "docker/registry/v2/repositories/team")
    first = await collect(restored, time, Untagged.KEEP, after_s=GRACE_S)
    assert list((restored / "docker/registry/v2/blobs").rglob("data"))
    assert first.condemned >= 3
