"""One request hidden in another, sent as raw bytes: nobody behind the edge reads other requests than the edge did.

RFC 9112 §11.2. What makes it unsure where a request ends is refused, and the connection ended; what is sure is framed
anew. The upstream writes down what it is sent.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple
from urllib.parse import urlencode

import httpx
import pytest

from tests.support.edge import Edge, Recorder, edge
from tests.support.peers import running_docker_registry
from tests.support.people import ALICE, BOB
from tests.support.registry import sha256
from tests.support.server import Server, running_server

HIDDEN = b"GET /v2/hidden/tags/list HTTP/1.1\r\nHost: reg:5000\r\n\r\n"
LINE = b"POST /v2/team/app/blobs/uploads/ HTTP/1.1\r\n"
HEAD = LINE + b"Host: reg:5000\r\n"
END = b"Connection: close\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n" + END


@pytest.fixture(scope="module")
def upstream() -> Iterator[Recorder]:
    with Recorder("Connection: close, X-Internal", "X-Internal: secret", "Keep-Alive: timeout=5") as recorder:
        yield recorder


@pytest.fixture(scope="module")
def server(upstream: Recorder) -> Iterator[Edge]:
    with edge(upstream.url) as running:
        yield running


class Refused(NamedTuple):
    what: str
    sent: bytes
    status: int = 400


def with_header(header: bytes) -> bytes:
    """A head with one more header, and a body that is as long as it may be taken for."""
    return HEAD + header + b"\r\nConnection: close\r\n\r\n"


REFUSED = [
    # Which of two lengths
    Refused("a length and chunks", with_header(b"Content-Length: 4\r\nTransfer-Encoding: chunked") + b"0\r\n\r\n"),
    Refused("chunks and a length", with_header(b"Transfer-Encoding: chunked\r\nContent-Length: 4") + b"0\r\n\r\n"),
    Refused("two lengths", with_header(b"Content-Length: 4\r\nContent-Length: 0")),
    Refused("the same length twice", with_header(b"Content-Length: 0\r\nContent-Length: 0")),
    Refused("a list of lengths", with_header(b"Content-Length: 0, 4")),
    Refused("a length with a sign", with_header(b"Content-Length: +0")),
    Refused("a negative length", with_header(b"Content-Length: -1")),
    Refused("a hexadecimal length", with_header(b"Content-Length: 0x4")),
    Refused("a length in two words", with_header(b"Content-Length: 0 4")),
    Refused("a length of nothing", with_header(b"Content-Length: ")),
    Refused("a length past counting", with_header(b"Content-Length: 18446744073709551617")),
    # Codings that some take for chunks
    Refused("no coding that is known", with_header(b"Transfer-Encoding: xchunked"), 501),
    Refused("another coding before", with_header(b"Transfer-Encoding: gzip, chunked"), 501),
    Refused("another coding behind", with_header(b"Transfer-Encoding: chunked, identity")),
    Refused("chunks twice", with_header(b"Transfer-Encoding: chunked, chunked")),
    Refused("two codings", with_header(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity")),
    Refused(
        "two codings the other way", with_header(b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"), 501
    ),
    Refused("a coding in quotes", with_header(b'Transfer-Encoding: "chunked"'), 501),
    Refused("a vertical tab behind", with_header(b"Transfer-Encoding: chunked\x0b")),
    Refused("a vertical tab before", with_header(b"Transfer-Encoding: \x0bchunked")),
    Refused("a space before the colon", with_header(b"Transfer-Encoding : chunked")),
    Refused("a tab before the colon", with_header(b"Content-Length\t: 4")),
    Refused("a no-break space before", with_header(b"Transfer-Encoding: \xa0chunked"), 501),
    Refused("a no-break space before the colon", with_header(b"Transfer-Encoding\xa0: chunked")),
    Refused("no coding at all", with_header(b"Transfer-Encoding: identity"), 501),
    Refused("an empty coding", with_header(b"Transfer-Encoding: ")),
    Refused("chunks with a parameter", with_header(b"Transfer-Encoding: chunked;a=b"), 501),
    Refused("a length in digits that are none of ASCII", with_header(b"Content-Length: \xb9")),
    Refused("a length with a point", with_header(b"Content-Length: 4.0")),
    Refused("a coding of HTTP/1.0", CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n"),
    # Lines that some see and others don't
    Refused("a header over two lines", with_header(b"X: a\r\n Transfer-Encoding: chunked")),
    Refused("a line that begins with a tab", with_header(b"X: a\r\n\tb")),
    Refused("the first header indented", LINE + b" Host: reg:5000\r\nHost: reg:5000\r\n" + END),
    Refused("a bare line feed", with_header(b"X: a\nContent-Length: 4")),
    Refused("a bare carriage return", with_header(b"X: a\rContent-Length: 4")),
    Refused("line feeds alone", LINE.replace(b"\r\n", b"\n") + b"Host: reg:5000\n\n"),
    Refused("a NUL in a value", with_header(b"X: a\0b")),
    Refused("a NUL in a name", with_header(b"X\0: a")),
    Refused("a header without a colon", with_header(b"Transfer-Encoding")),
    Refused("a header without a name", with_header(b": a")),
    Refused("a space in a name", with_header(b"Content Length: 4")),
    # Hosts
    Refused("no Host", LINE + END),
    Refused("two Hosts", with_header(b"Host: evil")),
    Refused("the same Host twice", with_header(b"Host: reg:5000")),
    Refused("a Host that is none", LINE + b"Host: a b\r\n" + END),
    Refused("a Host with a path", LINE + b"Host: reg/v2\r\n" + END),
    Refused("a Host with a user", LINE + b"Host: user@reg\r\n" + END),
    Refused("two Hosts in one", LINE + b"Host: reg, evil\r\n" + END),
    # Targets
    Refused("a space in the target", HEAD.replace(b"/uploads/", b"/uploads/ x") + END),
    Refused("a tab for a space", HEAD.replace(b" HTTP", b"\tHTTP") + END),
    Refused("a tunnel", HEAD.replace(b"POST /v2/team/app/blobs/uploads/", b"CONNECT reg:443") + END),
    Refused("no version", b"GET /v2/\r\n\r\n"),
    Refused("a tunnel with a body", CHUNKED.replace(b"POST /v2/team/app/blobs/uploads/", b"CONNECT reg:443")),
    Refused("a version that is none", HEAD.replace(b"HTTP/1.1", b"HTTP/1.2") + END),
    Refused("a version in lower case", HEAD.replace(b"HTTP/1.1", b"http/1.1") + END),
    Refused("HTTP/2 by prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Refused("a space behind the version", HEAD.replace(b"HTTP/1.1", b"HTTP/1.1 ") + END),
    Refused("a method with a NUL", HEAD.replace(b"POST", b"PO\0T") + END),
    Refused("another protocol", HEAD.replace(b"HTTP/1.1", b"HTTP/2.0") + END, 505),
]
CHUNKS = [
    Refused("no number", CHUNKED + b"z\r\n\r\n0\r\n\r\n"),
    Refused("a sign", CHUNKED + b"+1\r\na\r\n0\r\n\r\n"),
    Refused("a prefix", CHUNKED + b"0x1\r\na\r\n0\r\n\r\n"),
    Refused("an underscore", CHUNKED + b"1_0\r\na\r\n0\r\n\r\n"),
    Refused("a space before", CHUNKED + b" 1\r\na\r\n0\r\n\r\n"),
    Refused("a space behind", CHUNKED + b"1 \r\na\r\n0\r\n\r\n"),
    Refused("past counting", CHUNKED + b"f" * 17 + b"\r\na\r\n0\r\n\r\n"),
    Refused("longer than it says", CHUNKED + b"1\r\nab\r\n0\r\n\r\n"),
    Refused("a bare line feed behind the size", CHUNKED + b"1\na\r\n0\r\n\r\n"),
    Refused("a bare line feed in an extension", CHUNKED + b"1;a\nb\r\na\r\n0\r\n\r\n"),
    Refused("a bare carriage return in an extension", CHUNKED + b"1;a\rb\r\na\r\n0\r\n\r\n"),
    Refused("a NUL in an extension", CHUNKED + b"1;\0\r\na\r\n0\r\n\r\n"),
    Refused("a line break in the quotes of an extension", CHUNKED + b'1;a="\r\n"\r\na\r\n0\r\n\r\n'),
    Refused("shorter than it says", CHUNKED + b"3\r\na\r\n0\r\n\r\n"),
    Refused("no size", CHUNKED + b"\r\na\r\n0\r\n\r\n"),
    Refused("digits that are none of ASCII", CHUNKED + b"\xb9\r\na\r\n0\r\n\r\n"),
    Refused("line feeds behind the data", CHUNKED + b"1\r\na\n0\n\n"),
    Refused("a length in the trailer", CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n"),
    Refused("a trailer without a colon", CHUNKED + b"0\r\nGET / HTTP/1.1\r\n\r\n"),
]


@pytest.mark.parametrize("refused", REFUSED + CHUNKS, ids=[row.what for row in REFUSED + CHUNKS])
def test_what_ends_nobody_knows_where_is_refused(server: Edge, upstream: Recorder, refused: Refused) -> None:
    asked = len(upstream.heads)
    answer = server.ask(refused.sent + HIDDEN)
    assert [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer)] == [refused.status], answer
    assert len(upstream.heads) == asked


class Framed(NamedTuple):
    """A request that is sure, with the headers and the body that the upstream gets."""

    what: str
    sent: bytes
    lengths: list[str]
    codings: list[str]
    body: bytes


def anew(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


LENGTH = b"Content-Length: %d\r\n" % len(HIDDEN)
SIZE = b"%x" % len(HIDDEN)
FRAMED = [
    Framed("a request as the body", HEAD + LENGTH + END + HIDDEN, [str(len(HIDDEN))], [], HIDDEN),
    Framed("a request as a chunk", CHUNKED + anew(HIDDEN), [], ["chunked"], anew(HIDDEN)),
    Framed("in capitals", CHUNKED.replace(b": chunked", b":\tCHUNKED ") + anew(b"a"), [], ["chunked"], anew(b"a")),
    Framed("nothing", CHUNKED + b"0\r\n\r\n", [], ["chunked"], b"0\r\n\r\n"),
    Framed(
        "extensions of chunks",
        CHUNKED + SIZE + b';a=b;c="d"\r\n' + HIDDEN + b"\r\n0;e\r\n\r\n",
        [],
        ["chunked"],
        anew(HIDDEN),
    ),
    Framed("sizes with noughts", CHUNKED + b"0001\r\na\r\n000\r\n\r\n", [], ["chunked"], anew(b"a")),
    Framed(
        "trailers",
        CHUNKED + b"1\r\na\r\n0\r\nHost: evil\r\nAuthorization: x\r\n\r\n",
        [],
        ["chunked"],
        anew(b"a"),
    ),
    Framed(
        "the length named in Connection",
        HEAD + LENGTH + b"Connection: close, content-length\r\n\r\n" + HIDDEN,
        [str(len(HIDDEN))],
        [],
        HIDDEN,
    ),
    Framed(
        "the coding named in Connection",
        HEAD + b"Transfer-Encoding: chunked\r\nConnection: close, transfer-encoding\r\n\r\n" + anew(HIDDEN),
        [],
        ["chunked"],
        anew(HIDDEN),
    ),
    Framed(
        "with underscores",
        HEAD + LENGTH + b"Transfer_Encoding: chunked\r\nContent_Length: 0\r\n" + END + HIDDEN,
        [str(len(HIDDEN))],
        [],
        HIDDEN,
    ),
    Framed(
        "an upgrade",
        HEAD + LENGTH + b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nConnection: close, Upgrade\r\n\r\n" + HIDDEN,
        [str(len(HIDDEN))],
        [],
        HIDDEN,
    ),
]


WEBSOCKET = b"Upgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nConnection: close, Upgrade\r\n\r\n"
FRAMED += [
    Framed("a websocket with a body", HEAD + LENGTH + WEBSOCKET + HIDDEN, [str(len(HIDDEN))], [], HIDDEN),
    Framed(
        "a websocket with chunks",
        HEAD + b"Transfer-Encoding: chunked\r\n" + WEBSOCKET + anew(HIDDEN),
        [],
        ["chunked"],
        anew(HIDDEN),
    ),
    Framed("an empty line before", b"\r\n" + CHUNKED + b"0\r\n\r\n", [], ["chunked"], b"0\r\n\r\n"),
]


@pytest.mark.parametrize("framed", FRAMED, ids=[row.what for row in FRAMED])
def test_what_is_sure_is_framed_anew(server: Edge, upstream: Recorder, framed: Framed) -> None:
    asked = len(upstream.heads)
    answer = server.ask(framed.sent)
    assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"200"], answer
    assert len(upstream.heads) == asked + 1
    assert (upstream.header("content-length"), upstream.header("transfer-encoding")) == (
        framed.lengths,
        framed.codings,
    )
    assert upstream.bodies[-1] == framed.body
    assert not re.search(rb"(?im)^(upgrade|http2-settings|trailer|authorization|\w+_\w+):|evil", upstream.heads[-1])


HOP_BY_HOP = (
    "Connection: close, X-Mine, x-OTHER",
    "X-Mine: 1",
    "X-Other: 1",
    "Keep-Alive: timeout=5",
    "Proxy-Authorization: Basic eDp5",
    "Proxy-Connection: keep-alive",
    "TE: trailers",
    "Trailer: X-Mine",
    "Upgrade: websocket",
    "X-Unknown: 1",
)


def test_only_headers_of_registries_pass(server: Edge, upstream: Recorder) -> None:
    lines = ("GET /v2/ HTTP/1.1", "Host: reg:5000", *HOP_BY_HOP, "Traceparent: 1", "", "")
    answer = server.ask("\r\n".join(lines).encode())
    named = {line.partition(":")[0].lower() for line in HOP_BY_HOP}
    sent = set(re.findall(r"(?m)^([^:\s]+): ", upstream.heads[-1].decode().lower()))
    assert sent & named == set()
    assert "traceparent" in sent
    assert b"x-internal" not in answer
    assert b"keep-alive" not in answer


@pytest.mark.parametrize("target", ["http://reg:5000/v2/", "HTTPS://reg:5000/v2/", "http://reg:5000/v2/#/v2/hidden"])
def test_of_a_url_the_path_is_asked_for_on_its_own_host(server: Edge, upstream: Recorder, target: str) -> None:
    """RFC 9112 §3.2.2: the host of the target counts, and what Host says does not."""
    server.ask(f"GET {target} HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n".encode())
    assert upstream.heads[-1].startswith(b"GET /v2/ HTTP/1.1\r\n")
    assert (upstream.header("host"), upstream.header("x-forwarded-host")) == (["reg:5000"], ["reg:5000"])


def test_a_url_with_a_user_is_refused(server: Edge) -> None:
    answer = server.ask(b"GET http://user@reg/v2/ HTTP/1.1\r\nHost: reg\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_of_four_hundred_requests_at_once_each_has_its_own_answer(server: Edge, upstream: Recorder) -> None:
    """Or is refused because too many wait: the connection ends after that."""
    asked = len(upstream.heads)
    targets = [b"/v2/team/app%d/tags/list" % number for number in range(400)]
    answer = server.ask(
        b"".join(b"GET %b HTTP/1.1\r\nHost: reg:5000\r\n\r\n" % target for target in targets) + HIDDEN[:1]
    )
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]
    assert set(statuses[:-1]) == {200}
    assert statuses[-1] == 429
    sent = [head.split(b" ")[1] for head in upstream.heads[asked:]]
    assert sent == targets[: len(sent)]
    assert len(sent) == len(statuses) - 1


# CNCF Distribution reads `mount` and `from` of a form in the body before those of the query. Go's mime.ParseMediaType
# trims and lowers by Unicode, so each of these is a form to it.
FORMS = [
    ("plain", b"application/x-www-form-urlencoded"),
    ("in capitals, with a parameter", b"Application/X-WWW-Form-URLEncoded; charset=utf-8"),
    ("behind a no-break space", b"\xc2\xa0application/x-www-form-urlencoded"),
    ("before a no-break space", b"application/x-www-form-urlencoded\xc2\xa0"),
    ("behind a next line", b"\xc2\x85application/x-www-form-urlencoded"),
    ("behind an em space", b"\xe2\x80\x83application/x-www-form-urlencoded"),
    ("a dotted capital I", b"appl\xc4\xb0cation/x-www-form-urlencoded"),
    ("a Kelvin sign", b"application/x-www-form-urlencoded; \xe2\x84\xaa=1"),
    ("a parameter of nothing", b"application/x-www-form-urlencoded ;"),
]
BOUNDARY = "x"
PARTS = [
    ("plain", b"multipart/form-data; boundary=x"),
    ("a dotted capital I", b"mult\xc4\xb0part/form-data; boundary=x"),
    ("behind a no-break space", b"\xc2\xa0multipart/form-data; boundary=x"),
    ("mixed", b"multipart/mixed; boundary=x"),
]
SECRET = b"what bob keeps for himself"


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real registry behind a front door with logins, where bob has a blob that is nobody else's."""
    folder = tmp_path_factory.mktemp("front")
    with ExitStack() as stack:
        registry = stack.enter_context(running_docker_registry(folder / "registry"))
        server = stack.enter_context(running_server(folder / "server", {"REGISTRY_UPSTREAM_URL": registry}))
        for person in (ALICE, BOB):
            server.add_user(person.name, person.password)
        with server.client_for(BOB.name, BOB.password, "repository:bob/private:pull,push") as bob:
            opened = bob.post("/v2/bob/private/blobs/uploads/")
            location = httpx.URL(opened.headers["location"]).copy_merge_params({"digest": sha256(SECRET)})
            assert bob.put(location, content=SECRET).status_code == 201
        yield server


