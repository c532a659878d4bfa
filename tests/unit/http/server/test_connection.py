"""Connections as uvicorn makes them, over real sockets: raw requests in, raw answers out."""

import asyncio
import gc
import json
import socket
import threading
import time
import weakref
from operator import attrgetter
from typing import Any, NamedTuple

import pytest

from authproxy.asgi import DEPARTURE, FACTS, Departure, Receive, Scope, Send, body_pieces, respond
from authproxy.http.server import connection
from authproxy.http.server.timeouts import LOOK_S, STALL_S
from tests.support.http1 import WITHIN_S, Serving, Tls, read_all, read_until, serving

MIB = 1024 * 1024


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with what was understood. Paths choose how: at once, without the body, after a turn of the loop."""
    body = b""
    if scope["path"] != "/early":
        body = b"".join([bytes(piece) async for piece in body_pieces(receive)])
    if scope["path"] == "/late":
        await asyncio.sleep(0.01)
    text = f"{scope['method']} {scope['path']} {body.decode()}".encode()
    await respond(send, 200, [("Content-Length", str(len(text)))], text)


def answer(text: str, *lines: str, method: str = "GET") -> bytes:
    head = ["HTTP/1.1 200 OK", f"content-length: {len(text)}", *lines, "", ""]
    return ("\r\n".join(head) + ("" if method == "HEAD" else text)).encode()


CLOSE = "connection: close"
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
LAST_ANSWER = answer("GET /last ", CLOSE)


def request(target: str, *lines: str, body: bytes = b"", method: str = "POST") -> bytes:
    return "\r\n".join((f"{method} {target} HTTP/1.1", "Host: a", *lines, "", "")).encode() + body


def refusal(status: str, text: str) -> bytes:
    code = "TOOMANYREQUESTS" if status.startswith("429 ") else "UNSUPPORTED"
    body = json.dumps({"errors": [{"code": code, "message": text}]})
    head = f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: application/json\r\n"
    version = "docker-distribution-api-version: registry/2.0\r\nx-content-type-options: nosniff\r\n"
    return f"{head}{version}content-length: {len(body) + 1}\r\n\r\n{body}\n".encode()


class Exchange(NamedTuple):
    what: str
    sent: bytes
    received: bytes


EXCHANGES = [
    Exchange("one", LAST, LAST_ANSWER),
    Exchange("several at once", request("/a", method="GET") + LAST, answer("GET /a ") + LAST_ANSWER),
    Exchange(
        "in their order, the first being slow",
        request("/late", method="GET") + LAST,
        answer("GET /late ") + LAST_ANSWER,
    ),
    Exchange("HEAD", request("/a", method="HEAD") + LAST, answer("HEAD /a ", method="HEAD") + LAST_ANSWER),
    Exchange("a body", request("/a", "Content-Length: 5", body=b"GET /") + LAST, answer("POST /a GET /") + LAST_ANSWER),
    Exchange(
        "chunks",
        request("/a", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n") + LAST,
        answer("POST /a abcde") + LAST_ANSWER,
    ),
    Exchange(
        "a body that nobody wants",
        request("/early", "Content-Length: 5", body=b"GET /") + LAST,
        answer("POST /early ") + LAST_ANSWER,
    ),
    Exchange(
        "chunks that nobody wants",
        request("/early", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n") + LAST,
        answer("POST /early ") + LAST_ANSWER,
    ),
    Exchange(
        "an upgrade that is not taken",
        request(
            "/a",
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAAQAAP__",
            method="GET",
        )
        + LAST,
        answer("GET /a ") + LAST_ANSWER,
    ),
    Exchange(
        "an upgrade with a body, which is no request",
        request(
            "/a",
            "Connection: Upgrade",
            "Upgrade: h2c",
            "Content-Length: 32",
            body=b"GET /b HTTP/1.1\r\nHost: a\r\nX: y\r\n",
        )
        + LAST,
        answer("POST /a GET /b HTTP/1.1\r\nHost: a\r\nX: y\r\n") + LAST_ANSWER,
    ),
    Exchange(
        "an upgrade with chunks",
        request(
            "/a", "Connection: Upgrade", "Upgrade: h2c", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n"
        )
        + LAST,
        answer("POST /a abc") + LAST_ANSWER,
    ),
    Exchange("HTTP/1.0", b"GET /a HTTP/1.0\r\n\r\n", answer("GET /a ", CLOSE)),
    Exchange(
        "HTTP/1.0 that is kept",
        b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + LAST,
        answer("GET /a ", "connection: keep-alive") + LAST_ANSWER,
    ),
    Exchange("nothing is read behind the last", LAST + request("/a"), LAST_ANSWER),
    Exchange(
        "expectations where the body is there",
        request("/a", "Expect: 100-continue", "Content-Length: 1", body=b"x") + LAST,
        answer("POST /a x") + LAST_ANSWER,
    ),
    Exchange("no request", b"hello\r\n\r\n", refusal("400 Bad Request", "Invalid method encountered")),
    Exchange("no Host", b"GET / HTTP/1.1\r\n\r\n", refusal("400 Bad Request", "no Host header")),
    Exchange(
        "no request behind others",
        request("/late", method="GET") + request("/b", method="GET") + b"hello\r\n\r\n",
        answer("GET /late ") + answer("GET /b ") + refusal("400 Bad Request", "Invalid method encountered"),
    ),
    Exchange(
        "chunks that are none, behind another",
        request("/late", method="GET") + request("/b", "Transfer-Encoding: chunked", body=b"1\r\nx\r\nz\r\n"),
        answer("GET /late ") + refusal("400 Bad Request", "Invalid character in chunk size"),
    ),
    Exchange(
        "chunks that are none, whose request has been answered",
        request("/early", "Transfer-Encoding: chunked", body=b"1\r\nx\r\nz\r\n"),
        refusal("400 Bad Request", "Invalid character in chunk size"),
    ),
]


@pytest.fixture
def server(maybe_tls: Tls | None) -> Any:
    with serving(echo, maybe_tls) as running:
        yield running


@pytest.mark.parametrize("exchange", EXCHANGES, ids=attrgetter("what"))
def test_exchange(server: Serving, exchange: Exchange) -> None:
    assert server.ask(exchange.sent) == exchange.received


@pytest.mark.parametrize("exchange", EXCHANGES[:15], ids=attrgetter("what"))
def test_exchange_one_byte_at_a_time(server: Serving, exchange: Exchange) -> None:
    end = len(exchange.sent) - len(LAST) if exchange.sent.endswith(LAST) else exchange.sent.index(b"\r\n\r\n") + 4
    with server.connect() as client:
        for index in range(end):
            client.sendall(exchange.sent[index : index + 1])
        client.sendall(exchange.sent[end:])
        got = read_all(client)
    assert got.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n") == exchange.received


def test_a_client_that_waits_is_told_to_go_on(server: Serving) -> None:
    with server.connect() as client:
        client.sendall(request("/a", "Expect: 100-continue", "Content-Length: 5"))
        assert read_until(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"hello" + LAST)
        assert read_all(client) == answer("POST /a hello") + LAST_ANSWER


def test_a_refused_client_that_waits_can_send_what_it_likes_without_being_misread(server: Serving) -> None:
    with server.connect() as client:
        client.sendall(request("/early", "Expect: 100-continue", "Content-Length: 5"))
        assert read_until(client, b"/early ") == answer("POST /early ", CLOSE)
        client.sendall(LAST)  # instead of the body
        assert read_all(client) == b""


def test_a_large_body_passes_the_parser_and_the_next_request_is_found(server: Serving) -> None:
    body = b"x" * (3 * MIB)
    with server.connect() as client:
        client.sendall(request("/a", f"Content-Length: {len(body)}") + body[:MIB])
        client.sendall(body[MIB:] + LAST)
        assert read_all(client) == answer(f"POST /a {body.decode()}") + LAST_ANSWER


def test_the_answer_to_a_body_nobody_wants_reaches_a_client_that_reads_late(server: Serving) -> None:
    """It has sent all of a body before it reads: more than the connection is kept for, so it is closed and lingers."""
    body = bytes(connection.DRAIN_BYTES + 8 * MIB)
    with server.connect() as client:
        client.sendall(request("/early", f"Content-Length: {len(body)}"))
        client.sendall(body)
        assert read_all(client) == answer("POST /early ", CLOSE)


def test_what_is_left_of_a_body_is_read_so_that_the_connection_is_of_use(server: Serving) -> None:
    body = bytes(8 * MIB)
    with server.connect() as client:
        client.sendall(request("/early", f"Content-Length: {len(body)}") + body + LAST)
        assert read_all(client) == answer("POST /early ") + LAST_ANSWER


def test_chunks_nobody_wants_are_not_read_without_end(server: Serving) -> None:
    piece = b"100000\r\n" + bytes(MIB) + b"\r\n"
    with server.connect() as client:
        client.sendall(request("/early", "Transfer-Encoding: chunked"))
        client.sendall(piece * (connection.DRAIN_BYTES // MIB + 4))
        assert read_all(client) == answer("POST /early ")


def test_more_requests_than_may_wait_are_refused_behind_those_that_may(server: Serving) -> None:
    with server.connect() as client:
        client.sendall(request("/late", method="GET") + request("/b", method="GET") * (connection.MAX_WAITING + 10))
        got = read_all(client)
    assert got.count(b"HTTP/1.1 200 OK") == connection.MAX_WAITING
    assert got.endswith(refusal("429 Too Many Requests", "more than 256 requests wait for their responses"))


def test_a_client_that_sends_requests_and_reads_no_answers_is_not_answered_further(maybe_tls: Tls | None) -> None:
    """Or it could have any number of answers kept in memory for it."""
    answered = 0

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal answered
        answered += 1
        await respond(send, 200, [("Content-Length", str(8 * MIB))], bytes(8 * MIB))

    with serving(large, maybe_tls) as server, server.connect() as client:
        client.sendall(request("/a", method="GET") * 5 + LAST)
        server.wait(lambda: any(made.is_behind for made in server.connections))
        assert answered == 1
        assert len(read_all(client)) > 6 * 8 * MIB
        assert answered == 6


def test_an_application_that_reads_slowly_slows_the_client_down(maybe_tls: Tls | None) -> None:
    go_on = threading.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.to_thread(go_on.wait, WITHIN_S)
        size = sum([len(piece) async for piece in body_pieces(receive)])
        await respond(send, 200, [("Content-Length", "0"), ("Size", str(size))])

    size = 32 * MIB
    with serving(slow, maybe_tls) as server, server.connect() as client:
        client.sendall(request("/a", f"Content-Length: {size}", "Connection: close"))
        sender = threading.Thread(target=client.sendall, args=[bytes(size)])
        sender.start()
        sender.join(0.5)
        assert sender.is_alive()
        go_on.set()
        sender.join(WITHIN_S)  # first: two threads in one TLS connection spoil its records
        assert f"size: {size}".encode() in read_all(client)


@pytest.mark.parametrize("piece", [1, 1000, 16_383, 16_384, 20_000])
def test_a_body_is_read_to_its_end_whatever_the_pauses(maybe_tls: Tls | None, piece: int) -> None:
    """What TLS has half read when reading is paused is not announced by the socket again."""
    size = min(3 * MIB, piece * 3000)

    async def pausing(scope: Scope, receive: Receive, send: Send) -> None:
        got = 0
        async for part in body_pieces(receive):
            got += len(part)
            await asyncio.sleep(0.002)
        await respond(send, 200, [("Content-Length", "0"), ("Size", str(got))])

    with serving(pausing, maybe_tls) as server, server.connect() as client:
        client.sendall(request("/a", f"Content-Length: {size}", "Connection: close") + b"x" * 333)
        for first in range(333, size, piece):
            client.sendall(bytes(min(piece, size - first)))
        assert f"size: {size}".encode() in read_all(client)


def test_a_request_in_flight_hears_that_the_client_is_gone(maybe_tls: Tls | None) -> None:
    heard = threading.Event()

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        while (await receive())["type"] != "http.disconnect":
            pass
        heard.set()

    with serving(waiting, maybe_tls) as server:
        with server.connect() as client:
            client.sendall(request("/a", method="GET"))
        assert heard.wait(WITHIN_S)


def test_an_answer_that_was_given_reaches_a_client_that_has_ended_its_side() -> None:
    with serving(echo) as server, server.connect() as client:
        client.sendall(request("/a", method="GET"))
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == answer("GET /a ")


@pytest.mark.parametrize(
    "begun", [b"", b"GET / HTTP/1.1\r\nHost:", request("/a", method="GET")], ids=["nothing", "half", "one"]
)
def test_a_connection_without_a_request_ends_after_a_while(server: Serving, begun: bytes) -> None:
    with server.connect() as client:
        if begun:
            client.sendall(begun)
        if begun.endswith(b"\r\n\r\n"):
            read_until(client, b"/a ")
        server.wait(lambda: server.state.connections)
        server.later(119)
        assert server.call(lambda: len(server.state.connections)) == 1
        server.later(2)
        assert read_all(client) == b""


def test_a_head_that_comes_slowly_is_not_waited_for_without_end(server: Serving) -> None:
    with server.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        server.wait(lambda: server.state.connections)
        for _ in range(11):
            client.sendall(b"X: y\r\n")
            server.later(11)
        assert read_all(client) == b""


def test_a_body_that_stops_coming_is_not_waited_for_without_end(server: Serving) -> None:
    with server.connect() as client:
        client.sendall(request("/a", "Content-Length: 5") + b"x")
        server.wait(lambda: server.state.tasks)
        for _ in range(int(STALL_S / LOOK_S) + 3):
            server.later(LOOK_S)
        assert read_all(client) == b""


def test_an_answer_that_takes_long_is_waited_for(server: Serving) -> None:
    with server.connect() as client:
        client.sendall(request("/late", "Connection: close", method="GET"))
        for _ in range(int(STALL_S / LOOK_S) + 3):
            server.later(LOOK_S)
        assert read_all(client) == answer("GET /late ", CLOSE)


def test_a_drain_ends_idle_connections_at_once_and_others_after_their_answer(maybe_tls: Tls | None) -> None:
    go_on = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/slow":
            await asyncio.to_thread(go_on.wait, WITHIN_S)
        await echo(scope, receive, send)

    with serving(app, maybe_tls) as server, server.connect() as idle, server.connect() as busy:
        idle.sendall(request("/a", method="GET"))
        read_until(idle, b"/a ")
        busy.sendall(request("/slow", method="GET") + request("/never", method="GET"))
        server.wait(lambda: server.state.tasks)
        for made in server.connections:
            server.call(made.shutdown)
        assert read_all(idle) == b""
        go_on.set()
        assert read_all(busy) == answer("GET /slow ", CLOSE)


def test_scope(maybe_tls: Tls | None) -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await echo(scope, receive, send)

    with serving(app, maybe_tls) as server, server.connect() as client:
        client.sendall(b"GET /a%20b?c=%20 HTTP/1.1\r\nHOST: a\r\nX-A: 1\r\nx-a: 2\r\nConnection: close\r\n\r\n")
        read_all(client)
        assert isinstance(scopes[0].pop(DEPARTURE), Departure)
        here = client.getsockname() if scopes[0]["client"] is None else scopes[0]["client"]
        assert scopes == [
            {
                FACTS: {},
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.3"},
                "http_version": "1.1",
                "method": "GET",
                "scheme": "https" if maybe_tls else "http",
                "path": "/a b",
                "raw_path": b"/a%20b",
                "query_string": b"c=%20",
                "root_path": "",
                "headers": [(b"host", b"a"), (b"x-a", b"1"), (b"x-a", b"2"), (b"connection", b"close")],
                "client": here,
                "server": ("127.0.0.1", server.port),
            }
        ]


@pytest.mark.parametrize("how", ["leaves", "asks for the end"])
def test_a_connection_that_has_ended_holds_no_memory(server: Serving, how: str) -> None:
    """Not for the length of the keep-alive timeout, and not until the garbage collector comes by."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            with server.connect() as client:
                client.sendall(request("/a", method="GET") if how == "leaves" else LAST)
                client.recv(4096)
        refs = [weakref.ref(made) for made in server.connections]
        server.connections.clear()
        deadline = time.monotonic() + WITHIN_S
        while any(ref() for ref in refs) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [ref() for ref in refs] == [None] * 5
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        (("::ffff:192.0.2.7", 5, 0, 0), ("192.0.2.7", 5)),
        (("2001:db8::ffff:1", 5, 0, 0), ("2001:db8::ffff:1", 5)),
        (("192.0.2.7", 5), ("192.0.2.7", 5)),
    ],
    ids=["IPv4 at a socket of IPv6", "IPv6", "IPv4"],
)
def test_a_client_has_one_name(peer: tuple[Any, ...], client: tuple[str, int]) -> None:
    assert connection._name(peer) == client
