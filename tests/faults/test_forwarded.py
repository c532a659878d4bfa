"""Forwarded headers are believed from the peers that the operator trusts, and from nobody else, loopback included."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.nginx import running_nginx
from tests.support.peers import running_open_server
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


def test_the_outermost_trusted_proxy_of_a_chain_is_believed(trusting: Server) -> None:
    """Apache appends to each of these; the client wrote none of them."""
    chain = {
        "X-Forwarded-For": "203.0.113.7, 127.0.0.1",
        "X-Forwarded-Proto": "https, http",
        "X-Forwarded-Host": "outer.example, inner.example",
        "X-Forwarded-Port": "443, 80",
    }
    assert realm(trusting, chain) == "https://outer.example/token"
    lie = {name: f"{value.replace('203.0.113.7', '6.6.6.6')}" for name, value in chain.items()}
    lie["X-Forwarded-For"] = "6.6.6.6, 203.0.113.7, 127.0.0.1"
    lie["X-Forwarded-Host"] = "evil.example, outer.example, inner.example"
    lie["X-Forwarded-Proto"], lie["X-Forwarded-Port"] = "http, https, http", "1, 443, 80"
    assert realm(trusting, lie) == "https://outer.example/token"


def test_a_peer_that_is_not_believed_is_named_once(tmp_path: Path) -> None:
    """TLS ends in a proxy that nobody told us of: the answer stays, and the log says why logins fail."""
    server = """
        location / {
            proxy_pass http://127.0.0.1:{port};
            proxy_set_header Host registry.example.org;
            proxy_set_header X-Forwarded-Proto https;
        }"""
    with running_open_server(tmp_path / "server") as running:
        with running_nginx(tmp_path / "nginx", server.replace("{port}", str(running.port))) as proxy:
            for _ in range(8):
                answer = httpx.get(f"{proxy}/v2/_catalog/", trust_env=False)
                assert answer.status_code == 301
        assert running.output.count("forwarded headers are not believed") == 1
        assert "peer=127.0.0.1" in running.output
        assert "http.trustedproxies" in running.output
        assert "http.host" in running.output
