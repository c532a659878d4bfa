"""Blobs: pulled, looked for, deleted. Parts of them and conditions are in test_ranges.py."""

import pytest
from httpx import AsyncClient

from authproxy.digest import parse_digest
from authproxy.storage import layout
from authproxy.storage.driver import PIECE_BYTES, Driver
from tests.support.registry import Call, check, name_of, push_blob, sha256, sha512, under

HELLO, LONG, ABSENT = sha256(b"hello"), sha512(b"hello"), sha256(b"absent")
BLOBS = "/v2/team/app/blobs/"
PATH = BLOBS + HELLO
EMPTY = BLOBS + sha256(b"")
WHOLE = {
    "Content-Length": "5",
    "Content-Type": "application/octet-stream",
    "Docker-Content-Digest": HELLO,
    "ETag": f'"{HELLO}"',
    "Accept-Ranges": "bytes",
    "Cache-Control": "max-age=31536000, immutable",
    "Content-Range": None,
}
NOTHING = {"Content-Length": "0", "Docker-Content-Digest": sha256(b"")}
NO_DIGEST = {"Docker-Content-Digest": None, "ETag": None, "Cache-Control": None}


def unknown(what: str, method: str, path: str) -> Call:
    return Call(what, method, path, 404, code="BLOB_UNKNOWN", answers=NO_DIGEST)


def malformed(what: str, digest: str, method: str = "GET") -> Call:
    return Call(what, method, BLOBS + digest, 400, code="DIGEST_INVALID", answers=NO_DIGEST)


