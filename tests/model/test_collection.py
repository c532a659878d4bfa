"""Collection beside pushes, deletions and another collector, in every order; and with each guard switched off."""

import os
from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest

from authproxy.maintenance.gc import collector, sweep
from authproxy.maintenance.gc.sweep import Sweep
from authproxy.registry.promises import Promises
from authproxy.storage.driver import Fence
from authproxy.storage.layout import StorePath
from tests.model.collecting import age, collect
from tests.model.guards import Guard, check_that_nothing_is_lost, check_that_something_is_lost
from tests.model.schedule import Act
from tests.model.twins import BucketTwin, FolderTwin
from tests.model.world import BLOBS, IMAGES, INDEXES, Scenario, World
from tests.support.registry import sha256

RUNS = int(os.environ.get("AUTHPROXY_MODEL_RUNS", "60"))
MAX_STEPS = 50_000
TWINS = [BucketTwin, FolderTwin]

FIRST, SECOND = sha256(IMAGES["first"]), sha256(IMAGES["second"])


async def blobs_that_wait_for_their_manifest(world: World) -> list[Act]:
    """A push whose blobs are there, and condemned: HEAD says so, then the manifest names them."""
    core = world.core()
    for blob in BLOBS.values():
        await world.ask(core, "POST", f"blobs/uploads/?digest={sha256(blob)}", blob)
    await age(world)
    return [partial(world.push, world.core(), "first", "t"), partial(collect, world)]


async def an_untagged_manifest_is_tagged_again(world: World) -> list[Act]:
    """A manifest that has lost its tag, and is condemned with all that it names."""
    await world.push(world.core(), "first", "old")
    await world.ask(world.core(), "DELETE", "manifests/old")
    await age(world)
    return [partial(world.push, world.core(), "first", "t"), partial(collect, world)]


async def an_index_of_an_untagged_manifest(world: World) -> list[Act]:
    """A client finds the image of its index by HEAD, and pushes the index alone."""
    await world.push(world.core(), "first", "old")
    await world.ask(world.core(), "DELETE", "manifests/old")
    await age(world)
    return [partial(world.push, world.core(), "list", "l"), partial(collect, world)]


async def an_untagged_manifest_is_asked_for(world: World) -> list[Act]:
    """A client finds an image by HEAD, and relies on it."""
    await world.push(world.core(), "first", "old")
    await world.ask(world.core(), "DELETE", "manifests/old")
    await age(world)
    return [partial(world.find, world.core(), FIRST), partial(collect, world)]


async def bytes_without_links(world: World) -> list[Act]:
    """Content that no repository has any more is pushed again while its bytes go."""
    await world.push(world.core(), "first", FIRST)
    await world.ask(world.core(), "DELETE", f"manifests/{FIRST}")
    await age(world, runs=2)
    return [partial(world.push, world.core(), "first", "t"), partial(collect, world)]


async def two_collectors(world: World) -> list[Act]:
    """Two collectors, one of which may sleep while the other begins a new epoch, and a push."""
    await world.push(world.core(), "first", "old")
    await world.ask(world.core(), "DELETE", "manifests/old")
    await age(world)
    return [
        partial(world.push, world.core(), "first", "t"),
        partial(collect, world),
        partial(collect, world),
    ]


async def two_collectors_of_bytes(world: World) -> list[Act]:
    """A manifest whose bytes have no link is pushed again, while two collectors remove bytes."""
    await world.push(world.core(), "second", SECOND)
    await world.push(world.core(), "list", "l")
    await world.ask(world.core(), "DELETE", f"manifests/{SECOND}")
    await world.ask(world.core(), "DELETE", f"manifests/{sha256(INDEXES['list'])}")
    await age(world, runs=2)
    return [
        partial(world.push, world.core(), "second", SECOND),
        partial(collect, world),
        partial(collect, world),
    ]


async def a_deletion_too(world: World) -> list[Act]:
    """A push, a collector, and a deletion of what the push names."""
    await world.push(world.core(), "second", "other")
    await world.push(world.core(), "first", "old")
    await world.ask(world.core(), "DELETE", "manifests/old")
    await age(world)
    return [
        partial(world.push, world.core(), "first", "t"),
        partial(collect, world),
        partial(world.delete, world.core(), SECOND),
        partial(world.delete_blob, world.core(), "one"),
    ]


