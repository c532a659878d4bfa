"""Parts of a blob, and blobs that the client has already."""

import pytest
from httpx import AsyncClient

from authproxy.storage.driver import PIECE_BYTES
from tests.support.registry import Call, check, name_of, push_blob, sha256, sha512, under

HELLO, OTHER = sha256(b"hello"), sha256(b"other")
PATH = f"/v2/team/app/blobs/{HELLO}"
EMPTY = f"/v2/team/app/blobs/{sha256(b'')}"
COMMON = {
    "Content-Type": "application/octet-stream",
    "Docker-Content-Digest": HELLO,
    "ETag": f'"{HELLO}"',
    "Accept-Ranges": "bytes",
    "Cache-Control": "max-age=31536000, immutable",
}


def part(what: str, value: str, content: bytes, content_range: str, **conditions: str) -> Call:
    answers = COMMON | {"Content-Range": content_range, "Content-Length": str(len(content))}
    headers = {"Range": value} | {name.replace("_", "-"): text for name, text in conditions.items()}
    return Call(what, "GET", PATH, 206, headers, answers=answers, content=content)


def refused(what: str, value: str) -> Call:
    answers = {"Content-Range": "bytes */5", "Docker-Content-Digest": None}
    return Call(what, "GET", PATH, 416, {"Range": value}, code="RANGE_INVALID", answers=answers)


def whole(what: str, **headers: str) -> Call:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    answers = COMMON | {"Content-Range": None, "Content-Length": "5"}
    return Call(what, "GET", PATH, 200, named, answers=answers, content=b"hello")


def unchanged(what: str, value: str, method: str = "GET", **headers: str) -> Call:
    answers = {"ETag": f'"{HELLO}"', "Docker-Content-Digest": HELLO, "Content-Length": None}
    return Call(what, method, PATH, 304, {"If-None-Match": value, **headers}, answers=answers, content=b"")


def failed(what: str, value: str, method: str = "GET", **headers: str) -> Call:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Call(
        what, method, PATH, 412, {"If-Match": value, **named}, code="UNSUPPORTED", answers={"ETag": f'"{HELLO}"'}
    )


