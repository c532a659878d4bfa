"""Blobs as PROTOCOL and OCI Distribution 1.1 have them: rows, each named by the section or the rule."""

from operator import attrgetter

import httpx
import pytest

from authproxy.digest import parse_digest
from authproxy.storage import layout
from authproxy.storage.driver import PIECE_BYTES, Driver
from tests.support.registry import Call, check, push_blob, sha256, sha512

HELLO = sha256(b"hello")
PATH = f"/v2/team/app/blobs/{HELLO}"
EMPTY = f"/v2/team/app/blobs/{sha256(b'')}"
ABSENT = sha256(b"absent")
WHOLE = {
    "Content-Length": "5",
    "Content-Type": "application/octet-stream",
    "Docker-Content-Digest": HELLO,
    "ETag": f'"{HELLO}"',
    "Accept-Ranges": "bytes",
    "Cache-Control": "max-age=31536000, immutable",
    "Content-Range": None,
}


def part(content_range: str, length: int) -> dict[str, str | None]:
    return WHOLE | {"Content-Range": content_range, "Content-Length": str(length)}


def ranged(what: str, value: str, content: bytes, content_range: str) -> Call:
    return Call(what, "GET", PATH, 206, {"Range": value}, answers=part(content_range, len(content)), content=content)


def refused(what: str, value: str) -> Call:
    answers = {"Content-Range": "bytes */5"}
    return Call(what, "GET", PATH, 416, {"Range": value}, code="RANGE_INVALID", answers=answers)


def ignored(what: str, headers: dict[str, str]) -> Call:
    return Call(what, "GET", PATH, 200, headers, answers=WHOLE, content=b"hello")


def unchanged(what: str, method: str, value: str) -> Call:
    return Call(
        what,
        method,
        PATH,
        304,
        {"If-None-Match": value},
        answers={"ETag": f'"{HELLO}"', "Docker-Content-Digest": HELLO},
    )


CALLS = [
    Call("pulling blobs: GET", "GET", PATH, 200, answers=WHOLE, content=b"hello"),
    Call("pulling blobs: HEAD has the same headers and no body", "HEAD", PATH, 200, answers=WHOLE, content=b""),
    Call("pulling blobs: a blob of no bytes", "GET", EMPTY, 200, answers={"Content-Length": "0"}, content=b""),
    Call("pulling blobs: HEAD of no bytes", "HEAD", EMPTY, 200, answers={"Content-Length": "0"}),
    Call("pulling blobs: unknown", "GET", f"/v2/team/app/blobs/{ABSENT}", 404, code="BLOB_UNKNOWN"),
    Call(
        "pulling blobs: unknown HEAD shows no digest",
        "HEAD",
        f"/v2/team/app/blobs/{ABSENT}",
        404,
        code="BLOB_UNKNOWN",
        answers={"Docker-Content-Digest": None, "ETag": None},
    ),
    Call("pulling blobs: held by another repository", "GET", f"/v2/other/blobs/{HELLO}", 404, code="BLOB_UNKNOWN"),
    Call("pulling blobs: malformed digest", "GET", "/v2/team/app/blobs/sha256:xyz", 400, code="DIGEST_INVALID"),
    ranged("range: first and last", "bytes=1-3", b"ell", "bytes 1-3/5"),
    ranged("range: one byte", "bytes=0-0", b"h", "bytes 0-0/5"),
    ranged("range: open", "bytes=2-", b"llo", "bytes 2-4/5"),
    ranged("range: everything", "bytes=0-", b"hello", "bytes 0-4/5"),
    ranged("range: suffix", "bytes=-2", b"lo", "bytes 3-4/5"),
    ranged("range: a suffix longer than the blob", "bytes=-500", b"hello", "bytes 0-4/5"),
    ranged("range: an end past the blob is cut off", "bytes=3-9999", b"lo", "bytes 3-4/5"),
    ranged("range: the unit in capitals", "Bytes=1-3", b"ell", "bytes 1-3/5"),
    Call("range: HEAD", "HEAD", PATH, 206, {"Range": "bytes=1-3"}, answers=part("bytes 1-3/5", 3), content=b""),
    refused("range: inverted", "bytes=4-0"),
    refused("range: from behind the end", "bytes=5-"),
    refused("range: a suffix of nothing", "bytes=-0"),
    refused("range: no number", "bytes=a-b"),
    refused("range: nothing", "bytes=-"),
    Call("range: of nothing", "GET", EMPTY, 416, {"Range": "bytes=0-"}, code="RANGE_INVALID"),
    ignored("range: another unit is left out", {"Range": "lines=0-1"}),
    ignored("range: several are answered with the whole", {"Range": "bytes=0-1,3-4"}),
    ignored("range: If-Range of other content", {"Range": "bytes=0-1", "If-Range": '"other"'}),
    Call(
        "range: If-Range of this content",
        "GET",
        PATH,
        206,
        {"Range": "bytes=0-1", "If-Range": f'"{HELLO}"'},
        content=b"he",
    ),
    unchanged("If-None-Match", "GET", f'"{HELLO}"'),
    unchanged("If-None-Match: HEAD", "HEAD", f'"{HELLO}"'),
    unchanged("If-None-Match: weak, in a list", "GET", f'"a", W/"{HELLO}"'),
    unchanged("If-None-Match: anything", "GET", "*"),
    ignored("If-None-Match: of other content", {"If-None-Match": f'"{ABSENT}"'}),
]


