"""What the upstream asks for, and where our password may go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.http.client.address import parse_addresses
from authproxy.http.client.challenge import Challenge, may_ask, parse_challenge

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


TOLD = [
    ("the same host", "https://registry.example", "https://registry.example/token"),
    ("another port of it", "https://registry.example:5000", "https://registry.example:5001/auth"),
    ("a name below it", "https://registry.example", "https://auth.registry.example/token"),
    ("another spelling", "https://registry.example", "https://REGISTRY.example/token"),
    ("http for http", "http://127.0.0.1:5000", "http://127.0.0.1:5001/token"),
    ("https for http", "http://registry.example", "https://registry.example/token"),
    ("one that is allowed", "https://registry-1.docker.io", "https://auth.docker.io/token"),
    ("one that is allowed, with its port", "https://registry-1.docker.io", "https://auth.docker.io:443/token"),
]
NOT_TOLD = [
    ("somebody else", "https://registry.example", "https://evil.example/token"),
    ("http for https", "https://registry.example", "http://registry.example/token"),
    ("a name that ends alike", "https://registry.example", "https://evilregistry.example/token"),
    ("the name above it", "https://registry.example.com", "https://example.com/token"),
    ("a sibling", "https://registry.example.com", "https://auth.example.com/token"),
    ("below an address", "https://10.0.0.1", "https://9.10.0.0.1/token"),
    ("below a name without a dot", "https://registry", "https://evil.registry/token"),
    ("its host as a user", "https://registry.example", "https://registry.example@evil.example/token"),
    ("its host before a backslash", "https://registry.example", "https://evil.example\\@registry.example/token"),
    ("its host as a path", "https://registry.example", "https://evil.example/registry.example"),
    ("another port of an allowed one", "https://registry-1.docker.io", "https://auth.docker.io:8443/token"),
    ("http for an allowed one", "https://registry-1.docker.io", "http://auth.docker.io/token"),
    ("another scheme", "https://registry.example", "ftp://registry.example/token"),
    ("a path", "https://registry.example", "/token"),
    ("no port", "https://registry.example", "https://registry.example:x/token"),
]
ALLOWED = ("https://auth.docker.io",)


@pytest.mark.parametrize(("url", "realm"), [row[1:] for row in TOLD], ids=[row[0] for row in TOLD])
def test_realm_that_is_told(url: str, realm: str) -> None:
    assert may_ask(realm, parse_addresses([url]), ALLOWED)


@pytest.mark.parametrize(("url", "realm"), [row[1:] for row in NOT_TOLD], ids=[row[0] for row in NOT_TOLD])
def test_realm_that_is_not_told(url: str, realm: str) -> None:
    assert not may_ask(realm, parse_addresses([url]), ALLOWED)


@given(st.lists(st.text()), st.text())
def test_anything_is_read_and_judged(values: list[str], realm: str) -> None:
    parse_challenge(values)
    assert not may_ask(realm, parse_addresses(["https://registry.example"]), ())
