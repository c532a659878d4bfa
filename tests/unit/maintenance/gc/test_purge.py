"""The purge: what it removes at once, and what it leaves of the list that was condemned before."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from authproxy.digest import Digest
from authproxy.maintenance.gc.purge import Purge, Purged
from authproxy.registry.promises import Condemned, parse_state
from authproxy.storage import state_layout
from tests.support.collected_store import APP, GRACE_S, TRASH_S, Store, open_store
from tests.support.registry import push_blob, push_image

SECRET, CONDEMNED, PROMISED = b"the secret", b"nobody's", b"somebody's"


@pytest.fixture(params=["filesystem", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(request.param, tmp_path) as made:
        await push_image(made.registry, APP, "v1")
        for content in (CONDEMNED, PROMISED):
            await push_blob(made.registry, APP, content)
        await made.collect()
        await push_blob(made.registry, APP, PROMISED)
        await push_blob(made.registry, APP, SECRET)
        yield made


async def purge(store: Store) -> Purged:
    return await Purge(store.driver).purge(Digest.of(SECRET))


async def condemned(store: Store) -> Condemned:
    state = parse_state(await store.records.read(state_layout.gc_state()))
    assert state is not None
    return state


async def test_it_goes_at_once_and_the_rest_of_the_list_in_its_time(store: Store) -> None:
    assert await purge(store) == Purged([APP], len(SECRET), is_gone=True)
    assert not await store.has_bytes(SECRET)
    assert await store.has_bytes(CONDEMNED)
    await store.collect(after_s=GRACE_S)
    await store.collect(after_s=GRACE_S + TRASH_S)
    assert not await store.has_bytes(CONDEMNED)
    assert await store.status("manifests/v1") == 200


async def test_a_list_of_which_a_part_is_gone_is_given_up(store: Store) -> None:
    before = await condemned(store)
    gone = min(before.shards)
    await store.driver.delete(state_layout.gc_condemned(before.epoch, gone))
    assert (await purge(store)).is_gone
    assert len((await condemned(store)).shards) == 1
    assert (await store.collect(after_s=GRACE_S)).swept.layers == 0


async def test_a_foreign_file_among_the_marks_is_passed_by(store: Store) -> None:
    epoch = (await condemned(store)).epoch
    await store.driver.write(state_layout.gc_revived_mark(epoch, "x" * 32), b"1")
    assert (await purge(store)).is_gone
