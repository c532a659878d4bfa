"""Whose share an address counts against."""

import pytest

from authproxy.budget import client_network


@pytest.mark.parametrize(
    ("address", "network"),
    [
        pytest.param("192.0.2.7", "192.0.2.7", id="IPv4 stands for itself"),
        pytest.param("::ffff:192.0.2.7", "192.0.2.7", id="IPv4-mapped is IPv4"),
        pytest.param("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", id="IPv6 by its /64"),
        pytest.param("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64", id="another address of the same /64"),
        pytest.param("2001:db8:1:3::1", "2001:db8:1:3::/64", id="the /64 beside it"),
        pytest.param("fe80::1%eth0", "fe80::/64", id="a zone is no part of the address"),
        pytest.param("", "", id="the peer of a Unix socket"),
        pytest.param("unknown", "unknown", id="no address"),
    ],
)
def test_client_network(address: str, network: str) -> None:
    assert client_network(address) == network
