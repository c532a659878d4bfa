"""The end of a connection: closed for us, read for the peer's sake, and not for ever."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from authproxy.http.server.lingering_close import MOST_BYTES, MOST_S, QUIET_S, Linger
from tests.support.http1 import SkewedLoop

MIB = 1024 * 1024


@pytest.fixture
def loop() -> Iterator[SkewedLoop]:
    with asyncio.Runner(loop_factory=SkewedLoop) as runner:
        made = runner.get_loop()
        assert isinstance(made, SkewedLoop)
        yield made


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, peers = socket.socketpair()
    ours.setblocking(False)
    peers.settimeout(5)
    with ours, peers:
        yield ours, peers


def turn(loop: SkewedLoop, later_s: float = 0.0) -> None:
    """Let so much time pass, and what is due happen."""
    loop.skew_s += later_s
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))


def test_the_peer_gets_all_that_was_sent_and_the_end(
    loop: SkewedLoop, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, peers = pair
    peers.sendall(b"what nobody has read")
    ours.sendall(b"the answer")
    Linger(loop, ours)
    turn(loop)
    assert (peers.recv(100), peers.recv(100)) == (b"the answer", b"")


def test_it_ends_when_the_peer_does(loop: SkewedLoop, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, peers = pair
    Linger(loop, ours)
    turn(loop)
    assert ours.fileno() >= 0
    peers.close()
    turn(loop)
    assert ours.fileno() == -1


def test_a_silent_peer_is_not_waited_for_long(loop: SkewedLoop, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    Linger(loop, ours)
    turn(loop, QUIET_S - 0.5)
    assert ours.fileno() >= 0
    turn(loop, 0.5)
    assert ours.fileno() == -1


def test_a_peer_that_goes_on_is_read_for_longer_but_not_without_end(
    loop: SkewedLoop, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, peers = pair
    Linger(loop, ours)
    passed = 0.0
    while ours.fileno() >= 0:
        peers.sendall(b"x")
        turn(loop)
        turn(loop, QUIET_S)
        passed += QUIET_S
    assert passed == MOST_S


def test_a_peer_that_sends_much_is_not_read_for_all_that_time(
    loop: SkewedLoop, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, peers = pair
    Linger(loop, ours)
    peers.setblocking(False)
    sent = 0
    while ours.fileno() >= 0:
        sent += peers.send(bytes(100_000))
        turn(loop)
    assert MOST_BYTES < sent < MOST_BYTES + MIB


@pytest.mark.parametrize("unread", [b"", b"x"])
def test_a_peer_that_has_gone_is_not_waited_for(
    loop: SkewedLoop, pair: tuple[socket.socket, socket.socket], unread: bytes
) -> None:
    ours, peers = pair
    peers.sendall(unread)
    peers.close()
    Linger(loop, ours)
    turn(loop)
    turn(loop)
    assert ours.fileno() == -1
