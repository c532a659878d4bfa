"""What the upstream asks for, and where our password may go."""

from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.http.client.address import parse_addresses
from authproxy.http.client.challenge import Challenge, may_send_password, parse_challenge, shared_domain
from tests.support.realms import ALLOWED, REALMS, Realm

CHALLENGES = [
    (['Bearer realm="https://a/token",service="reg"'], Challenge("https://a/token", "reg")),
    (['bearer service="reg", realm="https://a/token", scope="repository:a:pull"'], Challenge("https://a/token", "reg")),
    (["Bearer realm=https://a/token"], Challenge("https://a/token", None)),
    ([r'Bearer realm="https://a/\"x\"",service="a,b=c"'], Challenge('https://a/"x"', "a,b=c")),
    (["Basic realm=x", 'Bearer realm="https://a/token"'], Challenge("https://a/token", None)),
    (["Basic realm=x"], None),
    (['Bearer service="reg"'], None),
    ([], None),
]


@pytest.mark.parametrize(("values", "challenge"), CHALLENGES)
def test_challenge(values: list[str], challenge: Challenge | None) -> None:
    assert parse_challenge(values) == challenge


def verdicts(row: Realm) -> tuple[bool, bool]:
    """What the rule says for a proxy, and for a registry client."""
    (address,) = parse_addresses([row.registry])
    domain = shared_domain(address.host)
    return may_send_password(row.realm, [address], ALLOWED), may_send_password(row.realm, [address], domain=domain)


TOLD = [row for row in REALMS if row.proxy or row.client]
NOT_TOLD = [row for row in REALMS if not (row.proxy or row.client)]


@pytest.mark.parametrize("row", TOLD, ids=attrgetter("what"))
def test_realm_that_is_told(row: Realm) -> None:
    # The allowed realm of Docker Hub is below its domain too.
    assert verdicts(row) == (row.proxy, row.client)


@pytest.mark.parametrize("row", NOT_TOLD, ids=attrgetter("what"))
def test_realm_that_is_not_told(row: Realm) -> None:
    assert verdicts(row) == (False, False)


def test_every_address_of_a_registry_counts_for_itself() -> None:
    both = parse_addresses(["http://a.example", "http://b.example:5000"])
    assert all(may_send_password(f"http://{host}.example/token", both) for host in "ab")
    assert not may_send_password("http://c.example/token", both)


DOMAINS = [
    ("registry-1.docker.io", "docker.io"),
    ("registry.example.org", "example.org"),
    ("a.b.example.org", "b.example.org"),
    ("registry.example.uk", "example.uk"),
    ("example.org", ""),
    ("example.co.uk", ""),
    ("example.org.", ""),
    ("localhost", ""),
    ("10.0.0.1", ""),
    ("10.0.0.1.", ""),
    ("10.0.0x1", ""),
    ("::1", ""),
    ("", ""),
]


@pytest.mark.parametrize(("host", "domain"), DOMAINS)
def test_domain_that_a_host_shares_with_its_siblings(host: str, domain: str) -> None:
    assert shared_domain(host) == domain


@given(st.lists(st.text()), st.text())
def test_anything_is_read_and_judged(values: list[str], realm: str) -> None:
    parse_challenge(values)
    assert not may_send_password(realm, parse_addresses(["https://registry.example"]))


@given(st.text(max_size=40), st.sampled_from(["a.b", "localhost", "[::1]:5000", "a.b.co.uk"]))
def test_any_realm_is_decided(realm: str, host: str) -> None:
    (address,) = parse_addresses([f"https://{host}"])
    assert may_send_password(realm, [address], domain=shared_domain(address.host)) in (True, False)
