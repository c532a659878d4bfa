"""One suite over both ways to ask a backend for its content: our own core, and an upstream registry."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest

from authproxy import asgi
from authproxy.access import Grant
from authproxy.client_view import UNKNOWN
from authproxy.content import Content, Reference
from authproxy.digest import Digest, parse_digest
from authproxy.oci.media_types import OCI_INDEX
from authproxy.proxy.content import UpstreamContent
from authproxy.reference import Tag
from authproxy.registry.core import Core
from authproxy.storage.memory import MemoryDriver
from tests.support.registry import DELETES, connect, image, index, push_blob, push_image, push_manifest, sha256, sha512

CONFIG = b"{}"
NAMES = ["a-b", "a/b", "a0", "team/app"]


def asked_as_upstream(core: Core) -> Content:
    scope = {"headers": [], "type": "http", asgi.CLIENT_VIEW: UNKNOWN, asgi.GRANT: Grant("alice")}
    return UpstreamContent(core, scope)


@pytest.fixture(params=[lambda core: core.content, asked_as_upstream], ids=["core", "upstream"])
async def content(request: pytest.FixtureRequest) -> AsyncIterator[Content]:
    """A registry with four repositories; `team/app` has an image `v1` and an index `all`, pushed by its sha512."""
    driver = MemoryDriver()
    find: Callable[[Core], Content] = request.param
    async with connect(driver) as client:
        for name in NAMES[:3]:
            await push_image(client, name, "v1")
        await push_blob(client, "team/app", CONFIG)
        inner = image(CONFIG)
        await push_manifest(client, "team/app", "v1", inner)
        await push_manifest(client, "team/app", f"{sha512(index([inner]))}?tag=all", index([inner]), OCI_INDEX)
    yield find(Core(driver, DELETES))
    await driver.close()


async def test_a_repository_is_there_or_not(content: Content) -> None:
    assert await content.has_repository("team/app")
    assert not await content.has_repository("team")


async def test_a_tag_has_the_digests_of_its_manifest(content: Content) -> None:
    assert await content.find_names("team/app", Tag("v1")) == {parse_digest(sha256(image(CONFIG)))}
    assert await content.find_names("team/app", Tag("none")) is None
    assert await content.find_names("nothing/here", Tag("v1")) is None


async def test_a_tag_of_a_manifest_with_two_digests_has_one_of_them_at_least(content: Content) -> None:
    both = {parse_digest(name(index([image(CONFIG)]))) for name in (sha256, sha512)}
    found = await content.find_names("team/app", Tag("all"))
    assert found
    assert both.issuperset(found)


async def test_every_tag_leads_to_its_manifest(content: Content) -> None:
    async with aclosing(content.tagged("team/app")) as batches:
        references = {tag: reference async for batch in batches for tag, reference in batch}
    async with aclosing(content.read_manifests("team/app", references.values())) as read:
        manifests = [manifest async for _, manifest in read]
    assert dict(zip(references, manifests, strict=True)) == {"all": index([image(CONFIG)]), "v1": image(CONFIG)}


async def test_manifests_come_in_order_and_missing_ones_are_empty(content: Content) -> None:
    known, missing = parse_digest(sha256(image(CONFIG))), Digest.of(b"missing")
    references: list[Reference] = [missing, Tag("v1"), Tag("none"), known] * 5  # more than are read in one go
    async with aclosing(content.read_manifests("team/app", references)) as read:
        found = [pair async for pair in read]
    assert found == [(missing, b""), (Tag("v1"), image(CONFIG)), (Tag("none"), b""), (known, image(CONFIG))] * 5


@pytest.mark.parametrize("after", ["", "a-b", "a/", "b", "z"])
async def test_repositories_come_in_bytewise_order(content: Content, after: str) -> None:
    async with aclosing(content.repositories(after)) as batches:
        found = [list(batch) async for batch in batches]
    names = [name for batch in found for name in batch]
    assert all(found), "no batch is empty"
    assert [name for name in names if name > after] == [name for name in NAMES if name > after]
    assert names == sorted(names)
