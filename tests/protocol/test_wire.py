"""HTTP/1.1 as it stands on the wire: framing, bodies in pieces and cut short, and requests that are none.

Against a real server, over TLS and with tokens; each test has a repository of its own. All of it holds for our own
connections and for uvicorn's protocol class, which docs/decisions/0015 can fall back to, except for UVICORN_DIFFERS.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from authproxy.oci import media_types
from tests.support import on_uvicorn
from tests.support.registry import image, sha256
from tests.support.served import Nursery, Served
from tests.support.warm import AUTHPROXY
from tests.support.wire import ConnectionEnded, request
from tests.support.wire_client import Client, code_of

HELLO = sha256(b"hello")
BLOB = f"…/blobs/{HELLO}"
CHUNKED = "Transfer-Encoding: chunked"

OURS, UVICORNS = "ours", "uvicorn's"
PROGRAMS = {OURS: (AUTHPROXY,), UVICORNS: (sys.executable, "-P", str(Path(on_uvicorn.__file__)))}
NO_LIMIT, NO_HOST_RULE = "it limits neither head nor body", "it leaves `Host` to the application"
# What a fall-back gives up: the case, the status that answers it then, and why. It costs memory, bandwidth and
# strictness; accepted, because no case lets a second request hide in the first one.
UVICORN_DIFFERS = {
    "a trailer that would count": (416, "it adds trailers to the headers of the request that is being answered"),
    "a head without end": (401, NO_LIMIT),
    "a body without end": (413, NO_LIMIT),
    "no host": (200, NO_HOST_RULE),
    "two hosts": (200, NO_HOST_RULE),
    "the same host twice": (200, NO_HOST_RULE),
}


@pytest.fixture(scope="module", params=[OURS, UVICORNS])
def http(request: pytest.FixtureRequest) -> str:
    """Whose HTTP/1.1 it is."""
    return str(request.param)


@pytest.fixture(scope="module")
def server(http: str, nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One on each of the two for all tests of this file."""
    with nursery.server(tmp_path_factory.mktemp("wire") / "root", program=PROGRAMS[http]) as running:
        yield running


@pytest.fixture
def client(server: Served, request: pytest.FixtureRequest) -> Client:
    """A client of a repository that holds the blob b"hello" and, as v1, an image."""
    made = Client(server, f"wire/{abs(hash(request.node.name))}")
    config = image(b"hello")
    assert made.ask("POST", f"…/blobs/uploads/?digest={HELLO}", body=b"hello").status == 201
    assert made.ask("PUT", "…/manifests/v1", f"Content-Type: {media_types.OCI_IMAGE}", body=config).status == 201
    return made


WITHOUT_BODY = [
    ("HEAD", "/v2/", 200),
    ("HEAD", "/v2/_catalog", 200),
    ("HEAD", "…/tags/list", 200),
    ("HEAD", "…/manifests/v1", 200),
    ("HEAD", "…/manifests/v2", 404),
    ("HEAD", "…/manifests/-", 404),
    ("HEAD", BLOB, 200),
    ("HEAD", f"…/blobs/{sha256(b'x')}", 404),
    ("HEAD", f"…/referrers/{HELLO}", 200),
    ("HEAD", "/v2/Nothing", 404),
    ("OPTIONS", "/v2/", 204),
]


@pytest.mark.section("RFC 9112 6.3")
@pytest.mark.parametrize(("method", "target", "status"), WITHOUT_BODY)
def test_an_answer_without_a_body_is_followed_by_the_next_answer(
    client: Client, method: str, target: str, status: int
) -> None:
    with client.open() as wire:
        wire.send(client.request(method, target), client.request("GET", BLOB))
        assert wire.read(method).status == status
        assert wire.read().body == b"hello"


@pytest.mark.section("RFC 9110 9.3.2")
@pytest.mark.parametrize("target", ["/v2/", "/v2/_catalog", "…/tags/list", "…/manifests/v1", BLOB, "…/manifests/v2"])
def test_head_has_the_headers_of_get(client: Client, target: str) -> None:
    got, head = client.ask("GET", target), client.ask("HEAD", target)
    assert (head.status, head.body) == (got.status, b"")
    told = {name: value for name, value in got.headers.items() if name not in ("date", "x-request-id")}
    assert {name: head.headers.get(name) for name in told} == told


@pytest.mark.section("RFC 9112 9.3.2")
def test_requests_sent_at_once_are_answered_in_their_order(client: Client) -> None:
    targets = [BLOB, "…/manifests/v1", "…/manifests/v2", BLOB, "/v2/", "…/tags/list", BLOB]
    with client.open() as wire:
        wire.send(b"".join(client.request("GET", target) for target in targets))
        assert [wire.read().status for _ in targets] == [200, 200, 404, 200, 200, 200, 200]