def with_parts(fields: dict[str, str]) -> bytes:
    """RFC 7578."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return "".join([*parts, f"--{BOUNDARY}--\r\n"]).encode()


MOUNT = {"mount": sha256(SECRET), "from": "bob/private"}
BODIES = [
    *((f"form {what}", media_type, urlencode(MOUNT).encode()) for what, media_type in FORMS),
    *((f"parts {what}", media_type, with_parts(MOUNT)) for what, media_type in PARTS),
]


@pytest.mark.parametrize(("media_type", "body"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES])
def test_no_form_in_a_body_mounts_what_its_sender_may_not_pull(front: Server, media_type: bytes, body: bytes) -> None:
    with front.client_for(ALICE.name, ALICE.password, "repository:alice/app:pull,push") as alice:
        answer = alice.post("/v2/alice/app/blobs/uploads/", content=body, headers=[(b"content-type", media_type)])
        assert answer.status_code == 202
        assert alice.head(f"/v2/alice/app/blobs/{MOUNT['mount']}").status_code == 404


@pytest.mark.parametrize("media_type", [row[1] for row in BODIES], ids=[row[0] for row in BODIES])
def test_no_form_is_a_manifest(front: Server, media_type: bytes) -> None:
    """A form could name further tags (`tag`), past the rules about them."""
    with front.client_for(ALICE.name, ALICE.password, "repository:alice/app:pull,push") as alice:
        answer = alice.put("/v2/alice/app/manifests/v1", content=b"{}", headers=[(b"content-type", media_type)])
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "MANIFEST_INVALID")
        assert "Content-Type" in answer.json()["errors"][0]["message"]
