"""Which addresses may be a storage."""

import pytest

from authproxy.proxy.redirect_targets import may_be_storage

FIT = [
    "52.216.0.1",
    "10.0.0.5",
    "172.16.0.1",
    "192.168.1.1",
    "2600:1f00::1",
    "fd12:3456::1",
    "fd00:42::43",
    "::ffff:10.0.0.5",
    "64:ff9b::a00:5",
]
UNFIT = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "169.254.169.254",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe",
    "fd00:42::42",
    "fd00:a9fe:a9fe::1",
    "fd00:100::100:200",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:a9fe:a9fe",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "2001:0:a9fe:a9fe::1",
    "",
    "storage",
]


@pytest.mark.parametrize("address", FIT)
def test_storage_may_be_at(address: str) -> None:
    assert may_be_storage(address)


@pytest.mark.parametrize("address", UNFIT)
def test_no_storage_is_at(address: str) -> None:
    assert not may_be_storage(address)
