"""Deletions and pushes in every order: each scenario with every guard, and with each of its guards switched off.

`AUTHPROXY_MODEL_RUNS` runs each scenario more often.
"""

import os
from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest

from authproxy.reference import Repository
from authproxy.registry import deletions, namers, publisher
from authproxy.registry.deletions import MAX_AGE_S
from authproxy.storage.driver import Fence
from authproxy.storage.layout import StorePath
from tests.model.guards import Guard, check_that_nothing_is_lost, check_that_something_is_lost
from tests.model.schedule import Act
from tests.model.twins import BucketTwin, FolderTwin
from tests.model.world import BLOBS, IMAGES, Scenario, World
from tests.support.registry import sha256

FIRST, SECOND = sha256(IMAGES["first"]), sha256(IMAGES["second"])

RUNS = int(os.environ.get("AUTHPROXY_MODEL_RUNS", "150"))
# Within so many steps a scenario must fail if one of its guards is off.
MAX_STEPS = 10_000


async def tag_beside_deletion(world: World) -> list[Act]:
    """A new tag of a manifest that is deleted by its digest."""
    await world.push(world.core(), "first", "old")
    return [
        partial(world.push, world.core(), "first", "new"),
        partial(world.delete, world.core(), FIRST),
    ]


async def manifest_beside_blob(world: World) -> list[Act]:
    """A manifest whose blob is deleted between the client's HEAD and its PUT."""
    core = world.core()
    for name in BLOBS:
        await world.ask(core, "POST", f"blobs/uploads/?digest={sha256(BLOBS[name])}", BLOBS[name])
    return [
        partial(world.push, world.core(), "first", "t"),
        partial(world.delete_blob, world.core(), "one"),
    ]


async def index_beside_image(world: World) -> list[Act]:
    """An index whose image is deleted."""
    await world.push(world.core(), "first", FIRST)
    return [
        partial(world.push, world.core(), "list", "l"),
        partial(world.delete, world.core(), FIRST),
    ]


async def index_beside_blob(world: World) -> list[Act]:
    """An index with its image, whose blob is deleted before the image is visible: the client tries again."""
    await world.ask(world.core(), "POST", f"blobs/uploads/?digest={sha256(BLOBS['one'])}", BLOBS["one"])
    return [
        partial(world.push, world.core(), "list", "l"),
        partial(world.delete_blob, world.core(), "one"),
    ]


async def two_pushes_beside_blob(world: World) -> list[Act]:
    """Two clients push a manifest whose blob is deleted: one is refused, and the other pushes the blob again."""
    await world.ask(world.core(), "POST", f"blobs/uploads/?digest={sha256(BLOBS['one'])}", BLOBS["one"])
    return [
        partial(world.push, world.core(), "first", FIRST),
        partial(world.push, world.core(), "first", FIRST),
        partial(world.delete_blob, world.core(), "one"),
    ]


async def everything_at_once(world: World) -> list[Act]:
    """A manifest that comes back while its blobs are deleted: three deletions, and a push."""
    await world.push(world.core(), "first", "old")
    return [
        partial(world.push, world.core(), "first", "new"),
        partial(world.delete, world.core(), FIRST),
        partial(world.delete_blob, world.core(), "one"),
        partial(world.delete_blob, world.core(), "config"),
    ]


async def repository_beside_pushes(world: World) -> list[Act]:
    """A whole repository that is deleted while two push to it: one again what is there, one something else."""
    await world.push(world.core(), "list", "l")
    await world.push(world.core(), "second", "t")
    return [
        partial(world.delete_repository, world.core()),
        partial(world.push, world.core(), "list", "new"),
        partial(world.push, world.core(), "second", "t"),
    ]


async def two_pushers(world: World) -> list[Act]:
    """Two that push to one tag, beside a deletion of it; one may be held up for long."""
    await world.push(world.core(), "first", "t")
    return [
        partial(world.push, world.core(), "first", "t"),
        partial(world.push, world.core(), "second", "t"),
        partial(world.delete, world.core(), "t"),
    ]


