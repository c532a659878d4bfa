"""Which headers pass through the proxy, and which don't."""

from dataclasses import replace
from operator import attrgetter
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.asgi import Headers
from authproxy.client_view import ClientView
from authproxy.errors import GatewayFailed
from authproxy.proxy.headers import content_length, has_body, request_headers, response_headers

# RFC 9110 §7.6.1: fields of one connection.
HOP_BY_HOP = (
    b"connection",
    b"http2-settings",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authentication-info",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"upgrade",
)

CLIENT_VIEW = ClientView("https", "registry.example:5000", "192.0.2.7", "192.0.2.7")

SAID_BY_US = {
    b"host": b"registry.example:5000",
    b"x-forwarded-proto": b"https",
    b"x-forwarded-host": b"registry.example:5000",
    b"x-forwarded-port": b"5000",
    b"x-forwarded-for": b"192.0.2.7",
    b"x-real-ip": b"192.0.2.7",
    b"forwarded": b'for=192.0.2.7;host="registry.example:5000";proto=https',
}


class Row(NamedTuple):
    what: str
    sent: Headers
    forwarded: Headers


REQUESTS = [
    Row("nothing sent, nothing added", [], []),
    Row("accept, repeated", [(b"accept", b"a"), (b"accept", b"b")], [(b"accept", b"a"), (b"accept", b"b")]),
    Row("user agent", [(b"user-agent", b"docker/1")], [(b"user-agent", b"docker/1")]),
    Row("range", [(b"range", b"bytes=0-1")], [(b"range", b"bytes=0-1")]),
    Row("conditional", [(b"if-none-match", b'"x"')], [(b"if-none-match", b'"x"')]),
    Row("chunk's range", [(b"content-range", b"0-4")], [(b"content-range", b"0-4")]),
    Row("a type is decided elsewhere", [(b"content-type", b"a/b; c=d")], []),
    Row("length", [(b"content-length", b"5")], [(b"content-length", b"5")]),
    Row("no body, but its length", [(b"content-length", b"0")], [(b"content-length", b"0")]),
    Row("chunked", [(b"transfer-encoding", b"chunked")], [(b"transfer-encoding", b"chunked")]),
    Row(
        "length beside a coding",
        [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"chunked")],
    ),
    Row(
        "named in connection",
        [(b"connection", b"close, TraceParent"), (b"traceparent", b"1"), (b"tracestate", b"2")],
        [(b"tracestate", b"2")],
    ),
    Row(
        "length named in connection",
        [(b"connection", b"content-length"), (b"content-length", b"5")],
        [(b"content-length", b"5")],
    ),
    Row("ours named in connection", [(b"connection", b"host, x-real-ip, x-forwarded-for")], []),
    Row("host", [(b"host", b"evil.example")], []),
    Row("forged forwarded", [(b"forwarded", b"for=1.2.3.4;host=evil.example")], []),
    Row("forged address", [(b"x-forwarded-for", b"1.2.3.4"), (b"x-real-ip", b"1.2.3.4")], []),
    Row(
        "forged host, proto, port, prefix",
        [(b"x-forwarded-" + n, b"x") for n in (b"host", b"proto", b"port", b"prefix")],
        [],
    ),
    Row("forged with underscores", [(b"x_forwarded_for", b"1.2.3.4"), (b"content_length", b"9")], []),
    Row("another method", [(b"x-http-method-override", b"DELETE")], []),
    Row("another path", [(b"x-original-url", b"/v2/secret"), (b"x-rewrite-url", b"/v2/secret")], []),
    Row("authorization", [(b"authorization", b"Bearer secret")], []),
    Row("cookie", [(b"cookie", b"sid=1")], []),
    Row("expect", [(b"expect", b"100-continue")], []),
    Row("what nobody knows", [(b"x-anything", b"1"), (b"x-jfrog-art-api", b"key"), (b"x-remote-user", b"root")], []),
    Row("a known name with an underscore", [(b"if_match", b'"x"'), (b"user_agent", b"x")], []),
    Row("an upload's id", [(b"docker-upload-uuid", b"1")], [(b"docker-upload-uuid", b"1")]),
    Row("a daemon's mark", [(b"x-meta-source-client", b"a")], [(b"x-meta-source-client", b"a")]),
    *(Row(f"hop by hop: {name.decode()}", [(name, b"x")], []) for name in HOP_BY_HOP),
]


