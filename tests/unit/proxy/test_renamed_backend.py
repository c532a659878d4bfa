"""A backend below other names: what it is asked, and what its answers say then."""

import json
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from authproxy import asgi
from authproxy.access import pull
from authproxy.errors import BlobUnknown, GatewayFailed, NameUnknown, RangeInvalid
from authproxy.proxy import renaming as renamed
from authproxy.proxy.renaming import RenamedBackend, Renaming
from tests.support.registry import BASE_URL, Pipe, sha256

RENAMING = Renaming("library/", "mirror/")
BLOB = sha256(b"a blob")


class Backend:
    """Answers everything alike and keeps the scope that came."""

    def __init__(self, *messages: asgi.Message) -> None:
        self.messages = messages
        self.scope: asgi.Scope = {}

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        del receive
        self.scope = scope
        for message in self.messages:
            await send(message)


def start(status: int, *headers: tuple[bytes, bytes]) -> asgi.Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(content: bytes, *, more: bool = False) -> asgi.Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


def request(method: str, path: str, headers: dict[str, str] | None = None) -> Pipe:
    pipe = Pipe(method, path, headers)
    pipe.scope["path"], _, query = path.partition("?")
    pipe.scope["query_string"] = query.encode()
    return pipe


async def ask(
    path: str, *messages: asgi.Message, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[Sequence[asgi.Message], asgi.Scope]:
    """What comes back, and what the backend was asked."""
    backend, pipe = Backend(*messages), request(method, path, headers)
    await RenamedBackend(backend, RENAMING)(pipe.scope, pipe.receive, pipe.send)
    return pipe.sent, backend.scope


PATHS = [
    ("GET", "tags/list"),
    ("GET", "manifests/v1"),
    ("GET", f"manifests/{BLOB}"),
    ("GET", f"blobs/{BLOB}"),
    ("GET", f"referrers/{BLOB}"),
    ("POST", "blobs/uploads/"),
    ("POST", "blobs/uploads"),
    ("PATCH", "blobs/uploads/a.b=c"),
]


@pytest.mark.parametrize(("method", "rest"), PATHS)
async def test_a_request_goes_in_by_the_inner_name(method: str, rest: str) -> None:
    path = f"/v2/library/nginx/{rest}?a=%2F"
    _, asked = await ask(path, method=method, headers={"Accept-Encoding": "gzip", "Accept": "*/*"})
    assert asked["path"].encode() == asked["raw_path"] == f"/v2/mirror/nginx/{rest}".encode()
    assert asked["query_string"] == b"a=%2F"
    assert asked["headers"] == [(b"accept", b"*/*")]
    route = asked[asgi.ROUTE]
    assert route.repository == "mirror/nginx"
    assert {access.name for access in route.needs} == {"mirror/nginx"}


async def test_who_noted_the_request_reads_the_clients_name_afterwards() -> None:
    pipe = request("GET", "/v2/library/nginx/tags/list")
    await RenamedBackend(Backend(), RENAMING)(pipe.scope, pipe.receive, pipe.send)
    assert pipe.scope["path"] == "/v2/library/nginx/tags/list"
    assert pipe.scope[asgi.ROUTE].needs == (pull("library/nginx"),)


async def test_a_name_that_is_none_there_is_unknown() -> None:
    with pytest.raises(NameUnknown) as caught:
        await ask("/v2/library/tags/list")
    assert caught.value.detail == {"name": "library"}


LISTING = b'{"name":"mirror/nginx","tags":["v1"]}'
JSON = (b"content-type", b"application/json; charset=utf-8")
LENGTH = (b"content-length", str(len(LISTING)).encode())


class Row(NamedTuple):
    """An answer of the backend, and its body as the client gets it; None: the same, untouched."""

    path: str
    answer: asgi.Message
    content: bytes
    expected: bytes | None = None


ROWS = {
    "a list": Row("tags/list", start(200, JSON, LENGTH), LISTING, b'{"name":"library/nginx","tags":["v1"]}'),
    "a list in other lines": Row(
        "tags/list",
        start(200, JSON),
        b'{"tags": ["name"],\n "name" : "mirror/nginx", "x": 1.0}',
        b'{"tags": ["name"],\n "name" : "library/nginx", "x": 1.0}',
    ),
    "an error": Row(
        "manifests/v1",
        start(404, JSON),
        json.dumps(
            {"errors": [{"code": "NAME_UNKNOWN", "message": "no mirror/nginx", "detail": {"name": "mirror/nginx"}}]}
        ).encode(),
        json.dumps(
            {"errors": [{"code": "NAME_UNKNOWN", "message": "no library/nginx", "detail": {"name": "library/nginx"}}]},
            separators=(",", ":"),
        ).encode(),
    ),
    "a manifest": Row("manifests/v1", start(200, JSON, LENGTH), LISTING),
    "a list that is compressed": Row("tags/list", start(200, JSON, (b"content-encoding", b"gzip")), LISTING),
    "an error that is a page": Row("manifests/v1", start(502, (b"content-type", b"text/html")), b"<p>mirror/nginx"),
    "an error that is no JSON": Row("manifests/v1", start(500, JSON), b"mirror/nginx"),
    "an error that is no object": Row("manifests/v1", start(500, JSON), b'["mirror/nginx"]'),
    "an error in other words": Row("manifests/v1", start(500, JSON), b'{ "errors":\t[] }'),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_body(row: Row) -> None:
    half = len(row.content) // 2
    pieces = body(row.content[:half], more=True), body(row.content[half:])
    sent, _ = await ask(f"/v2/library/nginx/{row.path}", row.answer, *pieces)
    first, *rest = sent
    content = b"".join(message["body"] for message in rest)
    assert content == (row.expected or row.content)
    lengths = [int(value) for name, value in first["headers"] if name == b"content-length"]
    assert lengths in ([], [len(content)])
    assert row.expected is None or lengths


async def test_what_is_long_passes_piece_by_piece() -> None:
    sent, _ = await ask(f"/v2/library/nginx/blobs/{BLOB}", start(200), body(b"a", more=True), body(b"b"))
    assert sent == [start(200), body(b"a", more=True), body(b"b")]


@pytest.mark.parametrize(
    ("status", "expected"), [(200, [JSON, (b"content-length", str(len(LISTING) + 1).encode())]), (404, [JSON])]
)
async def test_an_answer_to_head_has_no_length_that_would_be_wrong(
    status: int, expected: list[tuple[bytes, bytes]]
) -> None:
    sent, _ = await ask("/v2/library/nginx/tags/list", start(status, JSON, LENGTH), body(b""), method="HEAD")
    assert sent == [start(status, *expected), body(b"")]


async def test_a_list_without_end_is_not_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renamed, "MAX_BYTES", 10)
    with pytest.raises(GatewayFailed, match="10 bytes"):
        await ask("/v2/library/nginx/tags/list", start(200, JSON), body(b"12345678901", more=True))


async def test_addresses_are_the_clients_and_a_challenge_stays() -> None:
    challenge = (b"www-authenticate", b'Bearer realm="https://a/token",scope="repository:mirror/nginx:pull"')
    location, link = b"/v2/mirror/nginx/blobs/x", b'</v2/mirror/nginx/tags/list?last=a>; rel="next"'
    sent, _ = await ask(
        "/v2/library/nginx/tags/list", start(401, (b"location", location), (b"link", link), challenge), body(b"")
    )
    assert sent[0]["headers"] == [
        (b"location", location.replace(b"mirror", b"library")),
        (b"link", link.replace(b"mirror", b"library")),
        challenge,
    ]


async def test_an_error_that_is_raised_speaks_of_the_clients_name() -> None:
    async def out_of_order(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        del scope, receive, send
        location = f"{BASE_URL}/v2/mirror/nginx/blobs/uploads/1"
        raise RangeInvalid(
            "mirror/nginx has more", detail=["mirror/nginx"], headers=[("Location", location), ("A", "b")]
        )

    pipe = request("PATCH", "/v2/library/nginx/blobs/uploads/1")
    with pytest.raises(RangeInvalid, match=r"^library/nginx has more$") as caught:
        await RenamedBackend(out_of_order, RENAMING)(pipe.scope, pipe.receive, pipe.send)
    assert caught.value.detail == ["library/nginx"]
    assert caught.value.headers == (("Location", f"{BASE_URL}/v2/library/nginx/blobs/uploads/1"), ("A", "b"))


async def test_an_error_without_words_keeps_its_own() -> None:
    async def unknown(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        del scope, receive, send
        raise BlobUnknown

    pipe = request("GET", f"/v2/library/nginx/blobs/{BLOB}")
    with pytest.raises(BlobUnknown, match=BlobUnknown.message):
        await RenamedBackend(unknown, RENAMING)(pipe.scope, pipe.receive, pipe.send)