CALLS = [
    *under(
        "OCI 1.1 Pulling blobs",
        Call("GET", "GET", PATH, 200, answers=WHOLE, content=b"hello"),
        Call("an escaped digest", "GET", PATH.replace(":", "%3A"), 200, answers=WHOLE, content=b"hello"),
        Call("a blob of no bytes", "GET", EMPTY, 200, answers=NOTHING, content=b""),
        unknown("unknown", "GET", BLOBS + ABSENT),
        unknown("held by another repository alone", "GET", f"/v2/other/blobs/{HELLO}"),
        unknown("in a repository that nobody has pushed to", "GET", f"/v2/team/none/blobs/{HELLO}"),
        Call(
            "a manifest is asked for as a manifest",
            "GET",
            f"/v2/team/app/manifests/{HELLO}",
            404,
            code="MANIFEST_UNKNOWN",
        ),
    ),
    *under(
        "OCI 1.1 Checking if content exists in the registry",
        Call("HEAD has the same headers and no body", "HEAD", PATH, 200, answers=WHOLE, content=b""),
        Call("HEAD of no bytes", "HEAD", EMPTY, 200, answers=NOTHING, content=b""),
        unknown("HEAD of an unknown one shows no digest", "HEAD", BLOBS + ABSENT),
    ),
    *under(
        "OCI 1.1 Deleting Blobs",
        Call("DELETE", "DELETE", PATH, 202, answers={"Content-Length": "0"}, content=b""),
        unknown("DELETE of an unknown one", "DELETE", BLOBS + ABSENT),
        unknown("DELETE in a repository that lacks it", "DELETE", f"/v2/other/blobs/{HELLO}"),
    ),
    *under(
        "OCI 1.1 Error Codes",
        malformed("no hex", "sha256:xyz"),
        malformed("a digit too few", HELLO[:-1]),
        malformed("a digit too many", f"{HELLO}0"),
        malformed("capitals", f"sha256:{HELLO[7:].upper()}"),
        malformed("no algorithm", HELLO[7:]),
        malformed("an algorithm that is not registered", f"md5:{'0' * 32}"),
        malformed("sha512 of the length of sha256", f"sha512:{HELLO[7:]}"),
        malformed("a tag", "v1"),
        malformed("HEAD", "sha256:xyz", "HEAD"),
        malformed("DELETE", "sha256:xyz", "DELETE"),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=name_of)
async def test_call(registry: AsyncClient, call: Call) -> None:
    for content in (b"hello", b""):
        await push_blob(registry, "team/app", content)
    await check(registry, call)


@pytest.mark.section("OCI 1.1 Deleting Blobs")
async def test_deleting_takes_a_blob_from_one_repository_at_once(registry: AsyncClient) -> None:
    """CVE-2026-35172: also for those who have just read it."""
    for repository in ("a", "b"):
        await push_blob(registry, repository, b"hello")
        await check(registry, Call("", "GET", f"/v2/{repository}/blobs/{HELLO}", 200, content=b"hello"))
    await check(registry, Call("", "DELETE", f"/v2/a/blobs/{HELLO}", 202))
    for method in ("HEAD", "GET", "DELETE"):
        await check(registry, Call("gone", method, f"/v2/a/blobs/{HELLO}", 404, code="BLOB_UNKNOWN"))
    await check(registry, Call("still there", "GET", f"/v2/b/blobs/{HELLO}", 200, content=b"hello"))


@pytest.mark.section("OCI 1.1 Deleting Blobs")
async def test_a_deleted_blob_can_be_pushed_again(registry: AsyncClient) -> None:
    await push_blob(registry, "team/app", b"hello")
    await check(registry, Call("", "DELETE", PATH, 202))
    await push_blob(registry, "team/app", b"hello")
    await check(registry, Call("", "GET", PATH, 200, content=b"hello"))


@pytest.mark.section("OCI 1.1 Deleting Blobs")
async def test_deleting_is_unsupported_where_it_is_disabled(registry: AsyncClient, undeletable: AsyncClient) -> None:
    await push_blob(registry, "team/app", b"hello")
    for path in (PATH, BLOBS + ABSENT):
        await check(undeletable, Call("", "DELETE", path, 405, code="UNSUPPORTED", answers={"Allow": "GET, HEAD"}))
    await check(registry, Call("", "HEAD", PATH, 200))


@pytest.mark.section("OCI 1.1-dev Digests")
async def test_a_blob_pushed_by_sha512_has_two_names(registry: AsyncClient) -> None:
    await push_blob(registry, "team/app", b"hello", LONG)
    for name in (LONG, HELLO):
        back = {"Docker-Content-Digest": name, "ETag": f'"{name}"'}
        for method, content in (("GET", b"hello"), ("HEAD", b"")):
            await check(registry, Call("", method, BLOBS + name, 200, answers=back, content=content))


@pytest.mark.section("OCI 1.1-dev Digests")
@pytest.mark.parametrize("deleted", [LONG, HELLO], ids=["sha512", "sha256"])
async def test_deleting_by_one_name_deletes_the_other(registry: AsyncClient, deleted: str) -> None:
    await push_blob(registry, "team/app", b"hello", LONG)
    await check(registry, Call("", "DELETE", BLOBS + deleted, 202))
    for name in (LONG, HELLO):
        await check(registry, Call("", "HEAD", BLOBS + name, 404, code="BLOB_UNKNOWN"))


@pytest.mark.section("OCI 1.1 Pulling blobs")
@pytest.mark.parametrize("size", [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 7])
async def test_a_blob_of_many_pieces_comes_complete(registry: AsyncClient, size: int) -> None:
    content = (bytes(range(251)) * (size // 251 + 1))[:size]
    digest = await push_blob(registry, "team/app", content)
    await check(registry, Call("", "GET", BLOBS + digest, 200, answers={"Content-Length": str(size)}, content=content))


@pytest.mark.section("OCI 1.1 Pulling blobs")
async def test_a_link_without_content_is_no_blob(registry: AsyncClient, driver: Driver) -> None:
    await push_blob(registry, "team/app", b"hello")
    await driver.delete(layout.blob(parse_digest(HELLO)))
    for method in ("GET", "HEAD"):
        await check(registry, Call("", method, PATH, 404, code="BLOB_UNKNOWN"))
