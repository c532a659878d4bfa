"""Tests run beside `make serve`: no port that it uses is one of theirs."""

import socket

import pytest

from tests.support.default_ports import DEFAULT_PORTS


@pytest.mark.parametrize("port", sorted(DEFAULT_PORTS))
def test_no_test_binds_a_port_that_servers_have_by_default(port: int) -> None:
    """The hook of tests/conftest.py sees it, whether the port is free on this machine or not."""
    with socket.socket() as taken, pytest.raises(AssertionError, match=f"binds port {port}"):
        taken.bind(("127.0.0.1", port))


def test_a_port_that_the_kernel_chooses_is_free_to_all() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert free.getsockname()[1] not in DEFAULT_PORTS
