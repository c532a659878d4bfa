"""A backend with other repository names: the names, what the backend is asked, and what its responses say then."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy import asgi
from authproxy.access import pull
from authproxy.client_view import ClientView
from authproxy.errors import BlobUnknown, GatewayFailed, NameInvalid, NameUnknown, RangeInvalid
from authproxy.proxy import renaming as renamed
from authproxy.proxy.renaming import Names, RenamedBackend, Renaming
from authproxy.reference import Repository
from tests.support.registry import BASE_URL, Pipe, sha256

HERE = "https://front.example:5000"
CLIENT_VIEW = ClientView("https", "front.example:5000", "192.0.2.7")
NAMES = Names(Repository("library/nginx"), Repository("mirror/nginx"))
SHORT = Names(Repository("library/nginx"), Repository("nginx"))

WAYS = [
    (Renaming("library/", "mirror/"), "library/nginx", "mirror/nginx"),
    (Renaming("library/"), "library/nginx", "nginx"),
    (Renaming(add="mirror/"), "nginx", "mirror/nginx"),
    (Renaming("a/b/", "a/"), "a/b/b/c", "a/b/c"),
    (Renaming(), "nginx", "nginx"),
]


@pytest.mark.parametrize(("renaming", "outer", "inner"), WAYS)
def test_a_name_goes_in_and_comes_back(renaming: Renaming, outer: str, inner: str) -> None:
    assert renaming.inward(outer) == inner
    assert renaming.outward(inner) == outer


@given(
    st.sampled_from([renaming for renaming, _, _ in WAYS]),
    st.from_regex(r"[a-c]{1,2}(/[a-c]{1,2}){0,3}", fullmatch=True),
)
def test_no_two_names_are_one_behind_us(renaming: Renaming, name: str) -> None:
    inner = renaming.inward(name)
    assert inner is None or renaming.outward(inner) == name
    outer = renaming.outward(name)
    assert outer is None or renaming.inward(outer) == name


def test_what_does_not_begin_so_has_no_other_name() -> None:
    assert Renaming("library/").inward("library") is None
    assert Renaming(add="mirror/").outward("mirror") is None


def test_a_name_that_would_be_too_long_is_refused_by_the_clients_name() -> None:
    name = "/".join(["long"] * 50)
    with pytest.raises(NameInvalid, match="258 characters") as caught:
        Renaming(add="mirror/x/").inward(name)
    assert caught.value.detail == {"name": name}
    assert Renaming("library/").outward(name + "/abc/de") is None


class Address(NamedTuple):
    value: str
    expected: str
    view: ClientView = CLIENT_VIEW


ADDRESSES = {
    "whole": Address(f"{HERE}/v2/mirror/nginx/blobs/x?a=b%2F", f"{HERE}/v2/library/nginx/blobs/x?a=b%2F"),
    "a path": Address("/v2/mirror/nginx/tags/list?n=1", "/v2/library/nginx/tags/list?n=1"),
    "escaped": Address("/v2/mirror%2Fnginx/tags/list", "/v2/library/nginx/tags/list"),
    "below a prefix": Address(
        f"{HERE}/hub/v2/mirror/nginx/blobs/x",
        f"{HERE}/hub/v2/library/nginx/blobs/x",
        replace(CLIENT_VIEW, prefix="/hub"),
    ),
    "of somebody else": Address("https://s3.example/v2/mirror/nginx/x", "https://s3.example/v2/mirror/nginx/x"),
    "another repository": Address("/v2/mirror/nginx2/tags/list", "/v2/mirror/nginx2/tags/list"),
    "no address": Address("http://[", "http://["),
}


@pytest.mark.parametrize("row", ADDRESSES.values(), ids=ADDRESSES)
def test_address(row: Address) -> None:
    assert NAMES.readdress(row.value, row.view) == row.expected
    link = '<{}>; rel="next"'
    assert NAMES.readdress_links(link.format(row.value), row.view) == link.format(row.expected)


SAID = [
    (NAMES, {"name": "mirror/nginx"}, {"name": "library/nginx"}),
    (NAMES, ["no mirror/nginx, nor mirror/nginx:v1"], ["no library/nginx, nor library/nginx:v1"]),
    (NAMES, "a/mirror/nginx mirror/nginx/b mirror/nginx-c", "a/mirror/nginx mirror/nginx/b mirror/nginx-c"),
    (NAMES, {"mirror/nginx": [1, None, True]}, {"mirror/nginx": [1, None, True]}),
    (
        SHORT,
        {"name": "nginx", "message": "nginx knows no nginx"},
        {"name": "library/nginx", "message": "nginx knows no nginx"},
    ),
]


@pytest.mark.parametrize(("names", "said", "expected"), SAID)
def test_what_is_said_of_a_repository(names: Names, said: object, expected: object) -> None:
    assert names.rename_in(said) == expected


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