CALLS = [
    *under(
        "RFC 9110 14.1.2",
        part("first and last", "bytes=1-3", b"ell", "bytes 1-3/5"),
        part("one byte", "bytes=0-0", b"h", "bytes 0-0/5"),
        part("open", "bytes=2-", b"llo", "bytes 2-4/5"),
        part("everything", "bytes=0-", b"hello", "bytes 0-4/5"),
        part("the last byte", "bytes=4-4", b"o", "bytes 4-4/5"),
        part("suffix", "bytes=-2", b"lo", "bytes 3-4/5"),
        part("a suffix longer than the blob", "bytes=-500", b"hello", "bytes 0-4/5"),
        part("an end past the blob is cut off", "bytes=3-9999", b"lo", "bytes 3-4/5"),
        part("the unit in capitals", "Bytes=1-3", b"ell", "bytes 1-3/5"),
    ),
    *under(
        "RFC 9110 14.2",
        *(
            Call(
                f"HEAD with {value} is about the whole",
                "HEAD",
                PATH,
                200,
                {"Range": value} | more,
                answers={"Content-Length": "5", "Content-Range": None, "Accept-Ranges": "bytes"},
                content=b"",
            )
            for value, more in (
                ("bytes=1-3", {}),
                ("bytes=1-3", {"If-Range": f'"{HELLO}"'}),
                ("bytes=9-", {}),
                ("bytes=3-1", {}),
                ("x", {}),
            )
        ),
        whole("another unit is left out", Range="lines=0-1"),
        whole("several at once are answered with the whole", Range="bytes=0-1,3-4"),
    ),
    *under(
        "RFC 9110 15.5.17",
        refused("inverted", "bytes=4-0"),
        refused("from behind the end", "bytes=5-"),
        refused("far behind the end", f"bytes={'9' * 40}-"),
        refused("a suffix of nothing", "bytes=-0"),
        refused("no number", "bytes=a-b"),
        refused("nothing", "bytes=-"),
        Call("of a blob of no bytes", "GET", EMPTY, 416, {"Range": "bytes=0-"}, code="RANGE_INVALID"),
    ),
    *under(
        "RFC 9110 13.1.5",
        part("If-Range of this content", "bytes=0-1", b"he", "bytes 0-1/5", If_Range=f'"{HELLO}"'),
        whole("If-Range of other content", Range="bytes=0-1", If_Range=f'"{OTHER}"'),
        whole("If-Range compares strongly", Range="bytes=0-1", If_Range=f'W/"{HELLO}"'),
        whole("If-Range of a date", Range="bytes=0-1", If_Range="Sat, 29 Oct 1994 19:43:31 GMT"),
    ),
    *under(
        "RFC 9110 13.1.1",
        failed("If-Match of other content", f'"{OTHER}"'),
        failed("HEAD", f'"{OTHER}"', "HEAD"),
        failed("it compares strongly", f'W/"{HELLO}"'),
        failed("it comes before If-None-Match", f'"{OTHER}"', If_None_Match=f'"{HELLO}"'),
        whole("If-Match of this content", If_Match=f'"{HELLO}"'),
        whole("If-Match in a list", If_Match=f'"{OTHER}", "{HELLO}"'),
        whole("If-Match of anything", If_Match="*"),
        Call("what is not there", "GET", PATH.replace(HELLO, OTHER), 404, {"If-Match": "*"}, code="BLOB_UNKNOWN"),
    ),
    *under(
        "RFC 9110 13.1.2",
        unchanged("If-None-Match", f'"{HELLO}"'),
        unchanged("HEAD", f'"{HELLO}"', "HEAD"),
        unchanged("weak, in a list", f'"a", W/"{HELLO}"'),
        unchanged("anything", "*"),
        unchanged("it wins over a range", f'"{HELLO}"', Range="bytes=0-1"),
        whole("of other content", If_None_Match=f'"{OTHER}"'),
        Call(
            "of what is not there", "GET", PATH.replace(HELLO, OTHER), 404, {"If-None-Match": "*"}, code="BLOB_UNKNOWN"
        ),
    ),
]


@pytest.mark.leaves_the_same
@pytest.mark.parametrize("call", CALLS, ids=name_of)
async def test_call(registry: AsyncClient, call: Call) -> None:
    for content in (b"hello", b""):
        await push_blob(registry, "team/app", content)
    await check(registry, call)


@pytest.mark.section("RFC 9110 14.2")
@pytest.mark.parametrize(
    ("first", "last"),
    [(0, 3 * PIECE_BYTES), (1, PIECE_BYTES + 1), (PIECE_BYTES, 2 * PIECE_BYTES - 1)],
    ids=["nearly the whole", "over an edge", "a piece"],
)
async def test_a_part_of_many_pieces(registry: AsyncClient, first: int, last: int) -> None:
    content = bytes(range(251)) * (3 * PIECE_BYTES // 251 + 1)
    digest = await push_blob(registry, "team/app", content)
    path, value = f"/v2/team/app/blobs/{digest}", {"Range": f"bytes={first}-{last}"}
    answers = {
        "Content-Length": str(last - first + 1),
        "Content-Range": f"bytes {first}-{last}/{len(content)}",
    }
    await check(registry, Call("", "GET", path, 206, value, answers=answers, content=content[first : last + 1]))


@pytest.mark.section("RFC 9110 14.2")
async def test_a_part_by_the_sha512_of_the_whole(registry: AsyncClient) -> None:
    digest = await push_blob(registry, "team/app", b"hello", sha512(b"hello"))
    answers = {"Docker-Content-Digest": digest, "Content-Range": "bytes 1-2/5"}
    path = f"/v2/team/app/blobs/{digest}"
    await check(registry, Call("", "GET", path, 206, {"Range": "bytes=1-2"}, answers=answers, content=b"el"))