@pytest.mark.section("RFC 9112 9.3.2")
def test_a_push_sent_at_once_with_what_follows_it(client: Client) -> None:
    digest = sha256(b"sent at once")
    with client.open() as wire:
        wire.send(
            client.request("POST", f"…/blobs/uploads/?digest={digest}", body=b"sent at once")
            + client.request("GET", f"…/blobs/{digest}")
            + client.request("DELETE", f"…/blobs/{digest}")
            + client.request("GET", f"…/blobs/{digest}")
        )
        answers = [wire.read() for _ in range(4)]
    assert [answer.status for answer in answers] == [201, 200, 202, 404]
    assert answers[1].body == b"sent at once"


CHUNKED_BODIES = {
    "one": b"5\r\nhello\r\n0\r\n\r\n",
    "several": b"1\r\nh\r\n1\r\ne\r\n3\r\nllo\r\n0\r\n\r\n",
    "zeros in front": b"0005\r\nhello\r\n000\r\n\r\n",
    "an extension": b"5;name=value\r\nhello\r\n0\r\n\r\n",
    "a trailer": b"5\r\nhello\r\n0\r\nDigest: none\r\n\r\n",
    "a trailer that would count": b"5\r\nhello\r\n0\r\nContent-Range: 7-9\r\nExpect: 100-continue\r\n\r\n",
}


@pytest.mark.section("RFC 9112 7.1")
@pytest.mark.parametrize("what", CHUNKED_BODIES)
def test_a_chunked_body_is_what_its_chunks_hold(http: str, client: Client, what: str) -> None:
    session = client.begin()
    with client.open() as wire:
        wire.send(client.request("PATCH", session, CHUNKED) + CHUNKED_BODIES[what])
        answer = wire.read()
        if http == UVICORNS and what in UVICORN_DIFFERS:
            assert answer.status == UVICORN_DIFFERS[what][0]
            return
        assert answer.status == 202, answer
        assert answer.headers["range"] == "0-4"
        wire.send(*(bytes([byte]) for byte in client.request("GET", BLOB)))
        assert wire.read().body == b"hello"
    assert client.ask("PUT", f"{session}&digest={HELLO}").status == 201


@pytest.mark.section("RFC 9112 7.1")
@pytest.mark.parametrize("body", [b"2\r\nhexxx", b"2\r\nhe\r\nz\r\n", b"2\r\nhe\r\n-1\r\n", b"2\r\nhe\r\n" + b"f" * 17])
def test_a_body_whose_chunks_are_none_is_refused_and_what_came_before_is_kept(client: Client, body: bytes) -> None:
    session = client.begin()
    with client.open() as wire:
        wire.send(client.request("PATCH", session, CHUNKED) + body)
        assert wire.read().status == 400
        assert wire.rest() == b""
    client.wait_until_kept(session, "0-1")
    answer = client.ask("PATCH", session, body=b"llo")
    assert (answer.status, answer.headers["range"]) == (202, "0-4")