@pytest.mark.parametrize("row", REQUESTS, ids=attrgetter("what"))
def test_request_header(row: Row) -> None:
    forwarded = request_headers(row.sent, CLIENT_VIEW, pass_authorization=False)
    assert forwarded == [*SAID_BY_US.items(), *row.forwarded]


def test_type_is_the_one_that_was_decided() -> None:
    sent = [(b"content-type", b"a/b"), (b"accept", b"*/*")]
    forwarded = request_headers(sent, CLIENT_VIEW, [(b"content-type", b"c/d")], pass_authorization=False)
    assert forwarded[len(SAID_BY_US) :] == [(b"content-type", b"c/d"), (b"accept", b"*/*")]


def test_authorization_is_passed_where_the_operator_wants_it() -> None:
    sent = [(b"authorization", b"Basic eDp5")]
    assert sent[0] in request_headers(sent, CLIENT_VIEW, pass_authorization=True)


ORIGINS = [
    (
        "behind a balancer",
        replace(CLIENT_VIEW, peer="10.0.0.1", forwarded_for=("192.0.2.7",)),
        b"192.0.2.7, 10.0.0.1",
        b"192.0.2.7",
    ),
    (
        "two balancers",
        replace(CLIENT_VIEW, peer="10.0.0.2", forwarded_for=("192.0.2.7", "10.0.0.1")),
        b"192.0.2.7, 10.0.0.1, 10.0.0.2",
        b"192.0.2.7",
    ),
    ("peer unknown", replace(CLIENT_VIEW, peer=""), b"192.0.2.7", b"192.0.2.7"),
    ("IPv6", replace(CLIENT_VIEW, client="2001:db8::1", peer="2001:db8::1"), b"2001:db8::1", b"2001:db8::1"),
    ("unix socket", replace(CLIENT_VIEW, client="", peer=""), None, None),
]


@pytest.mark.parametrize(("what", "view", "path", "client"), ORIGINS, ids=[row[0] for row in ORIGINS])
def test_client_address(what: str, view: ClientView, path: bytes | None, client: bytes | None) -> None:
    forwarded = dict(request_headers([], view, pass_authorization=False))
    assert (forwarded.get(b"x-forwarded-for"), forwarded.get(b"x-real-ip")) == (path, client)


FORWARDED = [
    (
        "a balancer",
        replace(CLIENT_VIEW, peer="10.0.0.1", forwarded_for=("192.0.2.7",)),
        ["192.0.2.7", "10.0.0.1"],
        "5000",
    ),
    ("IPv6", replace(CLIENT_VIEW, client="2001:db8::1", peer="2001:db8::1"), ['"[2001:db8::1]"'], "5000"),
    ("a zone", replace(CLIENT_VIEW, client="fe80::1%eth0", peer="fe80::1%eth0"), ['"[fe80::1]"'], "5000"),
    ("a Unix socket", replace(CLIENT_VIEW, client="", peer=""), ["unknown"], "5000"),
    ("no port", replace(CLIENT_VIEW, authority="registry.example"), ["192.0.2.7"], "443"),
    ("no port, and no TLS", replace(CLIENT_VIEW, scheme="http", authority="registry.example"), ["192.0.2.7"], "80"),
    ("an IPv6 host", replace(CLIENT_VIEW, authority="[::1]"), ["192.0.2.7"], "443"),
    ("an IPv6 host with a port", replace(CLIENT_VIEW, authority="[::1]:5001"), ["192.0.2.7"], "5001"),
]


@pytest.mark.parametrize(("what", "view", "nodes", "port"), FORWARDED, ids=[row[0] for row in FORWARDED])
def test_forwarded_says_the_same_as_the_older_headers(what: str, view: ClientView, nodes: list[str], port: str) -> None:
    sent = request_headers([], view, pass_authorization=False)
    asked = f';host="{view.authority}";proto={view.scheme}'
    wanted = ", ".join([f"for={nodes[0]}{asked}", *(f"for={node}" for node in nodes[1:])])
    assert [value.decode() for name, value in sent if name == b"forwarded"] == [wanted]
    assert dict(sent)[b"x-forwarded-port"] == port.encode()


WITH_BODY: list[Headers] = [
    [(b"content-length", b"1")],
    [(b"content-length", b"10")],
    [(b"transfer-encoding", b"chunked")],
]
WITHOUT_BODY: list[Headers] = [
    [],
    [(b"content-length", b"0")],
    [(b"content-length", b"00")],
]


