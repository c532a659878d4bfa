"""Mounts that leave it to the registry where the blob comes from (OCI Distribution 1.1, "Mounting a blob")."""

from dataclasses import replace

import pytest

from authproxy import asgi
from authproxy.digest import Digest, parse_digest
from authproxy.reference import Repository
from authproxy.registry import mount_sources
from authproxy.registry.core import Core
from authproxy.registry.links import blob_links
from authproxy.registry.mount_sources import MountSources
from authproxy.registry.options import Rules
from authproxy.route import Mount
from authproxy.storage import layout
from authproxy.storage.memory import MemoryDriver
from tests.support.registry import Call, Pipe, check, connect, push_blob, sha256, sha512

HELLO = sha256(b"hello")
DIGEST = Digest.of(b"hello")
MOUNT = f"/v2/new/blobs/uploads/?mount={HELLO}"
A, B = Repository("a"), Repository("b")


@pytest.mark.parametrize("digest", [HELLO, sha512(b"hello")], ids=["sha256", "sha512"])
async def test_an_open_registry_mounts_what_it_has_seen(digest: str) -> None:
    driver = MemoryDriver()
    path = f"/v2/new/blobs/uploads/?mount={digest}"
    async with connect(driver) as registry:
        await check(registry, Call("", "POST", path, 202))
        await push_blob(registry, "old", b"hello", digest)
        answers = {"Docker-Content-Digest": digest}
        answer = await check(registry, Call("", "POST", path, 201, answers=answers))
        assert answer.headers["location"].endswith(f"/v2/new/blobs/{digest}")
        await check(registry, Call("", "GET", f"/v2/new/blobs/{digest}", 200, content=b"hello"))


async def test_a_blob_that_is_gone_since_is_mounted_from_nowhere() -> None:
    driver = MemoryDriver()
    async with connect(driver) as registry:
        await push_blob(registry, "old", b"hello")
        await push_blob(registry, "older", b"hello")
        await check(registry, Call("", "DELETE", f"/v2/older/blobs/{HELLO}", 202))
        await check(registry, Call("", "POST", MOUNT, 201))  # the other one is still there
        for repository in ("old", "new"):
            await check(registry, Call("", "DELETE", f"/v2/{repository}/blobs/{HELLO}", 202))
        await check(registry, Call("", "POST", MOUNT, 202))
        await check(registry, Call("", "HEAD", f"/v2/new/blobs/{HELLO}", 404))


@pytest.mark.parametrize(
    ("sources", "status"), [((), 202), ((B,), 202), ((B, A), 201), ((A,), 201)], ids=["none", "other", "both", "one"]
)
async def test_only_the_sources_that_the_edge_allows_are_looked_at(
    sources: tuple[Repository, ...], status: int
) -> None:
    """CVE-2024-39897: whoever may pull no holder is answered as if there were none."""
    driver = MemoryDriver()
    core = Core(driver, Rules())
    pipe = Pipe("POST", f"/v2/a/blobs/uploads/?digest={HELLO}")
    pipe.feed(b"hello", more=False)
    await core(pipe.scope, pipe.receive, pipe.send)
    pipe = Pipe("POST", MOUNT)
    pipe.scope[asgi.ROUTE] = replace(pipe.scope[asgi.ROUTE], mount=Mount(DIGEST, sources))
    await core(pipe.scope, pipe.receive, pipe.send)
    assert pipe.sent[0]["status"] == status


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mount_sources, "MAX_BLOBS", 2)
    driver = MemoryDriver()
    sources = MountSources(driver)
    digests = [Digest.of(bytes([number])) for number in range(3)]
    for digest in digests:
        await driver.write(layout.blob(digest), b"x")
        await driver.write_all([list(blob_links(A, digest, digest).items())])
        sources.saw(digest, A)
    assert [await sources.find_stored(Mount(digest, None)) for digest in digests] == [None, *digests[1:]]
    for number in range(mount_sources.MAX_HOLDERS):
        sources.saw(digests[1], Repository(f"r{number}"))
    assert await sources.find_stored(Mount(digests[1], None)) is None  # those seen last do not hold it
    sources.saw(digests[1], A)
    assert await sources.find_stored(Mount(digests[1], None)) == digests[1]


async def test_a_link_without_content_is_no_holder() -> None:
    driver = MemoryDriver()
    await driver.write_all([list(blob_links(A, DIGEST, DIGEST).items())])
    assert await MountSources(driver).find_stored(Mount(parse_digest(HELLO), (A,))) is None
