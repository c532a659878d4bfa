"""What rules take away of pushes, deletes and lists, where that turns on what the registry holds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from httpx import AsyncClient

from authproxy.digest import Digest
from authproxy.errors import Denied
from authproxy.oci.media_types import OCI_IMAGE, OCI_INDEX
from authproxy.permissions import Verb
from authproxy.proxy.permissions import EnforcePermissions
from authproxy.reference import Repository, Tag
from authproxy.storage import layout
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.memory import MemoryDriver
from tests.support.registry import (
    BASE_URL,
    code_of,
    connect,
    image,
    index,
    push_blob,
    push_image,
    push_manifest,
    sha256,
    sha512,
)

if TYPE_CHECKING:
    from authproxy.storage.driver import Driver

CONFIG = b"{}"
FIRST, SECOND = image(CONFIG), image(CONFIG, annotations={"second": "yes"})
MEDIA_TYPE = {"Content-Type": OCI_IMAGE}


@dataclass(frozen=True)
class Rules:
    """No `verb` on tags like `tags`, and no repository seen that is like `hidden`."""

    verb: Verb
    tags: str = "v*"
    hidden: str = ""

    def concern(self, verb: Verb) -> bool:
        return verb == self.verb

    def refusal(self, verb: Verb, tag: Tag | None = None) -> Denied | None:
        if verb == self.verb and (tag is None or fnmatchcase(tag, self.tags)):
            return Denied(f"alice may not {verb} {tag}")
        return None

    def shows_repository(self, name: str) -> bool:
        return not fnmatchcase(name, self.hidden)

    def shows_tag(self, tag: str) -> bool:
        return self.refusal("pull", Tag(tag)) is None

    def shows_every_tag(self) -> bool:
        return False


Connect: TypeAlias = Callable[..., AbstractAsyncContextManager[AsyncClient]]


@pytest.fixture(params=["filesystem", "memory", "upstream"])
async def connecting(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Connect]:
    """A client of one registry with some permissions, or None: our core, or another registry that knows of none."""
    driver: Driver = FilesystemDriver(tmp_path, threads=4) if request.param == "filesystem" else MemoryDriver()
    around = EnforcePermissions if request.param == "upstream" else None
    yield lambda permissions=None: connect(driver, permissions=permissions, around=around)
    await driver.close()


async def put(client: AsyncClient, reference: str, content: bytes) -> tuple[int, str | None]:
    answer = await client.put(f"/v2/team/app/manifests/{reference}", content=content, headers=MEDIA_TYPE)
    return answer.status_code, code_of(answer)


async def tagged(client: AsyncClient, tag: str) -> bytes:
    return (await client.get(f"/v2/team/app/manifests/{tag}")).content


async def test_a_tag_that_stays_is_set_once(connecting: Connect) -> None:
    async with connecting(Rules("overwrite")) as client:
        await push_blob(client, "team/app", CONFIG)
        assert await put(client, "v1", FIRST) == (201, None)
        assert await put(client, "v1", FIRST) == (201, None)  # the same again moves nothing
        assert await put(client, "v1", SECOND) == (403, "DENIED")
        assert await tagged(client, "v1") == FIRST
        assert await put(client, "latest", FIRST) == (201, None)
        assert await put(client, "latest", SECOND) == (201, None)
        assert await tagged(client, "latest") == SECOND


async def test_a_push_that_moves_a_tag_that_stays_leaves_nothing(connecting: Connect) -> None:
    async with connecting(Rules("overwrite")) as client:
        await push_blob(client, "team/app", CONFIG)
        await put(client, "v1", FIRST)
        assert await put(client, "v1", SECOND) == (403, "DENIED")
        assert (await client.get("/v2/team/app/tags/list")).json()["tags"] == ["v1"]
        assert (await client.get(f"/v2/team/app/manifests/{sha256(SECOND)}")).status_code == 404


async def test_tags_beside_a_digest_stay_too(connecting: Connect) -> None:
    async with connecting(Rules("overwrite")) as client:
        await push_blob(client, "team/app", CONFIG)
        await put(client, "v1", FIRST)
        digest = (await client.head("/v2/team/app/manifests/v1")).headers["docker-content-digest"]
        assert await put(client, f"{digest}?tag=v1&tag=v2", FIRST) == (201, None)
        assert await tagged(client, "v2") == FIRST


async def test_of_two_pushers_at_once_one_sets_the_tag(tmp_path: Path) -> None:
    manifests = [image(CONFIG, annotations={"n": str(number)}) for number in range(8)]
    async with connect(FilesystemDriver(tmp_path, threads=4), permissions=Rules("overwrite")) as client:
        await push_blob(client, "team/app", CONFIG)
        answers = await asyncio.gather(*(put(client, "v1", content) for content in manifests))
        assert sorted(answers) == [(201, None)] + [(403, "DENIED")] * 7
        assert await tagged(client, "v1") == manifests[answers.index((201, None))]


async def test_by_another_name_it_is_the_same_manifest(connecting: Connect) -> None:
    async with connecting(Rules("overwrite")) as client:
        await push_blob(client, "team/app", CONFIG)
        await put(client, "v1", FIRST)
        assert await put(client, f"{sha512(FIRST)}?tag=v1", FIRST) == (201, None)


async def test_a_manifest_is_not_deleted_from_under_a_tag_that_stays(connecting: Connect) -> None:
    async with connecting(Rules("delete")) as client:
        digest = await push_image(client, "team/app", "v1")
        free = await push_image(client, "team/app", "latest")
        answer = await client.delete(f"/v2/team/app/manifests/{digest}")
        assert (answer.status_code, code_of(answer)) == (403, "DENIED")
        assert (await client.get("/v2/team/app/manifests/v1")).status_code == 200
        assert (await client.delete(f"/v2/team/app/manifests/{free}")).status_code == 202


@pytest.mark.parametrize("name", [sha256, sha512])
async def test_a_blob_that_a_tag_needs_by_sha512_stays_by_each_of_its_names(
    connecting: Connect, name: Callable[[bytes], str]
) -> None:
    layer = b"a layer"
    content = image(CONFIG, [layer]).replace(sha256(layer).encode(), sha512(layer).encode())
    async with connecting(Rules("delete")) as client:
        await push_blob(client, "team/app", CONFIG)
        await push_blob(client, "team/app", layer, sha512(layer))
        assert await put(client, "v1", content) == (201, None)
        answer = await client.delete(f"/v2/team/app/blobs/{name(layer)}")
        assert (answer.status_code, code_of(answer)) == (403, "DENIED")
        assert (await client.get(f"/v2/team/app/blobs/{sha512(layer)}")).content == layer


async def test_nothing_that_a_tag_needs_is_deleted_if_the_tag_stays(connecting: Connect) -> None:
    layer, free = b"a layer", b"a blob that no tag needs"
    inner = image(CONFIG, [layer])
    async with connecting(Rules("delete")) as client:
        for content in (CONFIG, layer, free):
            await push_blob(client, "team/app", content)
        await push_manifest(client, "team/app", sha256(inner), inner)
        await push_manifest(client, "team/app", "v1", index([inner]), OCI_INDEX)
        await push_manifest(client, "team/app", "latest", FIRST)
        needed = {f"manifests/{sha256(inner)}", f"blobs/{sha256(CONFIG)}", f"blobs/{sha256(layer)}"}
        for path in sorted(needed):
            answer = await client.delete(f"/v2/team/app/{path}")
            assert (answer.status_code, code_of(answer)) == (403, "DENIED"), path
            assert (await client.get(f"/v2/team/app/{path}")).status_code == 200
        for path in (f"blobs/{sha256(free)}", f"manifests/{sha256(FIRST)}"):
            assert (await client.delete(f"/v2/team/app/{path}")).status_code == 202, path
    async with connecting(Rules("pull")) as client:  # without such a rule all of it can go: first what needs the rest
        for path in ("manifests/v1", f"manifests/{sha256(index([inner]))}", *sorted(needed, reverse=True)):
            assert (await client.delete(f"/v2/team/app/{path}")).status_code == 202, path


WAYS_TO_BEGIN = {
    "an upload": "/v2/team/app/blobs/uploads/",
    "a blob in one request": "/v2/team/app/blobs/uploads/?digest=sha256:" + "0" * 64,
    "a mount": f"/v2/team/app/blobs/uploads/?from=else&mount={'sha256:' + '0' * 64}",
}


@pytest.mark.parametrize("path", WAYS_TO_BEGIN.values(), ids=WAYS_TO_BEGIN)
async def test_a_repository_is_not_made(connecting: Connect, path: str) -> None:
    async with connecting(Rules("create")) as client:
        answer = await client.post(path)
        assert (answer.status_code, code_of(answer)) == (403, "DENIED")
    async with connecting() as anybody:
        await push_blob(anybody, "team/app", CONFIG)
    async with connecting(Rules("create")) as client:
        assert (await client.post("/v2/team/app/blobs/uploads/")).status_code == 202


async def test_a_manifest_makes_no_repository(connecting: Connect) -> None:
    async with connecting(Rules("create")) as client:
        assert await put(client, "v1", FIRST) == (403, "DENIED")


NAMES = [f"{folder}/{number:03}" for folder in ("hidden", "seen") for number in range(150)]
PAGES = [
    ("", NAMES[150:250], "last=seen%2F099&n=100"),
    ("?n=2", NAMES[150:152], "last=seen%2F001&n=2"),
    ("?n=2&last=seen/147", NAMES[298:], None),
    ("?n=2&last=seen/148", NAMES[299:], None),
    ("?n=0", [], None),
    ("?n=150", NAMES[150:], None),
]


@pytest.mark.parametrize("around", [None, EnforcePermissions], ids=["core", "upstream"])
@pytest.mark.parametrize(("query", "expected", "following"), PAGES, ids=[row[0] or "all" for row in PAGES])
async def test_the_catalog_names_what_may_be_seen(
    around: type[EnforcePermissions] | None, query: str, expected: list[str], following: str | None
) -> None:
    driver = MemoryDriver()
    await driver.write_all([[(layout.layer_link(Repository(name), Digest.of(b"")), b"") for name in NAMES]])
    async with connect(driver, permissions=Rules("create", hidden="hidden/*"), around=around) as client:
        answer = await client.get(f"/v2/_catalog{query}")
    assert answer.json() == {"repositories": expected}
    link = f'<{BASE_URL}/v2/_catalog?{following}>; rel="next"' if following else None
    assert answer.headers.get("link") == link


async def test_tags_that_may_not_be_pulled_are_not_listed(connecting: Connect) -> None:
    async with connecting() as anybody:
        for tag in ("a", "v1", "v2", "z"):
            await push_image(anybody, "team/app", tag)
    async with connecting(Rules("pull")) as client:
        assert (await client.get("/v2/team/app/tags/list")).json() == {"name": "team/app", "tags": ["a", "z"]}
        answer = await client.get("/v2/team/app/tags/list?n=1")
        assert answer.json()["tags"] == ["a"]
        assert answer.headers["link"] == f'<{BASE_URL}/v2/team/app/tags/list?last=a&n=1>; rel="next"'
        assert (await client.get("/v2/none/tags/list")).status_code == 404
    async with connecting(Rules("pull", tags="*")) as client:
        assert (await client.get("/v2/team/app/tags/list")).json()["tags"] == []


@pytest.mark.parametrize("tag", ["-x", "../../other/manifests/v1", "v1%20"])
async def test_a_malformed_tag_beside_a_digest_is_never_looked_for(connecting: Connect, tag: str) -> None:
    async with connecting(Rules("overwrite", tags="*")) as client:
        await push_blob(client, "team/app", CONFIG)
        assert await put(client, f"{Digest.of(FIRST)}?tag={tag}", FIRST) == (400, "TAG_INVALID")