@pytest.mark.parametrize("headers", WITH_BODY, ids=str)
def test_body_is_announced(headers: Headers) -> None:
    assert has_body(headers)


@pytest.mark.parametrize("headers", WITHOUT_BODY, ids=str)
def test_no_body_is_announced(headers: Headers) -> None:
    assert not has_body(headers)


class Answer(NamedTuple):
    what: str
    sent: Headers
    relayed: Headers
    status: int = 200


ANSWERS = [
    Answer("names in lower case", [(b"Docker-Content-Digest", b"sha256:0")], [(b"docker-content-digest", b"sha256:0")]),
    Answer("repeated, in order", [(b"Warning", b"a"), (b"Warning", b"b")], [(b"warning", b"a"), (b"warning", b"b")]),
    Answer("challenge", [(b"WWW-Authenticate", b"Basic")], [(b"www-authenticate", b"Basic")]),
    Answer(
        "ranges",
        [(b"Range", b"0-4"), (b"Content-Range", b"bytes 0-4/9")],
        [(b"range", b"0-4"), (b"content-range", b"bytes 0-4/9")],
    ),
    Answer("length", [(b"Content-Length", b"5")], [(b"content-length", b"5")]),
    Answer("length beside a coding", [(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")], []),
    Answer("length of 304's unsent body", [(b"Content-Length", b"5"), (b"ETag", b'"x"')], [(b"etag", b'"x"')], 304),
    Answer("length of 204", [(b"Content-Length", b"0")], [], 204),
    Answer("named in connection", [(b"Connection", b"warning"), (b"Warning", b"1")], []),
    Answer(
        "length named in connection",
        [(b"Connection", b"content-length"), (b"Content-Length", b"5")],
        [(b"content-length", b"5")],
    ),
    Answer("of the server", [(b"Server", b"nginx"), (b"Date", b"now")], []),
    Answer("a way past the edge", [(b"Alt-Svc", b'h3=":443"')], []),
    Answer("what nobody knows", [(b"X-Anything", b"1"), (b"Refresh", b"0"), (b"Via", b"1.1 a")], []),
    Answer("about this host", [(b"Strict-Transport-Security", b"max-age=1"), (b"Clear-Site-Data", b'"*"')], []),
    Answer("about pages", [(b"Access-Control-Allow-Origin", b"*")], []),
    Answer("a limit", [(b"RateLimit-Remaining", b"7")], [(b"ratelimit-remaining", b"7")]),
    Answer("cookies", [(b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2")], []),
    *(
        Answer(f"hop by hop: {name.decode()}", [(name.title(), b"x")], [])
        for name in (*HOP_BY_HOP, b"transfer-encoding")
    ),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=attrgetter("what"))
def test_response_header(answer: Answer) -> None:
    assert response_headers(answer.status, answer.sent, relocators={}) == answer.relayed


def test_addresses_are_relocated_and_keep_every_byte() -> None:
    headers = response_headers(
        200, [(b"Location", b"/a\xff"), (b"Vary", b"/b")], relocators={b"location": "host{}".format}
    )
    assert headers == [(b"location", b"host/a\xff"), (b"vary", b"/b")]


def test_control_character_in_an_answer_is_the_upstreams_fault() -> None:
    with pytest.raises(GatewayFailed, match="control character"):
        response_headers(200, [(b"ETag", b"a\x01b")], relocators={})


@pytest.mark.parametrize(("headers", "length"), [([], None), ([(b"content-length", b"7")], 7)])
def test_content_length_of_an_answer(headers: Headers, length: int | None) -> None:
    assert content_length(headers) == length


NAMES = st.sampled_from(
    [
        b"accept",
        b"connection",
        b"host",
        b"x-real-ip",
        b"x_real_ip",
        b"X-Forwarded-For".lower(),
        b"content-length",
        b"te",
    ]
)


@given(st.lists(st.tuples(NAMES, st.sampled_from([b"1", b"host", b"x-real-ip, x-forwarded-for", b"content-length"]))))
def test_no_request_can_change_what_we_say(headers: Headers) -> None:
    forwarded = request_headers(headers, CLIENT_VIEW, pass_authorization=False)
    for name, value in SAID_BY_US.items():
        assert [v for n, v in forwarded if n.replace(b"_", b"-") == name] == [value]
