"""Sockets for an address of the configuration."""

import socket

import pytest

from authproxy.errors import StartError
from authproxy.server import bind


def test_localhost_is_every_loopback_address_on_one_port() -> None:
    sockets = bind("localhost", 0)
    try:
        assert len({bound.getsockname()[1] for bound in sockets}) == 1
        assert {bound.getsockname()[0] for bound in sockets} <= {"127.0.0.1", "::1"}
    finally:
        for bound in sockets:
            bound.close()


def test_a_busy_port_is_said_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"127.0.0.1:{port}: another program uses this port.*REGISTRY_HTTP_ADDR"):
            bind("127.0.0.1", port)


def test_an_unknown_host_is_said() -> None:
    with pytest.raises(StartError, match=r"http\.addr: cannot find the address of 'no\.such\.host\.invalid'"):
        bind("no.such.host.invalid", 5000)


def test_no_socket_stays_open_where_one_fails() -> None:
    """`localhost` is two addresses here: the first must be free again when the second is taken."""
    with socket.socket(socket.AF_INET6) as taken:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        taken.bind(("::1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError):
            bind("localhost", port)
        socket.create_server(("127.0.0.1", port)).close()


def test_small_answers_are_not_held_back() -> None:
    """Nagle's algorithm would wait with the body for the acknowledgement of the head."""
    (bound,) = bind("127.0.0.1", 0)
    with bound, socket.create_connection(bound.getsockname()) as client:
        accepted, _ = bound.accept()
        with accepted:
            assert client.getpeername() == bound.getsockname()
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
