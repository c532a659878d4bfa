"""One stream of requests, in whatever reads it comes and whatever the application does meanwhile: the same answers."""

import asyncio
from dataclasses import dataclass
from typing import Any

import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.server import ServerState

from authproxy.asgi import Receive, Scope, Send, body_pieces, respond
from authproxy.http.server.connection import Connection
from tests.support.examples import more_examples


class Twin(asyncio.Transport):
    """A transport without a socket."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = b""
        self.is_reading_now = True
        self.has_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.has_closed
        self.written += data

    def pause_reading(self) -> None:
        assert self.is_reading_now
        self.is_reading_now = False

    def resume_reading(self) -> None:
        assert not self.is_reading_now
        self.is_reading_now = True

    def is_closing(self) -> bool:
        return self.has_closed

    def close(self) -> None:
        self.has_closed = True

    def abort(self) -> None:
        raise AssertionError("nothing here is broken off")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Echo, in one of several ways: by the path."""
    way, body = scope["path"][1:], b""
    if "late" in way:
        await asyncio.sleep(0)
    if "deaf" not in way:
        async for piece in body_pieces(receive):
            body += piece
            if "slow" in way:
                await asyncio.sleep(0)
    text = b"%s %s %s" % (scope["method"].encode(), way.encode(), body)
    if "chunked" in way:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text, "more_body": True})
        if "late" in way:
            await asyncio.sleep(0)
        await send({"type": "http.response.body"})
    else:
        await respond(send, 200, [("Content-Length", str(len(text)))], text)


@dataclass(frozen=True, slots=True)
class Request:
    """One request, and how it is framed on the wire."""

    way: str
    framing: str
    body: bytes
    chunk: int
    upgrades: bool

    def sent(self) -> bytes:
        lines = [f"POST /{self.way} HTTP/1.1", "Host: a"]
        if self.upgrades:
            lines += ["Connection: keep-alive, Upgrade", "Upgrade: h2c"]
        wire = b""
        if self.framing == "length":
            lines.append(f"Content-Length: {len(self.body)}")
            wire = self.body
        elif self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
            parts = [self.body[first : first + self.chunk] for first in range(0, len(self.body), self.chunk)]
            wire = b"".join(b"%x;x=y\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nX-Trailer: z\r\n\r\n"
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + wire

    def answered(self) -> bytes:
        body = b"" if "deaf" in self.way or self.framing == "none" else self.body
        text = b"POST %s %s" % (self.way.encode(), body)
        if "chunked" in self.way:
            return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(text), text)
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(text), text)


REQUESTS = st.lists(
    st.builds(
        Request,
        way=st.sets(st.sampled_from(["late", "deaf", "slow", "chunked"])).map(sorted).map("-".join),
        framing=st.sampled_from(["none", "length", "chunked"]),
        body=st.sampled_from([b"", b"x", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"y" * 3000, b"z" * 70_000]),
        chunk=st.sampled_from([1, 1000, 100_000]),
        upgrades=st.booleans(),
    ).filter(lambda request: len(request.body) < 100 * request.chunk),
    min_size=1,
    max_size=6,
)
CONFIG = uvicorn.Config(app, ws="none", lifespan="off", log_config=None, proxy_headers=False)
CONFIG.load()


async def exchange(stream: bytes, reads: list[int]) -> tuple[bytes, list[Any]]:
    """What is written in answer to a stream that comes in reads of these sizes, over and over."""
    loop, transport, state = asyncio.get_running_loop(), Twin(), ServerState()
    faults: list[Any] = []
    loop.set_exception_handler(lambda _, context: faults.append(context))
    connection = Connection(CONFIG, state, {})
    done = loop.create_future()
    position = turn = idle = 0

    def step() -> None:
        """As a socket would: hand over a part while it is read, and let others have their turn in between."""
        nonlocal position, turn, idle
        if not transport.is_reading_now or position == len(stream):
            idle += 1
            if idle > 200:
                done.set_result(None)
                return
        else:
            idle, turn = 0, turn + 1
            room = connection.get_buffer(-1)
            part = stream[position : position + min(len(room), reads[turn % len(reads)])]
            room[: len(part)] = part
            position += len(part)
            connection.buffer_updated(len(part))
        loop.call_soon(step)

    connection.connection_made(transport)
    loop.call_soon(step)
    await done
    assert position == len(stream)
    assert not transport.has_closed
    connection.connection_lost(None)
    assert state.tasks == set()
    return transport.written, faults


@more_examples(1.5)
@given(requests=REQUESTS, reads=st.lists(st.sampled_from([1, 2, 7, 100, 5000, 300_000]), min_size=1, max_size=5))
def test_however_it_is_read_a_stream_of_requests_has_the_same_answers(
    requests: list[Request], reads: list[int]
) -> None:
    stream = b"".join(request.sent() for request in requests)
    if len(stream) > 10_000:
        reads = [*reads, 70_000]
    written, faults = asyncio.run(exchange(stream, reads))
    assert faults == []
    assert written == b"".join(request.answered() for request in requests)
