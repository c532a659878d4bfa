"""What is repaired, from where, and what is left alone."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from authproxy.digest import Digest
from authproxy.maintenance.verify.findings import Finding, Kind
from authproxy.maintenance.verify.position import Position
from authproxy.maintenance.verify.repair import NotRepaired, Repair
from authproxy.maintenance.verify.verification import Verification
from authproxy.reference import Repository
from authproxy.registry.deletions import Deletions
from authproxy.registry.quarantine import is_isolated
from authproxy.registry.trash import Links, Trash
from authproxy.storage import layout
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.layout import StorePath
from authproxy.storage.memory import MemoryDriver
from tests.support.registry import connect, image, push_blob, push_manifest

APP = Repository("team/app")
CONFIG = b"{}"
LAYER = b"layer " * 50_000
MANIFEST = image(CONFIG, [LAYER])
LAYER_DIGEST, DIGEST = Digest.of(LAYER), Digest.of(MANIFEST)


@pytest.fixture(params=["filesystem", "memory"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    made: Driver = FilesystemDriver(tmp_path, threads=4) if request.param == "filesystem" else MemoryDriver()
    async with connect(made) as client:
        await push_all(client)
    yield made
    await made.close()


async def push_all(client: httpx.AsyncClient) -> None:
    await push_blob(client, APP, CONFIG)
    await push_blob(client, APP, LAYER)
    await push_manifest(client, APP, "v1", MANIFEST)


class Elsewhere:
    """Another registry with some contents; what is asked for is noted."""

    def __init__(self, contents: Mapping[Digest, bytes]) -> None:
        self.asked: list[tuple[str, Digest, int | None]] = []
        self._contents = contents

    async def content(self, repository: str, digest: Digest, size: int | None) -> AsyncGenerator[bytes, None]:
        self.asked.append((repository, digest, size))
        if digest not in self._contents:
            raise NotRepaired("it is not there")
        yield self._contents[digest]


async def repair(driver: Driver, source: Elsewhere | None = None) -> list[tuple[Kind, str | None]]:
    """Verify and repair: what was tried, and why it failed."""
    verified = await Verification(driver, Position(""), isolates=True, at="today").run()
    tried: list[tuple[Kind, str | None]] = []

    def told(finding: Finding, why: str | None) -> None:
        tried.append((finding.kind, why))

    await Repair(driver, source).repair(verified, told)
    return tried


async def damage(driver: Driver) -> list[Kind]:
    return [finding.kind for finding in (await Verification(driver, Position("")).run()).position.findings]


@pytest.mark.parametrize("content", [LAYER, MANIFEST], ids=["a layer", "a manifest"])
@pytest.mark.parametrize("left", [b"broken", b"", None], ids=["wrong", "empty", "gone"])
async def test_content_is_fetched_from_another_registry(driver: Driver, content: bytes, left: bytes | None) -> None:
    digest = Digest.of(content)
    if left is None:
        await driver.delete(layout.blob(digest))
    else:
        await driver.write(layout.blob(digest), left)
    source = Elsewhere({digest: content})
    assert (Kind.CONTENT_DAMAGED if left is not None else Kind.CONTENT_MISSING, None) in await repair(driver, source)
    assert source.asked == [(APP, digest, len(content) if content == LAYER else None)]
    assert not await is_isolated(driver, digest)
    assert await damage(driver) == []
    async with connect(driver) as client:
        assert (await client.get(f"/v2/{APP}/blobs/{LAYER_DIGEST}")).content == LAYER
        assert (await client.get(f"/v2/{APP}/manifests/v1")).content == MANIFEST


async def test_what_another_registry_sends_is_compared_before_it_takes_a_place(driver: Driver) -> None:
    await driver.write(layout.blob(LAYER_DIGEST), b"broken")
    tried = await repair(driver, Elsewhere({LAYER_DIGEST: b"hostile"}))
    assert tried == [(Kind.CONTENT_DAMAGED, "the other registry sent something else")]
    assert await driver.read([layout.blob(LAYER_DIGEST)], fresh=True) == [b"broken"]
    assert await is_isolated(driver, LAYER_DIGEST)
    assert await driver.list_names(layout.uploads(APP)) == []


async def test_without_another_registry_content_is_left_to_a_push(driver: Driver) -> None:
    await driver.write(layout.blob(LAYER_DIGEST), b"broken")
    assert await repair(driver) == []
    assert await damage(driver) == [Kind.CONTENT_DAMAGED]


@pytest.mark.parametrize("link", [None, b"nonsense"], ids=["gone", "damaged"])
async def test_a_link_to_sound_content_is_written_again(driver: Driver, link: bytes | None) -> None:
    path = layout.layer_link(APP, LAYER_DIGEST)
    await (driver.delete(path) if link is None else driver.write(path, link))
    assert (Kind.LINK_MISSING, None) in await repair(driver)
    assert await damage(driver) == []


async def test_a_damaged_link_of_a_manifest_is_written_again(driver: Driver) -> None:
    await driver.write(layout.revision_link(APP, DIGEST), b"nonsense")
    assert (Kind.LINK_DAMAGED, None) in await repair(driver)
    assert await damage(driver) == []


async def test_a_link_to_damaged_content_is_not_written(driver: Driver) -> None:
    await driver.delete(layout.layer_link(APP, LAYER_DIGEST))
    await driver.write(layout.blob(LAYER_DIGEST), b"broken")
    assert await repair(driver) == [(Kind.LINK_MISSING, "the content itself is damaged or missing")]


async def test_what_was_deleted_is_not_linked_again(driver: Driver) -> None:
    at = datetime(2024, 1, 2, tzinfo=UTC)
    await Trash(driver).record(APP, Links(layers={LAYER_DIGEST: LAYER_DIGEST}), at=at, by="alice", why="request")
    await driver.delete(layout.layer_link(APP, LAYER_DIGEST))
    assert await repair(driver) == [(Kind.LINK_MISSING, "it was deleted, so it is not linked again")]
    assert await driver.read([layout.layer_link(APP, LAYER_DIGEST)]) == [None]


async def test_what_is_being_deleted_is_not_linked_again(driver: Driver) -> None:
    await driver.delete(layout.layer_link(APP, LAYER_DIGEST))
    async with Deletions(driver).begin(APP, [LAYER_DIGEST]):
        assert await repair(driver) == [(Kind.LINK_MISSING, "it was deleted, so it is not linked again")]
    assert await repair(driver) == [(Kind.LINK_MISSING, None)]


async def test_a_deletion_that_begins_meanwhile_wins(driver: Driver) -> None:
    await driver.delete(layout.layer_link(APP, LAYER_DIGEST))
    answers = iter([False, True])

    async def is_deleted(repository: Repository, digest: Digest) -> bool:
        assert (repository, digest) == (APP, LAYER_DIGEST)
        return next(answers)

    verified = await Verification(driver, Position("")).run()
    await Repair(driver, is_deleted=is_deleted).repair(verified, lambda *_: None)
    assert (await driver.read([layout.layer_link(APP, LAYER_DIGEST)], fresh=True))[0] in (None, b"")


async def test_a_referrer_is_listed(driver: Driver) -> None:
    subject = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": str(DIGEST), "size": len(MANIFEST)}
    content = image(CONFIG, [LAYER], subject=subject)
    digest = Digest.of(content)
    async with connect(driver) as client:
        await push_manifest(client, APP, str(digest), content)
        await driver.delete(layout.referrer_link(APP, DIGEST, digest))
        before = (await client.get(f"/v2/{APP}/referrers/{DIGEST}")).json()["manifests"]
        assert await repair(driver) == [(Kind.REFERRER_UNLISTED, None)]
        after = (await client.get(f"/v2/{APP}/referrers/{DIGEST}")).json()["manifests"]
    assert before == []
    assert [entry["digest"] for entry in after] == [str(digest)]


async def test_a_repository_gets_no_content_of_others_by_a_name_in_the_storage(driver: Driver) -> None:
    """A foreign folder named like a link is no request for content."""
    mallory = Repository("mallory/app")
    await driver.write(StorePath(f"{layout.layers(mallory)}/sha256/{LAYER_DIGEST.hex}/other"), b"x")
    await repair(driver)
    assert await driver.read([layout.layer_link(mallory, LAYER_DIGEST)]) == [None]