@pytest.mark.section("RFC 9112 7.1")
def test_a_request_that_comes_byte_by_byte(client: Client) -> None:
    session = client.begin()
    with client.open() as wire:
        wire.send(*(bytes([b]) for b in client.request("PATCH", session, CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n")))
        assert wire.read().headers["range"] == "0-4"
        wire.send(*(bytes([b]) for b in client.request("PUT", f"{session}&digest={sha256(b'hello!')}", body=b"!")))
        assert wire.read().status == 201


@pytest.mark.section("RFC 9110 10.1.1")
def test_a_client_that_waits_is_told_to_go_on(client: Client) -> None:
    session = client.begin()
    with client.open() as wire:
        wire.send(client.request("PATCH", session, "Expect: 100-continue", "Content-Length: 5"))
        assert wire.read().status == 100
        wire.send(b"hello")
        assert wire.read().headers["range"] == "0-4"


@pytest.mark.section("RFC 9110 10.1.1")
@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("PUT", "/v2/not/mine/manifests/v1", 401),
        ("PATCH", "…/blobs/uploads/00000000-0000-4000-8000-000000000000", 404),
        ("PUT", f"…/blobs/uploads/00000000-0000-4000-8000-000000000000?digest={HELLO}", 404),
        ("POST", "…/blobs/uploads/?digest=sha256:x", 400),
        ("POST", "…/tags/list", 405),
    ],
)
def test_a_client_that_waits_need_not_send_what_is_refused(
    client: Client, method: str, target: str, status: int
) -> None:
    with client.open() as wire:
        wire.send(client.request(method, target, "Expect: 100-continue", "Content-Length: 1000000"))
        assert wire.read().status == status


@pytest.mark.section("OCI 1.1 Pushing a blob in chunks")
@pytest.mark.parametrize("framing", ["Content-Length: 100", CHUNKED])
def test_what_came_of_a_body_that_broke_off_is_kept(client: Client, framing: str) -> None:
    session = client.begin()
    with client.open() as wire:
        wire.send(client.request("PATCH", session, framing) + (b"3\r\nhel\r\n" if framing == CHUNKED else b"hel"))
    client.wait_until_kept(session, "0-2")
    answer = client.ask("PATCH", session, body=b"lo")
    assert (answer.status, answer.headers["range"]) == (202, "0-4")
    assert client.ask("PUT", f"{session}&digest={HELLO}").status == 201


@pytest.mark.section("OCI 1.1 Single POST")
def test_a_blob_whose_body_broke_off_is_not_there(client: Client) -> None:
    digest = sha256(b"broken off")
    with client.open() as wire:
        wire.send(client.request("POST", f"…/blobs/uploads/?digest={digest}", "Content-Length: 10") + b"broken")
    assert client.ask("GET", f"…/blobs/{digest}").status == 404


@pytest.mark.section("RFC 9112 3.2.2")
@pytest.mark.parametrize("authority", ["registry.test:5000", "REGISTRY.test:5000", "elsewhere:1", "[::1]:5000"])
def test_a_target_in_absolute_form_is_its_path(client: Client, authority: str) -> None:
    answer = client.ask("GET", f"https://{authority}/v2/{client.repository}/blobs/{HELLO}")
    assert (answer.status, answer.body) == (200, b"hello")
    assert client.ask("GET", f"https://{authority}/v2/_catalog?n=0").body == b'{"repositories":[]}'
    assert client.ask("GET", f"https://{authority}/v2/?x=1").status == 200


# The body of each is a request that nobody may take for one: it asks for what only a second request could get.
HIDDEN = b"DELETE /v2/hidden HTTP/1.1\r\nHost: a\r\n\r\n"
NO_REQUESTS = {
    "two lengths": b"PATCH /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n" + HIDDEN,
    "a length and chunks": (
        b"PATCH /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN
    ),
    "chunks and a length": (
        b"PATCH /v2/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + HIDDEN
    ),
    "a length with a sign": b"PATCH /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n" + HIDDEN,
    "a length with an underscore": b"PATCH /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n" + HIDDEN,
    "a length that is negative": b"PATCH /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n" + HIDDEN,
    "a length past counting": b"PATCH /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n" + HIDDEN,
    "a length that is none": b"PATCH /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n" + HIDDEN,
    "chunks that are not last": (
        b"PATCH /v2/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" + HIDDEN
    ),
    "a chunk's length that is none": (
        b"PATCH /v2/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n" + HIDDEN
    ),
    "a space before a colon": b"GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length : 40\r\n\r\n" + HIDDEN,
    "a header without a name": b"GET /v2/ HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n" + HIDDEN,
    "a header that goes on in the next line": b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX: y\r\n z: q\r\n\r\n" + HIDDEN,
    "a NUL in a header": b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n" + HIDDEN,
    "a line break alone": b"GET /v2/ HTTP/1.1\nHost: a\n\n" + HIDDEN,
    "a carriage return alone": b"GET /v2/ HTTP/1.1\r\nHost: a\rX: y\r\n\r\n" + HIDDEN,
    "a NUL in the path": b"GET /v2/\0 HTTP/1.1\r\nHost: a\r\n\r\n" + HIDDEN,
    "a space in the path": b"GET /v2/ x HTTP/1.1\r\nHost: a\r\n\r\n" + HIDDEN,
    "no version": b"GET /v2/\r\n\r\n",
    "a version that is none": b"GET /v2/ HTTP/9.9\r\nHost: a\r\n\r\n" + HIDDEN,
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/2 by prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a head without end": b"GET /v2/ HTTP/1.1\r\n" + b"X: y\r\n" * 40_000,
}


@pytest.mark.section("RFC 9112 11.2")
@pytest.mark.parametrize("what", NO_REQUESTS)
def test_what_is_no_request_is_refused_and_nothing_behind_it_is_read(http: str, client: Client, what: str) -> None:
    differs = UVICORN_DIFFERS[what] if http == UVICORNS and what in UVICORN_DIFFERS else None
    with client.open() as wire:
        with suppress(ConnectionEnded):  # it may hang up before it has read all
            wire.send(NO_REQUESTS[what])
            if differs:
                wire.send(b"Connection: close\r\n\r\n")
        statuses = [int(found) for found in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", wire.rest())]
    # The head may have been fine, and answered, before the body was seen to be none.
    assert statuses in ([[differs[0]]] if differs else [[], [400], [431], [401], [401, 400]])
    assert client.ask("GET", BLOB).body == b"hello"


NO_ONE_HOST = {
    "no host": (),
    "two hosts": ("Host: a", "Host: b"),
    "the same host twice": ("Host: a", "Host: a"),
    "a space": ("Host: a b",),
    "a path": ("Host: a/b",),
    "a user": ("Host: a@b",),
}


@pytest.mark.section("RFC 9112 3.2")
@pytest.mark.parametrize("what", NO_ONE_HOST)
def test_a_request_has_one_host(http: str, client: Client, what: str) -> None:
    with client.open() as wire:
        head = ("GET /v2/ HTTP/1.1", *NO_ONE_HOST[what], client.authorization, "", "")
        wire.send("\r\n".join(head).encode())
        differs = http == UVICORNS and what in UVICORN_DIFFERS
        assert wire.read().status == (UVICORN_DIFFERS[what][0] if differs else 400)


@pytest.mark.section("OCI 1.1 Error Codes")
@pytest.mark.parametrize("byte", ["%00", "%0d%0aX-Injected:%20y", "%0a", "%7f", "%C3%A9", "%ff", "%", "%zz", "%2"])
@pytest.mark.parametrize(
    ("target", "codes"),
    [
        ("/v2/a{}/tags/list", {"NAME_INVALID"}),
        ("…/manifests/a{}", {"MANIFEST_UNKNOWN"}),
        (f"…/blobs/{HELLO}{{}}", {"DIGEST_INVALID"}),
        ("…/blobs/uploads/a{}", {"UNSUPPORTED"}),
        ("/v2/{}", {"UNSUPPORTED"}),
    ],
    ids=["name", "tag", "digest", "session", "nothing"],
)
def test_no_byte_of_a_path_gets_into_an_answer(client: Client, target: str, byte: str, codes: set[str]) -> None:
    answer = client.ask("GET", target.format(byte))
    assert (answer.status in (400, 404), code_of(answer) in codes) == (True, True), answer
    assert "x-injected" not in answer.headers


@pytest.mark.section("CVE-2020-29662")
@pytest.mark.parametrize(
    "target",
    [
        "/v2/_catalog",
        "/v2/_catalog/",
        "/v2//_catalog",
        "//v2/_catalog",
        "/v2/%5fcatalog",
        "/v2/_catalog%00",
        "/v2/_catalog%2f",
        "/v2/./_catalog",
        "/v2/x/../_catalog",
        "/v2/x/%2e%2e/_catalog",
        "/./v2/_catalog",
        "/V2/_catalog",
        "/%76%32/_catalog",
        "/v2/_catalog;x",
        "/v2/_catalog#/v2/",
        "/token/../v2/_catalog",
        "https://registry.test:5000/v2/_catalog",
        "/v2/_catalog?n=1",
    ],
)
def test_no_spelling_of_the_catalog_is_open(client: Client, target: str) -> None:
    with client.open() as wire:
        wire.send(request("GET", target))
        answer = wire.read()
    assert answer.status in (301, 400, 401, 404), answer
    if answer.status == 301:  # to the spelling that is not open either
        assert answer.headers["location"] == "/v2/_catalog"
    assert b'"repositories"' not in answer.body


@pytest.mark.section("CVE-2017-11468")
def test_a_body_without_end_is_not_read_without_end(http: str, client: Client) -> None:
    """The answer is there after 4 MiB; a client that goes on all the same is cut off."""
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
    with client.open() as wire:
        wire.send(client.request("PUT", "…/manifests/v9", f"Content-Type: {media_types.OCI_IMAGE}", CHUNKED))
        if http == UVICORNS:
            # Past the 64 MiB that we read of a body whose request has been answered.
            wire.send(*[piece] * 1100, b"0\r\n\r\n")
            assert wire.read().status == UVICORN_DIFFERS["a body without end"][0]
            wire.send(client.request("GET", BLOB))
            assert wire.read().body == b"hello"
        else:
            with pytest.raises(ConnectionEnded):
                wire.send(*[piece] * 100_000)
    assert client.ask("GET", "…/manifests/v9").status == 404


@pytest.mark.section("RFC 9112 9.6")
def test_a_client_that_wants_the_connection_closed_gets_its_answer_first(client: Client) -> None:
    with client.open() as wire:
        wire.send(client.request("GET", BLOB, "Connection: close"))
        assert wire.read().body == b"hello"
        assert wire.rest() == b""