async def one_after_the_other(world: World) -> list[Act]:
    """A push that is held up until a newer one has been acknowledged."""

    async def newer() -> None:
        await world.schedule.turn()
        world.schedule.now += MAX_AGE_S + 1
        await world.push(world.core(), "second", "t")

    await world.push(world.core(), "first", FIRST)
    await world.push(world.core(), "second", SECOND)
    return [partial(world.push, world.core(), "first", "t"), newer]


SCENARIOS = [
    tag_beside_deletion,
    manifest_beside_blob,
    index_beside_image,
    index_beside_blob,
    two_pushes_beside_blob,
    everything_at_once,
    repository_beside_pushes,
    two_pushers,
    one_after_the_other,
]
TWINS = [BucketTwin, FolderTwin]


@pytest.mark.parametrize("twin", TWINS, ids=["bucket", "folder"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_no_order_loses_what_was_acknowledged(scenario: Scenario, twin: type[BucketTwin]) -> None:
    check_that_nothing_is_lost(scenario, twin, runs=RUNS)


def _blind_deleter(patch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any) -> None:
        return None

    patch.setattr(namers.Namers, "of_blob", nothing)
    patch.setattr(namers.Namers, "of_manifest", nothing)


def _never_cancels(patch: pytest.MonkeyPatch) -> None:
    cancel = deletions.Deletions.cancel

    async def only_look(self: deletions.Deletions, repository: Repository, _: Iterable[deletions.Name]) -> int:
        return await cancel(self, repository, ())

    patch.setattr(deletions.Deletions, "cancel", only_look)


def _no_last_look(patch: pytest.MonkeyPatch) -> None:
    async def number(*_: Any) -> int:
        return 0

    patch.setattr(publisher.Publisher, "_settle", number)


def _no_look(patch: pytest.MonkeyPatch) -> None:
    """The look comes before the links are visible, and not again: as it was."""
    publish = publisher.Publisher.publish

    async def look_first(self: Any, begun: Any, new: Any, look: Any) -> Any:
        found = await look()

        async def again() -> Any:
            return found

        return await publish(self, begun, new, again)

    patch.setattr(publisher.Publisher, "publish", look_first)


def _no_withdrawal(patch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any) -> None:
        return None

    patch.setattr(publisher.Publisher, "_withdraw", nothing)


def _no_fence(patch: pytest.MonkeyPatch) -> None:
    for twin in TWINS:

        async def delete(self: BucketTwin, path: StorePath, _: Fence, *, expected: bytes | None = None) -> bool:
            is_done = await self.delete(path, expected=expected)
            return is_done or expected is None

        patch.setattr(twin, "delete_fenced", delete)


def _no_condition(patch: pytest.MonkeyPatch) -> None:
    """Tags are overwritten, whatever they say by now."""
    patch.setattr(publisher, "MAX_AGE_S", 1e9)


GUARDS = [
    Guard("a deletion looks for what names it", manifest_beside_blob, _blind_deleter),
    Guard("a push cancels the deletions that it meets", everything_at_once, _never_cancels),
    Guard("a push looks again after its tag", tag_beside_deletion, _no_last_look),
    Guard("a push looks once its links are visible", manifest_beside_blob, _no_look),
    Guard("a push that is refused leaves nothing", index_beside_blob, _no_withdrawal),
    Guard("links are removed behind a fence", tag_beside_deletion, _no_fence),
    Guard("a push that was held up overwrites nothing", one_after_the_other, _no_condition),
]


@pytest.mark.parametrize("twin", TWINS, ids=["bucket", "folder"])
@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.what)
def test_without_a_guard_something_is_lost(
    guard: Guard, twin: type[BucketTwin], monkeypatch: pytest.MonkeyPatch
) -> None:
    guard.switch_off(monkeypatch)
    check_that_something_is_lost(guard.scenario, twin, max_steps=MAX_STEPS)
