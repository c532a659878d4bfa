"""What clients may call this machine, and what --host takes."""

import socket
from pathlib import Path

import pytest

from authproxy import this_machine
from authproxy.this_machine import addresses, host_names, is_dns_name, is_this_machine, parse_host

IF_INET6 = """\
00000000000000000000000000000001 01 80 10 80       lo
fe80000000000000021122fffe334455 02 40 20 80     eth0
20010db8000000000000000000000002 02 40 00 80     eth0
20010db8000000001234567890abcdef 02 40 00 01     eth0
20010db8000000000000000000000003 02 40 00 40     eth0
fd000000000000000000000000000004 02 40 00 80     eth0
"""


def test_the_names_begin_with_those_of_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "NAS.lan")
    assert host_names()[:5] == ["localhost", "127.0.0.1", "::1", "nas.lan", "nas.local"]


def test_a_host_without_a_usable_name_has_addresses_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "my_box")
    assert host_names() == ["localhost", "127.0.0.1", "::1", *addresses()]


def test_the_address_by_which_others_reach_this_machine_is_one_of_them() -> None:
    """Without a packet: a connected UDP socket knows which address it would send from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outward:
        try:
            outward.connect(("198.51.100.1", 9))
        except OSError:
            assert not [one for one in addresses() if "." in one]
        else:
            assert outward.getsockname()[0] in addresses()


def test_link_local_temporary_and_tentative_addresses_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "if_inet6").write_text(IF_INET6)
    monkeypatch.setattr(this_machine, "_IF_INET6", tmp_path / "if_inet6")
    assert [one for one in addresses() if ":" in one] == ["2001:db8::2", "fd00::4"]
    monkeypatch.setattr(this_machine, "_IF_INET6", tmp_path / "none")
    assert not [one for one in addresses() if ":" in one]


HOSTS = {
    "nas.lan": "nas.lan",
    "NAS.LAN.": "nas.lan",
    "192.168.1.5": "192.168.1.5",
    "::1": "::1",
    "[FD00::1]": "fd00::1",
    "xn--mnchen-3ya.example": "xn--mnchen-3ya.example",
    "registry": "registry",
}


@pytest.mark.parametrize(("text", "host"), HOSTS.items(), ids=HOSTS)
def test_a_host_is_a_name_or_an_address(text: str, host: str) -> None:
    assert parse_host(text) == host


NO_HOSTS = {
    "nas.lan:5000": "leave out the port; REGISTRY_HTTP_ADDR=:5000 sets it",
    "https://nas.lan": "write only the name",
    "nas.lan/team": "write only the name",
    "fe80::1%eth0": "leave out the part behind %",
    "0.0.0.0": "the server listens on all of them anyway",
    "a_b": "not a host's name",
    "*.lan": "not a host's name",
    "münchen.example": "not a host's name",
    "-a": "not a host's name",
    "1.2.3": "not a host's name",
    "": "not a host's name",
    "a b": "not a host's name",
    "a\nb": "not a host's name",
    "x" * 64: "not a host's name",
}


@pytest.mark.parametrize(("text", "words"), NO_HOSTS.items(), ids=map(repr, NO_HOSTS))
def test_anything_else_says_what_to_write(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_host(text)


def test_a_name_is_at_most_253_long() -> None:
    assert is_dns_name(".".join(["a" * 50] * 4))
    assert not is_dns_name(".".join(["a" * 50] * 5))


HERE = ["localhost", "localhost:5000", "127.9.9.9:1", "::1", "[::1]:5000", "BOX:5000", "box.local", "192.0.2.7:1"]
ELSEWHERE = ["other", "box.example", "192.0.2.70", "localhost.example:5000", "box.local.example", "[fd00::9]:5000", ""]


@pytest.mark.parametrize("host", [*HERE, *ELSEWHERE])
def test_what_is_this_machine(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(this_machine, "host_names", lambda: ["box", "box.local", "192.0.2.7", "fd00::7"])
    assert is_this_machine(host) is (host in HERE)
    assert is_this_machine("[fd00::7]:5000")
