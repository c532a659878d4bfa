"""The public documents, over HTTP behind the edge's view of a request."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from httpx import ASGITransport, AsyncClient

from authproxy.asgi import CLIENT_VIEW, Receive, Scope, Send
from authproxy.client_view import ClientView
from authproxy.token.jwks_endpoint import CONFIGURATION_PATH, JWKS_PATH, Issued, is_named
from authproxy.token.keyring import KeyRing
from authproxy.token.rotation import KNOWN_TO_ALL_S, retire, rotate
from authproxy.web.app import WebApplication
from authproxy.web.discovery import discovery_endpoints
from tests.support.tokens import START, FakeClock

PATHS = pytest.mark.parametrize("path", [JWKS_PATH, CONFIGURATION_PATH])
ORIGIN_ASKED = ClientView("https", "registry.example.org:5000", "192.0.2.1", prefix="/below", relative_locations=True)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ring(tmp_path: Path, clock: FakeClock) -> KeyRing:
    return KeyRing.open(tmp_path / "keys", now=clock)


@asynccontextmanager
async def serving(ring: KeyRing, issued: Issued) -> AsyncIterator[AsyncClient]:
    pages = WebApplication(discovery_endpoints(ring, issued))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope[CLIENT_VIEW] = ORIGIN_ASKED
        await pages(scope, receive, send)

    async with AsyncClient(transport=ASGITransport(app), base_url="https://elsewhere") as client:
        yield client


@pytest.fixture
async def client(ring: KeyRing) -> AsyncIterator[AsyncClient]:
    async with serving(ring, Issued("authproxy")) as client:
        yield client


async def test_the_key_set_is_that_of_the_ring(client: AsyncClient, ring: KeyRing) -> None:
    answer = await client.get(JWKS_PATH)
    assert answer.json() == ring.jwks()
    assert answer.headers["content-type"] == "application/json"


async def test_the_configuration_says_what_is_so_on_the_host_that_was_asked(client: AsyncClient) -> None:
    assert (await client.get(CONFIGURATION_PATH)).json() == {
        "issuer": "authproxy",
        "jwks_uri": "https://registry.example.org:5000/below/.well-known/jwks.json",
        "token_endpoint": "https://registry.example.org:5000/below/token",
        "grant_types_supported": ["password", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "claims_supported": ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "access"],
    }


async def test_a_realm_that_is_configured_is_the_token_endpoint(ring: KeyRing) -> None:
    async with serving(ring, Issued("authproxy", "https://auth.example.org/token")) as client:
        assert (await client.get(CONFIGURATION_PATH)).json()["token_endpoint"] == "https://auth.example.org/token"


async def test_the_algorithms_are_those_of_all_keys_that_verify(client: AsyncClient, ring: KeyRing) -> None:
    rotate(ring.folder, "EdDSA", now=START)
    ring.refresh()
    answer = (await client.get(CONFIGURATION_PATH)).json()
    assert answer["id_token_signing_alg_values_supported"] == ["ES256", "EdDSA"]


@PATHS
async def test_head_options_and_other_methods(client: AsyncClient, path: str) -> None:
    head = await client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len((await client.get(path)).content))
    options = await client.options(path)
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    refused = await client.delete(path)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert refused.json()["errors"][0]["code"] == "UNSUPPORTED"


@PATHS
async def test_what_is_known_is_not_sent_again_until_a_key_is_added(
    client: AsyncClient, ring: KeyRing, path: str
) -> None:
    first = await client.get(path)
    again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["cache-control"] == "public, max-age=300"
    rotate(ring.folder, "RS256", now=START)
    ring.refresh()
    changed = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (changed.status_code, changed.headers["etag"] == first.headers["etag"]) == (200, False)


@pytest.mark.parametrize(
    ("value", "is_known"),
    [
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ("*", True),
        ('"b"', False),
        ("a", False),
        ("", False),
        (None, False),
    ],
)
def test_tags_of_a_request(value: str | None, is_known: bool) -> None:  # noqa: FBT001 - a table's expectation
    assert is_named(value, '"a"') is is_known


def nothing(ring: KeyRing) -> None:
    del ring


def add_a_key(ring: KeyRing) -> None:
    rotate(ring.folder, "ES256", now=START)


def end_a_key(ring: KeyRing) -> None:
    other = rotate(ring.folder, "ES256", now=START)
    retire(ring.folder, other.kid, now=START, after_s=400)


@pytest.mark.parametrize(
    ("change", "later", "max_age"),
    [
        (nothing, 0, 300),
        (add_a_key, 0, 300),
        (add_a_key, 100, 212),
        (add_a_key, KNOWN_TO_ALL_S - 0.5, 0),
        (add_a_key, KNOWN_TO_ALL_S, 300),
        (end_a_key, 350, 50),
        (end_a_key, 400, 300),
    ],
)
async def test_a_key_set_is_kept_no_longer_than_it_stands(
    client: AsyncClient,
    ring: KeyRing,
    clock: FakeClock,
    change: Callable[[KeyRing], None],
    later: float,
    max_age: int,
) -> None:
    change(ring)
    ring.refresh()
    clock.now += later
    answer = await client.get(JWKS_PATH)
    assert answer.headers["cache-control"] == f"public, max-age={max_age}"