SCENARIOS = [
    blobs_that_wait_for_their_manifest,
    an_untagged_manifest_is_tagged_again,
    an_index_of_an_untagged_manifest,
    an_untagged_manifest_is_asked_for,
    bytes_without_links,
    two_collectors,
    two_collectors_of_bytes,
    a_deletion_too,
]


@pytest.mark.parametrize("twin", TWINS, ids=["bucket", "folder"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_no_order_loses_what_was_acknowledged(scenario: Scenario, twin: type[BucketTwin]) -> None:
    check_that_nothing_is_lost(scenario, twin, runs=RUNS)


def _no_marks(patch: pytest.MonkeyPatch) -> None:
    write_all = BucketTwin.write_all

    async def without_marks(self: BucketTwin, groups: Any) -> None:
        if not any("/revived/" in path for group in groups for path, _ in group):
            await write_all(self, groups)

    patch.setattr(BucketTwin, "write_all", without_marks)


def _no_second_read(patch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any) -> bool:
        return False

    patch.setattr(Promises, "_is_in_batch", never)


def _no_look_for_marks(patch: pytest.MonkeyPatch) -> None:
    attempts = Sweep._attempts

    async def all_of(self: Sweep, batch: Any) -> Any:
        sizes = self._driver.sizes

        async def none(paths: Iterable[StorePath]) -> list[int | None]:
            return [None for _ in paths]

        self._driver.sizes = none  # type: ignore[method-assign]
        try:
            async for left in attempts(self, batch):
                self._driver.sizes = sizes  # type: ignore[method-assign]
                yield left
                self._driver.sizes = none  # type: ignore[method-assign]
        finally:
            self._driver.sizes = sizes  # type: ignore[method-assign]

    patch.setattr(Sweep, "_attempts", all_of)


def _no_fence(patch: pytest.MonkeyPatch) -> None:
    for twin in TWINS:

        async def delete(self: BucketTwin, path: StorePath, _: Fence, *, expected: bytes | None = None) -> bool:
            is_done = await self.delete(path, expected=expected)
            return is_done or expected is None

        patch.setattr(twin, "delete_fenced", delete)


def _marks_in_any_order(patch: pytest.MonkeyPatch) -> None:
    """A manifest's own mark comes before those of what it needs."""
    marks_of = Promises._marks_of

    async def the_other_way_round(self: Promises, *about: Any) -> Any:
        return [*reversed(await marks_of(self, *about))]

    patch.setattr(Promises, "_marks_of", the_other_way_round)


def _no_wait_for_a_batch(patch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any) -> None:
        return None

    for module in (sweep, collector):
        patch.setattr(module, "outlast_batch", nothing)


GUARDS = [
    Guard("what a manifest needs is kept before it", an_untagged_manifest_is_asked_for, _marks_in_any_order),
    Guard("a promise writes marks", blobs_that_wait_for_their_manifest, _no_marks),
    Guard("a promise reads the state again", blobs_that_wait_for_their_manifest, _no_second_read),
    Guard("the sweep looks for marks", blobs_that_wait_for_their_manifest, _no_look_for_marks),
    Guard("removals depend on the state", two_collectors, _no_fence),
    Guard("a batch is over before another", two_collectors_of_bytes, _no_wait_for_a_batch, twins=(BucketTwin,)),
]


@pytest.mark.parametrize(
    ("guard", "twin"),
    [
        pytest.param(guard, twin, id=f"{guard.what}-{'folder' if twin is FolderTwin else 'bucket'}")
        for guard in GUARDS
        for twin in guard.twins
    ],
)
def test_without_a_guard_something_is_lost(
    guard: Guard, twin: type[BucketTwin], monkeypatch: pytest.MonkeyPatch
) -> None:
    guard.switch_off(monkeypatch)
    check_that_something_is_lost(guard.scenario, twin, max_steps=MAX_STEPS)
