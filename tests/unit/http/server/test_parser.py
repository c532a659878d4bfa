"""Bytes to requests: whatever the reads, the same requests; and nothing of one request is ever another's."""

from itertools import pairwise
from operator import attrgetter
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.asgi import FACTS, Scope
from authproxy.http.server.bad_request import Unreadable
from authproxy.http.server.options import MAX_HEAD_BYTES
from authproxy.http.server.parser import RequestParser

HEAD = b"POST /v2/ HTTP/1.1\r\nHost: a\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
UPGRADE = HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\n"


class Request(NamedTuple):
    """One request as the sink was told of it."""

    method: str
    raw_path: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    keeps: bool
    expects: bool


class Sink:
    """Notes requests; the last may not have ended."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.scopes: list[Scope] = []
        self.has_ended = True
        self.known = 0  # requests that came whole: the parser knew their headers

    def add_request(self, scope: Scope) -> None:
        self.begin_request(scope, keep_alive=True, expects_continue=False)
        self.end_request()
        self.known += 1

    def begin_request(self, scope: Scope, *, keep_alive: bool, expects_continue: bool) -> None:
        assert self.has_ended
        self.has_ended = False
        self.scopes.append(scope)
        self.requests.append(
            Request(scope["method"], scope["raw_path"], scope["headers"], b"", keep_alive, expects_continue)
        )

    def add_body(self, data: bytes, *, is_all: bool) -> None:
        assert not self.has_ended
        last = self.requests[-1]
        self.requests[-1] = last._replace(body=last.body + data)

    def end_request(self) -> None:
        assert not self.has_ended
        self.has_ended = True


def parse(*reads: bytes) -> Sink:
    """What a connection does with its reads: the rest of a body goes past the parser."""
    sink = Sink()
    parser = RequestParser(sink, {"type": "http"})
    for read in reads:
        rest = memoryview(read)
        while rest:
            count = min(parser.rest, len(rest))
            if count:
                sink.add_body(bytes(rest[:count]), is_all=False)
                parser.pass_by(count)
            else:
                count = len(rest)
                parser.feed(rest)
            rest = rest[count:]
    return sink


def feed(parser: RequestParser, *reads: bytes) -> None:
    """Reads without a body of a known length."""
    for read in reads:
        parser.feed(memoryview(read))


def methods(sink: Sink) -> list[str]:
    return [request.method for request in sink.requests]


STREAM = (
    b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n"
    b"\r\n"  # some clients send one more after a body (RFC 9112 §2.2)
    b"PUT /second?x=%20 HTTP/1.1\r\nhost: a\r\nContent-Length: 11\r\n\r\nGET / HTTP/"
    + CHUNKED
    + b"3;name=value\r\nabc\r\n0A\r\n0123456789\r\n0\r\nTrailer: x\r\nExpect: 100-continue\r\n\r\n"
    + UPGRADE
    + b"Content-Length: 4\r\n\r\nbody"
    + UPGRADE
    + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    b"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    b"POST /waits HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nEXPECT: 100-Continue\r\n\r\nok"
    b"HEAD /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    b"DELETE /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
)
WHOLE = parse(STREAM)


def test_a_stream_of_requests_is_what_it_says() -> None:
    assert WHOLE.has_ended
    assert [(request.method, request.raw_path, request.body, request.keeps) for request in WHOLE.requests] == [
        ("GET", b"/first", b"", True),
        ("PUT", b"/second", b"GET / HTTP/", True),
        ("POST", b"/v2/", b"abc0123456789", True),
        ("POST", b"/v2/", b"body", True),
        ("POST", b"/v2/", b"body", True),
        ("GET", b"/upgrade", b"", True),
        ("POST", b"/waits", b"ok", True),
        ("HEAD", b"/old", b"", True),
        ("DELETE", b"/last", b"", False),
    ]
    assert [request.raw_path for request in WHOLE.requests if request.expects] == [b"/waits"]
    assert WHOLE.requests[2].headers == [(b"host", b"a"), (b"transfer-encoding", b"chunked")]


@given(ends=st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_however_it_is_cut_a_stream_is_the_same_requests(ends: list[int]) -> None:
    cuts = [0, *sorted(ends), len(STREAM)]
    assert parse(*(STREAM[first:end] for first, end in pairwise(cuts))).requests == WHOLE.requests


def test_one_byte_at_a_time() -> None:
    assert parse(*(STREAM[index : index + 1] for index in range(len(STREAM)))).requests == WHOLE.requests


def test_the_rest_of_a_body_needs_no_parsing_and_the_next_request_is_found_behind_it() -> None:
    sink = Sink()
    parser = RequestParser(sink, {})
    parser.feed(memoryview(HEAD + b"Content-Length: 10\r\n\r\nabc"))
    assert parser.rest == 7
    parser.pass_by(7)
    parser.feed(memoryview(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert (parser.rest, methods(sink)) == (0, ["POST", "GET"])


def test_a_length_in_half_a_head_is_no_body() -> None:
    sink = Sink()
    parser = RequestParser(sink, {})
    parser.feed(memoryview(HEAD + b"Content-Length: 10\r\nX:"))
    assert (parser.rest, sink.requests) == (0, [])


class Target(NamedTuple):
    what: str
    sent: bytes
    path: str
    query: bytes = b""


@pytest.mark.parametrize(
    "target",
    [
        Target("plain", b"/v2/", "/v2/"),
        Target("query", b"/a?b?c", "/a", b"b?c"),
        Target("escaped", b"/a%2Fb%20c", "/a/b c"),
        Target("no UTF-8", b"/%ff", "/\ufffd"),
        Target("no escape", b"/%zz%", "/%zz%"),
        Target("a URL", b"https://a:5000/v2/?n=1", "/v2/", b"n=1"),
        Target("a URL without a path", b"http://a", "/"),
        Target("a fragment", b"/v2/#/x", "/v2/"),
        Target("dots", b"/v2/../x", "/v2/../x"),
        Target("the server as a whole", b"*", "*"),
        Target("two slashes", b"//v2//", "//v2//"),
    ],
    ids=attrgetter("what"),
)
def test_target(target: Target) -> None:
    (scope,) = parse(b"GET " + target.sent + b" HTTP/1.1\r\nHost: a\r\n\r\n").scopes
    assert (scope["path"], scope["query_string"]) == (target.path, target.query)
    assert scope["type"] == "http"


@pytest.mark.parametrize("target", [b"http://reg:5000/x", b"HTTPS://reg:5000?n=1", b"http://reg:5000"])
def test_the_host_of_a_whole_url_counts_and_not_the_header(target: bytes) -> None:
    (request,) = parse(b"GET " + target + b" HTTP/1.1\r\nA: b\r\nHost: a\r\n\r\n").requests
    assert request.headers == [(b"a", b"b"), (b"host", b"reg:5000")]


class Refused(NamedTuple):
    what: str
    sent: bytes
    status: int = 400


REFUSED = [
    Refused("no Host", b"GET / HTTP/1.1\r\n\r\n"),
    Refused("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    Refused("two Hosts of old", b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    Refused("no version", b"GET /\r\n\r\n"),
    Refused("a later version", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    Refused("a version that is none", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    Refused("HTTP/2 by prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Refused("TLS", bytes.fromhex("16030100f1010000ed0303")),
    Refused("a proxy's CONNECT", b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"),
    Refused("an unknown method", b"FETCH / HTTP/1.1\r\nHost: a\r\n\r\n"),
    Refused("a control character in the target", b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n"),
    Refused("a byte over 127 in the target", b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n"),
    Refused("line feeds alone", b"GET / HTTP/1.1\nHost: a\n\n"),
    Refused("a NUL in a header", b"GET / HTTP/1.1\r\nHost: a\r\nA: \0\r\n\r\n"),
    Refused("a space before a colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    Refused("a header over two lines", b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n"),
    Refused("two lengths", HEAD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
    Refused("a list of lengths", HEAD + b"Content-Length: 1, 1\r\n\r\n"),
    Refused("a length with a sign", HEAD + b"Content-Length: +1\r\n\r\n"),
    Refused("a length of nothing", HEAD + b"Content-Length:\r\n\r\n"),
    Refused("a length past counting", HEAD + b"Content-Length: 99999999999999999999\r\n\r\n"),
    Refused("a length and chunks", HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
    Refused("chunks and a length", HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"),
    Refused("chunks that are not last", HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n"),
    Refused("no chunks", HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 501),
    Refused("another coding below the chunks", HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    Refused("a coding that looks like chunks", HEAD + b"Transfer-Encoding: xchunked\r\n\r\n", 501),
    Refused("chunks of old", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
]


@pytest.mark.parametrize("refused", REFUSED, ids=attrgetter("what"))
@pytest.mark.parametrize("size", [1, 7, 1000], ids="{} bytes a read".format)
def test_what_is_no_request_is_refused_before_anybody_sees_it(refused: Refused, size: int) -> None:
    sink = Sink()
    with pytest.raises(Unreadable) as raised:
        feed(RequestParser(sink, {}), *(refused.sent[first : first + size] for first in range(0, 1000, size)))
    assert raised.value.status == refused.status
    assert sink.requests == []


@pytest.mark.parametrize("body", [b"z\r\n", b"-1\r\n", b"1\r\nab\r\n", b"1 \r\na\r\n", b"1\na\n", b"f" * 17 + b"\r\n"])
@pytest.mark.parametrize("head", [CHUNKED, UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n"], ids=["", "upgrade"])
def test_chunks_that_are_none_are_refused(head: bytes, body: bytes) -> None:
    with pytest.raises(Unreadable) as raised:
        parse(head + body)
    assert raised.value.status == 400


@pytest.mark.parametrize("length", [0, 5])
def test_what_follows_an_upgrade_with_a_body_is_the_body_and_not_a_request(length: int) -> None:
    sent = UPGRADE + b"Content-Length: %d\r\n\r\n" % length + b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"[:length]
    sink = parse(sent + b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert methods(sink) == ["POST", "HEAD"]
    assert len(sink.requests[0].body) == length


def of_size(size: int) -> bytes:
    """A request whose target and headers have so many bytes."""
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    return head + b"x" * (size - len(b"/Hosta\r\n: X\r\n: ")) + b"\r\n\r\n"


@pytest.mark.parametrize("read", [1000, 1_000_000])
@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 10])
def test_a_head_may_be_long_but_not_too_long_however_it_comes(read: int, before: bytes) -> None:
    def send(size: int) -> Sink:
        sent = before + of_size(size)
        return parse(*(sent[first : first + read] for first in range(0, len(sent), read)))

    assert send(MAX_HEAD_BYTES).has_ended
    with pytest.raises(Unreadable) as raised:
        send(MAX_HEAD_BYTES + 1)
    assert raised.value.status == 431


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 8192), 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"x" * 8192), 431),
        (b"GET /%b HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"x" * 4000, b"x" * 4500), 431),
    ],
    ids=["address", "header", "both"],
)
@pytest.mark.parametrize("size", [1000, 10_000])
def test_which_part_is_too_long_is_said(head: bytes, status: int, size: int) -> None:
    def parser(max_head_bytes: int) -> RequestParser:
        return RequestParser(Sink(), {}, max_head_bytes)

    reads = [head[start : start + size] for start in range(0, len(head), size)]
    feed(parser(10_000), *reads)
    with pytest.raises(Unreadable, match="8192 bytes") as raised:
        feed(parser(8192), *reads)
    assert raised.value.status == status


ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "target": (b"GET /", b"x" * 1000),
    "header": (b"GET / HTTP/1.1\r\nX: ", b"x" * 1000),
    "headers": (b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 100),
    "line breaks": (b"", b"\r\n" * 500),
    "trailer": (CHUNKED + b"0\r\nX: ", b"x" * 1000),
    "extension of a chunk": (CHUNKED + b"1;", b"x" * 1000),
}


@pytest.mark.parametrize(("begin", "goes_on"), ENDLESS.values(), ids=ENDLESS)
def test_what_never_ends_is_refused(begin: bytes, goes_on: bytes) -> None:
    with pytest.raises(Unreadable) as raised:
        feed(RequestParser(Sink(), {}), begin, *[goes_on] * (5 * MAX_HEAD_BYTES // len(goes_on)))
    assert raised.value.status in (400, 414, 431)  # httptools knows line breaks and chunks that are too long by itself


def test_many_small_chunks_are_no_endless_head() -> None:
    parser = RequestParser(Sink(), {})
    parser.feed(memoryview(CHUNKED))
    for _ in range(MAX_HEAD_BYTES):
        parser.feed(memoryview(b"1\r\nx\r\n"))


def test_a_large_read_that_ends_a_body_is_no_head() -> None:
    parser = RequestParser(sink := Sink(), {})
    parser.feed(memoryview(CHUNKED))
    parser.feed(memoryview(b"30000\r\n" + bytes(0x30000) + b"\r\n0\r\n\r\n"))
    parser.feed(memoryview(b"GET / HTTP/1.1\r\n"))
    parser.feed(memoryview(b"Host: a\r\n\r\n"))
    assert methods(sink) == ["POST", "GET"]


BLOCK = b"Host: a\r\nAuthorization: Bearer x\r\n\r\n"

# After a request with the headers BLOCK: what comes next, and whether its headers are known then.
NEXT = {
    "the same": (b"GET /v2/ HTTP/1.1\r\n" + BLOCK, True),
    "another path": (b"GET /v2/a/tags/list?n=1&last=a%20b?c HTTP/1.1\r\n" + BLOCK, True),
    "an empty query": (b"HEAD /v2/? HTTP/1.1\r\n" + BLOCK, True),
    "an escape": (b"GET /%20/%zz HTTP/1.1\r\n" + BLOCK, True),
    "two slashes": (b"GET //a//b HTTP/1.1\r\n" + BLOCK, True),
    "another header": (b"GET / HTTP/1.1\r\nAccept: a\r\n" + BLOCK, False),
    "other headers": (b"GET / HTTP/1.1\r\nHost: b\r\n\r\n", False),
    "no headers": (b"GET / HTTP/1.1\r\n\r\n", False),
    "a second Host": (b"GET / HTTP/1.1\r\nHost: b\r\n" + BLOCK, False),
    "a body": (b"GET / HTTP/1.1\r\nContent-Length: 5\r\n" + BLOCK + b"hello", False),
    "a method that may have a body": (b"DELETE / HTTP/1.1\r\n" + BLOCK, False),
    "HTTP/1.0": (b"GET / HTTP/1.0\r\n" + BLOCK, False),
    "HTTP/0.9": (b"GET /\r\n" + BLOCK, False),
    "a whole URL": (b"GET http://b/c HTTP/1.1\r\n" + BLOCK, False),
    "a fragment": (b"GET /a#b HTTP/1.1\r\n" + BLOCK, False),
    "a space": (b"GET /a b HTTP/1.1\r\n" + BLOCK, False),
    "a control character": (b"GET /a\x01 HTTP/1.1\r\n" + BLOCK, False),
    "a bare line feed": (b"GET /a HTTP/1.1\n" + BLOCK, False),
    "a line break before": (b"\r\nGET /a HTTP/1.1\r\n" + BLOCK, False),
    "two at once": ((b"GET /a HTTP/1.1\r\n" + BLOCK) * 2, False),
    "a request in the first line's place": (b"GET /a HTTP/1.1\r\nGET /b HTTP/1.1\r\n" + BLOCK, False),
}


def outcome(*reads: bytes) -> tuple[Sink, str]:
    sink, refusal = Sink(), ""
    parser = RequestParser(sink, {"type": "http"})
    try:
        feed(parser, *reads)
    except Unreadable as error:
        refusal = str(error)
    return sink, refusal


@pytest.mark.parametrize("before", [b"GET / HTTP/1.1\r\n" + BLOCK, b"\r\nHEAD /a?b HTTP/1.1\r\n" + BLOCK])
@pytest.mark.parametrize("name", NEXT)
def test_headers_that_come_again_are_read_as_they_were(before: bytes, name: str) -> None:
    request_, is_known = NEXT[name]
    anew, refusal = outcome(request_)
    again, same_refusal = outcome(b"GET / HTTP/1.1\r\n" + BLOCK, before, request_)
    assert again.scopes[2:] == anew.scopes
    assert (again.requests[2:], same_refusal) == (anew.requests, refusal)
    assert again.known == (before[:3] == b"GET") + is_known


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nExpect: 100-continue\r\n",
        b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n",
        b"DELETE / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 8192 + b"\r\n",
    ],
)
def test_special_headers_are_read_anew(head: bytes) -> None:
    whole = head + BLOCK + (b"0\r\n\r\n" if b"chunked" in head else b"")
    sink, refusal = outcome(whole, whole, whole)
    assert (len(sink.requests), sink.known, refusal) == (3, 0, "")


def test_headers_are_known_on_after_a_body() -> None:
    get = b"GET / HTTP/1.1\r\n" + BLOCK
    sink = parse(get, HEAD + b"Content-Length: 100\r\n\r\n" + b"x" * 50, b"x" * 50, get, get[:30], get[30:], get)
    assert (methods(sink), sink.known) == (["GET", "POST", "GET", "GET", "GET"], 2)


def test_the_facts_of_headers_come_with_them() -> None:
    get = b"GET / HTTP/1.1\r\n" + BLOCK
    first, second, other = parse(get, get, b"GET / HTTP/1.1\r\nHost: b\r\n\r\n").scopes
    assert first[FACTS] is second[FACTS]
    assert first[FACTS] is not other[FACTS]


def test_what_the_sink_refuses_is_told_as_it_is() -> None:
    class Full(Sink):
        def begin_request(self, *_: Any, **__: Any) -> None:
            raise Unreadable(429, "enough")

    with pytest.raises(Unreadable, match="enough"):
        RequestParser(Full(), {}).feed(memoryview(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))


@given(
    data=st.binary(max_size=200)
    | st.lists(
        st.sampled_from(
            [
                b"GET",
                b"POST",
                b" ",
                b"/",
                b"HTTP/1.1",
                b"HTTP/1.0",
                b"\r\n",
                b"\r\n\r\n",
                b"Host: a",
                b"Content-Length: 3",
                b"Transfer-Encoding: chunked",
                b"Connection: upgrade",
                b"Upgrade: x",
                b"Expect: 100-continue",
                b"abc",
                b"3\r\nabc",
                b"0",
                b"\n",
                b":",
                b"\0",
            ]
        ),
        max_size=20,
    ).map(b"".join)
)
def test_any_bytes_are_requests_or_refused(data: bytes) -> None:
    try:
        parse(data)
    except Unreadable as refused:
        assert 400 <= refused.status <= 505
        assert refused.answer().startswith(b"HTTP/1.1 %d " % refused.status)
