"""Transports over real sockets, plain and TLS: what protocols are told, and what peers get in the end."""

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from authproxy.http.server import transport
from authproxy.http.server.transport import HIGH_WATER, SocketTransport
from tests.support.http1 import WITHIN_S, LoopThread, Tls, read_all, running

MIB = 1024 * 1024
RESET = struct.pack("ii", 1, 0)


class Notes(asyncio.BufferedProtocol):
    """Notes what it is told, and echoes. `hook` is called with each event first."""

    def __init__(self, into: list["Notes"], hook: Callable[["Notes", str], None]) -> None:
        into.append(self)
        self.events: list[str] = []
        self.read = b""
        self.error: Exception | None = None
        self.buffer = bytearray(1000)
        self.transport: Any = None
        self._hook = hook

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._note("made")

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self.buffer)

    def buffer_updated(self, nbytes: int) -> None:
        self.read += self.buffer[:nbytes]
        if self.events[-1] != "read":
            self._note("read")

    def eof_received(self) -> None:
        self._note("end")

    def pause_writing(self) -> None:
        self._note("pause")

    def resume_writing(self) -> None:
        self._note("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        self._note("lost")

    def _note(self, event: str) -> None:
        self.events.append(event)
        self._hook(self, event)


class Noting(LoopThread):
    """A server of such protocols."""

    def __init__(self, tls: Tls | None) -> None:
        self.made: list[Notes] = []
        self.hook: Callable[[Notes, str], None] = lambda _, __: None
        super().__init__(lambda: Notes(self.made, self._hear), tls)

    def on(self, event: str, do: Callable[[Any], object]) -> None:
        """Do something with the transport whenever this happens."""

        def hook(notes: Notes, happened: str) -> None:
            if happened == event:
                do(notes.transport)

        self.hook = hook

    def _hear(self, notes: Notes, event: str) -> None:
        self.hook(notes, event)

    def events(self) -> list[str]:
        """Of the first connection, when it is lost."""
        self.wait(lambda: self.made and "lost" in self.made[0].events)
        return self.made[0].events


@pytest.fixture
def server(maybe_tls: Tls | None) -> Iterator[Noting]:
    with running(Noting(maybe_tls)) as thread:
        yield thread


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


def test_a_connection_is_made_read_and_lost(server: Noting) -> None:
    with server.connect() as client:
        client.sendall(b"hello")
        server.wait(lambda: server.made and server.made[0].read == b"hello")
    assert server.events() == ["made", "read", "end", "lost"]
    assert server.made[0].error is None


def test_what_a_protocol_can_ask(server: Noting) -> None:
    with server.connect() as client:
        server.wait(lambda: server.made and server.made[0].transport)
        made = server.made[0].transport
        assert isinstance(made, SocketTransport)
        assert made.get_extra_info("peername") == client.getsockname()
        assert made.get_extra_info("sockname") == client.getpeername()
        assert made.get_extra_info("socket").getsockname() == client.getpeername()
        assert (made.get_extra_info("sslcontext") is None) is (server.tls is None)
        assert (made.is_reading(), made.is_closing(), made.can_write_eof()) == (True, False, False)
        assert repr(made) == f"<{type(made).__name__} open, 0 bytes unsent>"


def test_a_peer_that_resets_is_an_error(server: Noting) -> None:
    client = server.connect()
    client.sendall(b"x")
    server.wait(lambda: server.made and server.made[0].read)
    reset(client)
    assert [event for event in server.events() if event != "end"] == ["made", "read", "lost"]  # TLS takes it for one


def test_bytes_of_any_record_arrive_in_their_order(server: Noting) -> None:
    sent = b"".join(bytes([index % 256]) * (index * 37 % 40_000) for index in range(100))
    with server.connect() as client:
        for first in range(0, len(sent), 12_345):
            client.sendall(sent[first : first + 12_345])
        server.wait(lambda: server.made and len(server.made[0].read) == len(sent))
    assert server.made[0].read == sent


def test_what_was_half_read_when_reading_was_paused_is_read_afterwards(server: Noting) -> None:
    """The socket says nothing of it any more: TLS has it."""
    server.on("read", lambda made: made.pause_reading())
    with server.connect() as client:
        client.sendall(b"x" * 10_000)
        server.wait(lambda: server.made and server.made[0].events[-1:] == ["read"])
        assert not server.made[0].transport.is_reading()
        server.hook = lambda _, __: None
        server.call(server.made[0].transport.resume_reading)
        server.wait(lambda: len(server.made[0].read) == 10_000)


def test_what_is_half_read_when_a_turn_ends_is_read_in_the_next(
    server: Noting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "TURN_BYTES", 2500)
    with server.connect() as client:
        client.sendall(b"x" * 10_000)
        server.wait(lambda: server.made and len(server.made[0].read) == 10_000)


def test_what_is_written_arrives_however_slowly_it_is_taken(server: Noting) -> None:
    parts = [bytes([index]) * (index * MIB // 20) for index in range(20)]
    server.on("made", lambda made: [made.write(part) for part in parts])
    with server.connect() as client:
        server.wait(lambda: server.made and "pause" in server.made[0].events)
        assert server.call(server.made[0].transport.get_write_buffer_size) > HIGH_WATER
        expected = b"".join(parts)
        got = bytearray()
        while len(got) < len(expected):
            got += client.recv(50_000)
        assert got == expected
        server.wait(lambda: server.made[0].events[-1:] == ["resume"])
    assert server.events() == ["made", "pause", "resume", "end", "lost"]


def test_a_close_sends_all_that_was_written(server: Noting) -> None:
    content = bytes(range(256)) * (20 * MIB // 256)

    def answer(made: SocketTransport) -> None:
        made.write(content)
        made.close()
        made.close()
        made.write(b"never")

    server.on("made", answer)
    with server.connect() as client:
        assert read_all(client) == content
    told = [event for event in server.events() if event not in ("pause", "resume")]  # how quick the peer is
    assert told == ["made", "lost"]
    assert server.made[0].error is None


def test_a_close_reaches_a_peer_that_is_still_sending(server: Noting) -> None:
    """Without lingering the unread bytes reset the connection, and the answer with it."""

    def answer(made: SocketTransport) -> None:
        made.write(b"enough")
        made.close()

    server.on("read", answer)
    with server.connect() as client:
        sender = threading.Thread(target=client.sendall, args=[bytes(20 * MIB)])
        sender.start()
        sender.join(WITHIN_S)
        assert read_all(client) == b"enough"


def test_a_peer_that_takes_nothing_is_given_up(server: Noting) -> None:
    server.on("made", lambda made: made.write(bytes(64 * MIB)))
    with server.connect():
        server.wait(lambda: server.made and server.made[0].events[-1:] == ["pause"])
        for _ in range(transport.LOOKS_WHEN_OPEN):
            assert server.made[0].events[-1:] == ["pause"]
            server.later(transport.LOOK_S)
        assert server.events() == ["made", "pause", "lost"]
    assert isinstance(server.made[0].error, TimeoutError)


def test_a_peer_that_takes_nothing_of_the_last_answer_is_given_up_sooner(server: Noting) -> None:
    def answer(made: SocketTransport) -> None:
        made.write(bytes(64 * MIB))
        made.close()

    server.on("made", answer)
    with server.connect():
        server.wait(lambda: server.made and server.made[0].events[-1:] == ["pause"])
        server.later(transport.LOOK_S)
        assert server.events() == ["made", "pause", "lost"]


def test_a_peer_that_takes_a_little_now_and_then_is_waited_for(server: Noting) -> None:
    server.on("made", lambda made: made.write(bytes(64 * MIB)))
    with server.connect() as client:
        server.wait(lambda: server.made and server.made[0].events[-1:] == ["pause"])
        for _ in range(transport.LOOKS_WHEN_OPEN * 2):
            left = MIB
            while left > 0:
                left -= len(client.recv(left))
            server.later(transport.LOOK_S)
        assert server.made[0].events == ["made", "pause"]


def test_an_abort_is_no_good_end(server: Noting) -> None:
    server.on("read", lambda made: made.abort())
    with server.connect() as client:
        client.sendall(b"x")
        with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
            client.recv(1)
    assert server.events() == ["made", "read", "lost"]
    assert isinstance(server.made[0].error, ConnectionResetError)


@pytest.mark.parametrize("event", ["made", "read", "end"])
def test_a_fault_of_the_protocol_is_told_and_ends_the_connection(server: Noting, event: str) -> None:
    def fail(_: object) -> None:
        raise ValueError("a fault")

    server.on(event, fail)
    with server.connect(plain=server.tls is None) as client:
        client.sendall(b"x")
        if event == "end":
            server.wait(lambda: server.made and server.made[0].read)
    assert server.events()[-1:] == ["lost"], server.made[0].events
    assert [repr(fault["exception"]) for fault in server.faults] == ["ValueError('a fault')"]
    server.faults.clear()


def test_many_that_close_in_all_ways_are_each_told_once(server: Noting) -> None:
    ends = [lambda made: made.close(), lambda made: made.abort(), lambda made: made.write(b"x")]

    def hook(notes: Notes, event: str) -> None:
        if event == "read":
            ends[len(server.made) % 3](notes.transport)
            ends[len(server.made) // 3 % 3](notes.transport)

    server.hook = hook
    for index in range(36):
        client = server.connect()
        client.sendall(b"x")
        if index % 2:
            reset(client)
        else:
            client.close()
    server.wait(lambda: len(server.made) == 36 and all(notes.events[-1:] == ["lost"] for notes in server.made))
    assert {(notes.events.count("made"), notes.events.count("lost")) for notes in server.made} == {(1, 1)}
