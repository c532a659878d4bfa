"""Sockets for an address of the configuration, and the file of a Unix socket."""

import socket
import stat
from pathlib import Path

import pytest

from authproxy.config.document.scalars import Address
from authproxy.errors import StartError
from authproxy.server.sockets import bind, bind_unix, listening


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


def test_ports_are_free_again_afterwards() -> None:
    with listening(Address("127.0.0.1", 0)) as sockets:
        taken = sockets[0].getsockname()
        socket.create_connection(taken).close()
    socket.create_server(taken).close()


def test_a_unix_socket_is_open_to_owner_and_group_and_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "registry.sock"
    with listening(path) as (bound,):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            bound.accept()[0].close()
    assert not path.exists()


def test_the_socket_of_a_killed_server_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "registry.sock"
    bind_unix(path).close()
    assert path.is_socket()
    with listening(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_socket_that_somebody_listens_on_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "registry.sock"
    with listening(path):
        with pytest.raises(StartError, match="another program listens there"):
            bind_unix(path)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_the_socket_that_another_server_put_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "registry.sock"
    with listening(path):
        path.rename(tmp_path / "kept, so that its inode is not used again")
        other = bind_unix(path)
    with other, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_file_is_never_replaced_by_a_socket(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("precious")
    with pytest.raises(StartError, match=r"http\.addr: cannot listen on .*data: it exists and is not a socket"):
        bind_unix(tmp_path / "data")
    assert (tmp_path / "data").read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "why"), [("no/such/folder", "No such file or directory"), ("a" * 120, "AF_UNIX path too long")]
)
def test_a_path_that_no_socket_can_have_is_said(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(StartError, match=f"http.addr: cannot listen on .*: {why}"):
        bind_unix(tmp_path / name)