@pytest.mark.parametrize("call", CALLS, ids=attrgetter("what"))
async def test_call(registry: httpx.AsyncClient, call: Call) -> None:
    for content in (b"hello", b""):
        await push_blob(registry, "team/app", content)
    await check(registry, call)


@pytest.mark.parametrize(
    ("first", "last"),
    [(0, 3 * PIECE_BYTES), (1, PIECE_BYTES + 1), (PIECE_BYTES, 2 * PIECE_BYTES - 1)],
    ids=["the whole", "over an edge", "a piece"],
)
async def test_a_blob_of_many_pieces_comes_complete(registry: httpx.AsyncClient, first: int, last: int) -> None:
    content = bytes(range(251)) * (3 * PIECE_BYTES // 251 + 1)
    digest = await push_blob(registry, "team/app", content)
    answer = await registry.get(f"/v2/team/app/blobs/{digest}", headers={"Range": f"bytes={first}-{last}"})
    assert answer.status_code == 206
    assert answer.content == content[first : last + 1]
    assert answer.headers["content-length"] == str(len(answer.content))


async def test_deleting_takes_a_blob_from_one_repository_at_once(registry: httpx.AsyncClient) -> None:
    for repository in ("a", "b"):
        await push_blob(registry, repository, b"hello")
    for status, code in ((202, None), (404, "BLOB_UNKNOWN")):
        await check(registry, Call("", "DELETE", f"/v2/a/blobs/{HELLO}", status, code=code))
    await check(registry, Call("gone", "HEAD", f"/v2/a/blobs/{HELLO}", 404, code="BLOB_UNKNOWN"))
    await check(registry, Call("still there", "GET", f"/v2/b/blobs/{HELLO}", 200, content=b"hello"))


async def test_deleting_is_unsupported_where_it_is_disabled(
    registry: httpx.AsyncClient, undeletable: httpx.AsyncClient
) -> None:
    await push_blob(registry, "team/app", b"hello")
    await check(undeletable, Call("", "DELETE", PATH, 405, code="UNSUPPORTED", answers={"Allow": "GET, HEAD"}))
    await check(registry, Call("", "HEAD", PATH, 200))


async def test_a_blob_has_two_names_where_it_was_pushed_by_sha512(registry: httpx.AsyncClient) -> None:
    digest = await push_blob(registry, "team/app", b"hello", sha512(b"hello"))
    for name in (digest, HELLO):
        path = f"/v2/team/app/blobs/{name}"
        await check(registry, Call("", "GET", path, 200, answers={"Docker-Content-Digest": name}, content=b"hello"))


@pytest.mark.parametrize("deleted", [sha512(b"hello"), HELLO], ids=["sha512", "sha256"])
async def test_deleting_by_one_name_deletes_the_other(registry: httpx.AsyncClient, deleted: str) -> None:
    await push_blob(registry, "team/app", b"hello", sha512(b"hello"))
    await check(registry, Call("", "DELETE", f"/v2/team/app/blobs/{deleted}", 202))
    for name in (sha512(b"hello"), HELLO):
        await check(registry, Call("", "HEAD", f"/v2/team/app/blobs/{name}", 404, code="BLOB_UNKNOWN"))


async def test_a_link_without_content_is_no_blob(registry: httpx.AsyncClient, driver: Driver) -> None:
    await push_blob(registry, "team/app", b"hello")
    await driver.delete(layout.blob(parse_digest(HELLO)))
    for method in ("GET", "HEAD"):
        await check(registry, Call("", method, PATH, 404, code="BLOB_UNKNOWN"))
