"""One exchange through the proxy, over sockets at both ends."""

import ssl
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from authproxy.client_view import ClientView
from authproxy.errors import StartError
from authproxy.http.client.tls import TlsFiles
from authproxy.proxy.upstream import Upstream
from tests.support.upstream import Connection, answering, fake_upstream, front_door

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Recorder:
    """Answers every request alike and keeps what came."""

    def __init__(self, answer: bytes = OK) -> None:
        self.answer = answer
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []

    async def __call__(self, connection: Connection) -> None:
        while True:
            head, body = await connection.read_request()
            self.heads.append(head)
            self.bodies.append(body)
            await connection.send(self.answer)


async def ask(
    request: bytes, answer: bytes = OK, *, prefix: str = "", view: ClientView | None = None
) -> tuple[bytes, Recorder]:
    """Send a client's raw request, with `Connection: close`, through the proxy: all that comes back, and the record."""
    recorder = Recorder(answer)
    async with (
        fake_upstream(recorder) as upstream,
        front_door(Upstream(upstream.url + prefix), view) as front,
    ):
        client = await front.connect(request)
        received = await client.reader.read()
        client.writer.close()
    return received, recorder


async def test_request_leaves_as_it_was_read() -> None:
    _, record = await ask(
        b"GET /v2/team%2Fapp/tags/list?n=%31&last=a+b HTTP/1.1\r\nHost: front:5000\r\nConnection: close\r\n"
        b"Accept: text/plain\r\naccept: */*\r\nAuthorization: Bearer secret\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"
    )
    assert record.heads[0].split(b"\r\n") == [
        b"GET /v2/team/app/tags/list?n=%31&last=a+b HTTP/1.1",
        b"host: front:5000",
        b"x-forwarded-proto: http",
        b"x-forwarded-host: front:5000",
        b"x-forwarded-port: 5000",
        b"x-forwarded-for: 127.0.0.1",
        b"x-real-ip: 127.0.0.1",
        b'forwarded: for=127.0.0.1;host="front:5000";proto=http',
        b"accept: text/plain",
        b"accept: */*",
        b"",
        b"",
    ]


