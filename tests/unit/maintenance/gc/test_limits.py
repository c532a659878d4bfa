"""What a repository's owner can make the collector hold is bounded, and beyond a bound only that repository is kept."""

import pytest

from authproxy.digest import Digest
from authproxy.maintenance.gc import repository_marking
from authproxy.maintenance.gc.marking import mark
from authproxy.maintenance.gc.options import MarkingOptions, Untagged
from authproxy.reference import Repository, Tag
from authproxy.storage import layout
from authproxy.storage.memory import MemoryDriver
from tests.support.gc_store import APP, GcStore, image, index

VICTIM = Repository("victim")
REMOVE = MarkingOptions(untagged=Untagged.REMOVE, run=4)


@pytest.fixture
async def store() -> GcStore:
    """A repository of somebody else, with garbage."""
    store = GcStore(MemoryDriver())
    await store.push_image("victim", "v1", repository=VICTIM)
    await store.put_blob(b"garbage", VICTIM)
    return store


async def find(store: GcStore) -> tuple[set[str | None], list[str], list[str]]:
    """Repositories with candidates, repositories that are kept whole, and notices."""
    with await mark(store.driver, REMOVE) as marking:
        return (
            {one.repository for one in marking.candidates() if one.repository},
            [row.repository for row in marking.repositories() if row.kept_whole],
            [notice.what for notice in marking.notices],
        )


async def test_links_by_sha512(store: GcStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository_marking, "MAX_ALIASES", 3)
    for number in range(5):
        content = str(number).encode()
        await store.link_layer(Digest.of(content, "sha512"), stored=await store.put_bytes(content))
    assert await find(store) == ({VICTIM}, [APP], [])


async def test_manifests_that_name_others_by_sha512(store: GcStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository_marking, "MAX_ALIASES", 3)
    content = image([await store.put_blob(b"config")])
    stored, by_sha512 = await store.put_manifest(content), Digest.of(content, "sha512")
    await store.driver.write(layout.revision_link(APP, by_sha512), str(stored).encode())
    for number in range(5):
        await store.put_manifest(index([by_sha512], annotations={"n": str(number)}))
    assert await find(store) == ({VICTIM}, [APP], [])


async def test_manifests_with_damaged_links(store: GcStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository_marking, "MAX_EXTRAS", 3)
    for number in range(5):
        pushed = await store.push_image(str(number))
        await store.driver.write(layout.revision_link(APP, pushed.manifest), b"nonsense")
    gone, kept, notices = await find(store)
    assert (gone, kept, len(notices)) == ({VICTIM}, [APP], 5)


@pytest.mark.parametrize(("limit", "words"), [("MAX_NODES", "manifests"), ("MAX_EDGES", "name each other")])
async def test_manifests_and_what_they_name(
    store: GcStore, monkeypatch: pytest.MonkeyPatch, limit: str, words: str
) -> None:
    """Their untagged manifests are kept, and not other garbage."""
    monkeypatch.setattr(repository_marking, limit, 3)
    monkeypatch.setattr(repository_marking, "TURN", 1)
    child = await store.push_image("child")
    for number in range(5):
        await store.put_manifest(index([child.manifest], annotations={"n": str(number)}))
    orphan = await store.put_blob(b"orphan")
    with await mark(store.driver, REMOVE) as marking:
        links = {one.digest for one in marking.candidates() if one.repository == APP}
        assert links == {orphan}
        assert words in marking.notices[0].what


async def test_another_repository_only_ever_keeps_more(store: GcStore) -> None:
    """It names the victim's content as subject, child, layer and tag, links it, and damages what it can."""
    before = await find(store)
    kept = image([Digest.of(b"config of victim"), Digest.of(b"layer of victim")])
    victims = Digest.of(kept)
    attacker = Repository("victim/below")
    await store.link_layer(Digest.of(b"layer of victim"), attacker)
    await store.push_image("signature", repository=attacker, subject=victims)
    await store.put_manifest(index([victims]), attacker)
    await store.driver.write(layout.tag_current(attacker, Tag("v1")), str(victims).encode())
    await store.driver.write(layout.revision_link(attacker, Digest.of(b"x")), str(victims).encode())
    gone, _, _ = await find(store)
    assert before[0] <= gone
    with await mark(store.driver, REMOVE) as marking:
        candidates = {one.digest for one in marking.candidates() if one.repository in (None, VICTIM)}
    assert not candidates & {victims, Digest.of(b"config of victim"), Digest.of(b"layer of victim")}
