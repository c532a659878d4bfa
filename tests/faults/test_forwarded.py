"""Forwarded headers are believed from the peers that the operator trusts, and from nobody else, loopback included."""

import re
from collections.abc import Iterator

import pytest

from tests.support.server import Server, running_server

FORWARDED = {
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "registry.example.org",
}


@pytest.fixture(scope="module")
def wary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that trusts nobody, as is the default."""
    with running_server(tmp_path_factory.mktemp("wary")) as running:
        yield running


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a trusted proxy at 127.0.0.1."""
    folder = tmp_path_factory.mktemp("trusting")
    with running_server(folder, {"REGISTRY_HTTP_TRUSTEDPROXIES": "[127.0.0.1]"}) as running:
        yield running


def realm(server: Server, headers: dict[str, str]) -> str:
    """Where the challenge sends the client for a token."""
    with server.client() as client:
        challenge = client.get("/v2/", headers=headers).headers["www-authenticate"]
    found = re.search(r'realm="([^"]*)"', challenge)
    assert found is not None, challenge
    return found[1]


@pytest.mark.parametrize(
    "headers",
    [
        FORWARDED,
        {"X-Forwarded-Proto": "http"},
        {"X-Forwarded-Host": "evil.example.org"},
        {"Forwarded": 'for=203.0.113.7;proto=http;host="evil.example.org"'},
    ],
    ids=["all three", "scheme", "host", "RFC 7239"],
)
def test_neighbour_on_loopback_is_not_believed_by_default(wary: Server, headers: dict[str, str]) -> None:
    assert realm(wary, headers) == f"{wary.url}/token"


def test_trusted_proxy_is_believed(trusting: Server) -> None:
    assert realm(trusting, FORWARDED) == "https://registry.example.org/token"


def test_trusted_proxy_that_says_nothing_changes_nothing(trusting: Server) -> None:
    assert realm(trusting, {}) == f"{trusting.url}/token"