async def test_our_extension_is_not_asked_of_an_upstream() -> None:
    received, record = await ask(
        b"GET /v2/a/_authproxy/content/manifests HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    assert (received.split(b"\r\n")[0], record.heads) == (b"HTTP/1.1 404 Not Found", [])


async def test_prefix_stands_before_the_path() -> None:
    _, record = await ask(b"GET /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", prefix="/base/")
    assert record.heads[0].startswith(b"GET /base/v2/ HTTP/1.1\r\n")


BODIES = [
    (b"Content-Length: 5\r\n\r\nhello", b"content-length: 5\r\n", b"hello"),
    (
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"transfer-encoding: chunked\r\n",
        b"hello",
    ),
    (b"Content-Length: 0\r\n\r\n", b"content-length: 0\r\n", b""),
    (b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"transfer-encoding: chunked\r\n", b""),
    (b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", b"content-length: 5\r\n", b"hello"),
]


@pytest.mark.parametrize(("sent", "framing", "body"), BODIES)
async def test_body_keeps_its_framing(sent: bytes, framing: bytes, body: bytes) -> None:
    _, record = await ask(b"PATCH /v2/a/blobs/uploads/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + sent)
    assert framing in record.heads[0]
    assert (b"expect: 100-continue\r\n" in record.heads[0]) == sent.startswith(b"Expect")
    assert record.bodies == [body]


def http(status: str, *headers: str, body: bytes = b"") -> bytes:
    """An answer as it goes over the wire."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body


class Answer(NamedTuple):
    what: str
    sent: bytes
    received: bytes
    method: str = "GET"


NOTHING = "content-length: 0"
ANSWERS = [
    Answer("plain", OK, http("200 OK", "content-length: 2", body=b"ok")),
    Answer("empty", http("200 OK", "Content-Length: 0"), http("200 OK", NOTHING)),
    Answer(
        "informational before it",
        http("103 Early Hints", "Link: </a>") + OK,
        http("200 OK", "content-length: 2", body=b"ok"),
    ),
    Answer(
        "chunked",
        http("200 OK", "Transfer-Encoding: chunked", body=b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n"),
        http("200 OK", "transfer-encoding: chunked", body=b"2\r\nok\r\n0\r\n\r\n"),
    ),
    Answer("HEAD", http("200 OK", "Content-Length: 9999"), http("200 OK", "content-length: 9999"), "HEAD"),
    Answer(
        "not modified",
        http("304 Not Modified", "Content-Length: 9999", 'ETag: "x"'),
        http("304 Not Modified", 'etag: "x"'),
    ),
    Answer("no content", http("204 No Content"), http("204 No Content")),
    Answer(
        "compressed, left as it is",
        http("200 OK", "Content-Encoding: gzip", "Content-Length: 2", body=b"\x1f\x8b"),
        http("200 OK", "content-encoding: gzip", "content-length: 2", body=b"\x1f\x8b"),
    ),
    Answer(
        "server error",
        http("503 Busy", "Retry-After: 1", "Content-Length: 4", body=b"busy"),
        http("503 Service Unavailable", "retry-after: 1", "content-length: 4", body=b"busy"),
    ),
    Answer("forbidden, no challenge", http("403 Forbidden", "Content-Length: 0"), http("403 Forbidden", NOTHING)),
    Answer(
        "redirect, not followed",
        http("307 Elsewhere", "Location: http://127.0.0.1:9/x?a=%2f", "Content-Length: 0"),
        http("307 Temporary Redirect", "location: http://127.0.0.1:9/x?a=%2f", NOTHING),
    ),
    Answer(
        "addresses",
        http("200 OK", "Location: http://a/v2/b", 'Link: </v2/c>; rel="next"', "Content-Length: 0"),
        http("200 OK", "location: http://a/v2/b", 'link: <http://a/v2/c>; rel="next"', NOTHING),
    ),
]


@pytest.mark.parametrize("row", ANSWERS, ids=attrgetter("what"))
async def test_answer(row: Answer) -> None:
    request = f"{row.method} /v2/a/manifests/b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
    received, _ = await ask(request, row.sent)
    head, blank, body = received.partition(b"\r\n\r\n")
    # What the server itself says is not the matter here.
    own = (b"date:", b"server:", b"connection:")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(own)]
    assert b"\r\n".join(lines) + blank + body == row.received


CHALLENGES = [
    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 403 Forbidden\r\nWWW-Authenticate: Bearer realm=x\r\nContent-Length: 0\r\n\r\n",
]


@pytest.mark.parametrize("challenge", CHALLENGES)
async def test_upstreams_challenge_is_no_challenge_of_ours(challenge: bytes) -> None:
    async with (
        fake_upstream(answering(challenge)) as upstream,
        front_door(Upstream(upstream.url)) as front,
        front.client() as client,
    ):
        answer = await client.get("/v2/")
        assert answer.status_code == 502
        assert "asks for credentials of its own" in answer.text
        assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found", b"407 Proxy Authentication Required"])
async def test_no_other_answer_brings_a_challenge_of_the_upstreams_along(status: bytes) -> None:
    challenge = b'WWW-Authenticate: Bearer realm="https://elsewhere.example/token"\r\nContent-Length: 0\r\n\r\n'
    async with (
        fake_upstream(answering(b"HTTP/1.1 %b\r\n%b" % (status, challenge))) as upstream,
        front_door(Upstream(upstream.url)) as front,
        front.client() as client,
    ):
        answer = await client.get("/v2/")
        assert (answer.status_code, answer.headers.get("www-authenticate")) == (int(status[:3]), None)


async def test_challenge_is_relayed_where_authorization_is_passed() -> None:
    async with (
        fake_upstream(answering(CHALLENGES[0])) as upstream,
        front_door(Upstream(upstream.url, pass_authorization=True)) as front,
        front.client() as client,
    ):
        answer = await client.get("/v2/")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Basic realm=x")


async def test_connection_to_the_upstream_is_used_again() -> None:
    async with (
        fake_upstream(answering(OK)) as upstream,
        front_door(Upstream(upstream.url)) as front,
        front.client() as client,
    ):
        for _ in range(3):
            assert (await client.get("/v2/")).text == "ok"
        assert len(upstream.connections) == 1


async def test_upstreams_cookies_are_not_kept_for_others() -> None:
    recorder = Recorder(b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=1; Path=/\r\nContent-Length: 0\r\n\r\n")
    async with fake_upstream(recorder) as upstream:
        backend = Upstream(upstream.url)
        async with front_door(backend) as front, front.client() as client:
            assert "set-cookie" not in (await client.get("/v2/")).headers
            await client.get("/v2/")
    assert not any(b"cookie" in head.lower() for head in recorder.heads)


@pytest.mark.parametrize("size", [0, 1, 65536, 3_000_001])
async def test_bytes_pass_both_ways_unchanged(size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    content = content[:size]

    async def mirror(connection: Connection) -> None:
        while True:
            _, body = await connection.read_request()
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body)

    async with (
        fake_upstream(mirror) as upstream,
        front_door(Upstream(upstream.url)) as front,
        front.client() as client,
    ):
        answer = await client.patch("/v2/a/blobs/uploads/1", content=content)
        assert answer.content == content


async def test_encrypted_upstream_is_verified_by_its_own_ca(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with fake_upstream(answering(OK), tls=context) as upstream:
        url = f"https://127.0.0.1:{upstream.port}"
        async with (
            front_door(Upstream(url, tls=TlsFiles(ca=tmp_path / "ca.pem"))) as trusting,
            front_door(Upstream(url)) as strict,
            trusting.client() as client,
        ):
            assert (await client.get("/v2/")).text == "ok"
            refusal = await client.get(f"{strict.url}/v2/")
            assert refusal.status_code == 502
            assert "cannot be reached" in refusal.text


def test_ca_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("not a certificate")
    with pytest.raises(
        StartError, match=r"upstream.ca: .*broken.pem contains neither PEM nor DER, expected certificates"
    ):
        Upstream("https://registry", tls=TlsFiles(ca=broken))
    with pytest.raises(StartError, match=r"upstream.ca: cannot read .*missing.pem: No such file"):
        Upstream("https://registry", tls=TlsFiles(ca=tmp_path / "missing.pem"))
    with pytest.raises(StartError, match=r"begins with https://"):
        Upstream("http://registry", tls=TlsFiles(ca=broken))


async def test_repr_names_the_upstream() -> None:
    assert repr(Upstream("http://registry/base/")) == "<Upstream http://registry:80/base>"
