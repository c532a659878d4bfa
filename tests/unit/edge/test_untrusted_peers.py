"""What peers claim that nobody trusts is said to the operator: once for each, and of no endless row of them."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from authproxy.budget import MAX_DISBELIEVED_PEERS
from authproxy.edge.untrusted_peers import UntrustedPeers, find_claim
from authproxy.log.once import LogOnce

HTTPS = [(b"host", b"r"), (b"x-forwarded-proto", b"https")]


@pytest.fixture
def said() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


@pytest.mark.parametrize(
    ("header", "value", "scheme", "claims"),
    [
        ("x-forwarded-proto", "https", "http", "X-Forwarded-Proto"),
        ("x-forwarded-proto", "http, HTTPS", "http", "X-Forwarded-Proto"),
        ("x-forwarded-proto", "https", "https", None),
        ("x-forwarded-proto", "http", "https", None),
        ("x-forwarded-host", "registry.example", "https", "X-Forwarded-Host"),
        ("x-forwarded-host", "R", "https", None),
        ("x-forwarded-host", "other, r", "https", None),
        ("x-forwarded-port", "443", "http", None),
        ("x-forwarded-for", "203.0.113.7", "http", None),
        ("forwarded", "for=1.2.3.4;proto=https", "http", "Forwarded"),
        ("forwarded", 'for="', "http", None),
    ],
)
def test_a_claim_counts_where_it_would_change_the_answer(
    header: str, value: str, scheme: str, claims: str | None
) -> None:
    claim = find_claim([(b"host", b"r"), (header.encode(), value.encode())], scheme, "r")
    assert (claim and claim[0]) == claims


def test_each_peer_is_named_once_with_both_ways_out(said: list[EventDict]) -> None:
    untrusted_peers = UntrustedPeers(LogOnce().claim)
    for peer in ("10.0.0.9", "10.0.0.9", "10.0.0.8", "2001:db8::1", "2001:db8::2", ""):
        untrusted_peers.note(peer, HTTPS, "http", "r")
    assert [line["peer"] for line in said] == ["10.0.0.9", "10.0.0.8", "2001:db8::1", "unix socket"]
    assert {line["log_level"] for line in said} == {"warning"}
    assert "add 10.0.0.9 to http.trustedproxies" in said[0]["fix"]
    assert all("http.host" in line["fix"] for line in said)
    assert "trustedproxies" not in said[-1]["fix"]  # a Unix socket's peer has no address to trust


def test_one_worker_says_it_for_all(said: list[EventDict]) -> None:
    once = LogOnce()
    for _ in range(2):
        UntrustedPeers(once.claim).note("10.0.0.9", HTTPS, "http", "r")
    assert len(said) == 1


def test_strangers_do_not_fill_the_log(said: list[EventDict]) -> None:
    untrusted_peers = UntrustedPeers(LogOnce().claim)
    for number in range(MAX_DISBELIEVED_PEERS * 3):
        untrusted_peers.note(f"10.0.{number // 250}.{number % 250}", HTTPS, "http", "r")
    assert len(said) == MAX_DISBELIEVED_PEERS


def test_a_long_claim_is_cut(said: list[EventDict]) -> None:
    UntrustedPeers(LogOnce().claim).note("10.0.0.9", [(b"x-forwarded-host", b"h" * 60_000)], "http", "r")
    assert len(said[0]["claims"]) == 255
