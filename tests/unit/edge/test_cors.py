"""Which pages of other sites may ask, and what they see: the whole application, content in memory."""

import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from authproxy.config.sections.cors import SEEN, SENT
from authproxy.edge.cors import Cors
from authproxy.edge.headers import CommonHeaders
from tests.support.application import serving

POLICY = """
version: 1
rules:
  - {name: everybody, allow: [pull], to: {everyone: true}, on: {repositories: ["**"]}}
"""
PAGE = "https://ui.example"
PREFLIGHT = {"Origin": PAGE, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}


def values(folder: Path, cors: Mapping[str, Any] | None, **http: Any) -> dict[str, Any]:
    """A registry with tokens of its own."""
    (folder / "policies.yaml").write_text(POLICY)
    section = {"cors": cors} if cors is not None else {}
    return {
        "version": "0.1",
        "storage": "inmemory",
        "http": section | http,
        "token": {"keys": str(folder / "keys")},
        "policies": {"path": str(folder / "policies.yaml")},
    }


def about_cors(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if re.match("access-control-|vary$", name)}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(values(tmp_path, {"origins": ["https://UI.example:443", "http://localhost:3000"]})) as client:
        yield client


@pytest.mark.parametrize("path", ["/v2/", "/v2/team/app/blobs/uploads/", "/v2", "/token", "/nowhere"])
async def test_a_preflight_is_answered_before_anybody_is_asked_who_they_are(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.options(path, headers=PREFLIGHT)
    assert (answer.status_code, answer.content) == (204, b"")
    assert about_cors(answer) == {
        "access-control-allow-origin": PAGE,
        "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "access-control-allow-headers": ", ".join(SENT),
        "access-control-max-age": "600",
        "access-control-expose-headers": ", ".join(SEEN),
        "vary": "Origin",
    }
    assert "x-request-id" in answer.headers


class Row(NamedTuple):
    what: str
    origin: str | None
    is_allowed: bool


ROWS = [
    Row("a page that may", PAGE, True),
    Row("another page that may", "http://localhost:3000", True),
    Row("another site", "https://evil.example", False),
    Row("another scheme", "http://ui.example", False),
    Row("another port", f"{PAGE}:444", False),
    Row("a longer host", f"{PAGE}.evil.example", False),
    Row("below it", "https://a.ui.example", False),
    Row("no origin in particular", "null", False),
    Row("an empty one", "", False),
    Row("every one", "*", False),
    Row("no page", None, False),
]


@pytest.mark.parametrize("row", ROWS, ids=[row.what for row in ROWS])
@pytest.mark.parametrize("method", ["OPTIONS", "GET"])
async def test_only_pages_that_are_named_are_told_more(client: httpx.AsyncClient, row: Row, method: str) -> None:
    headers = {"Access-Control-Request-Method": "GET"} | ({"Origin": row.origin} if row.origin is not None else {})
    said = about_cors(await client.request(method, "/v2/", headers=headers))
    assert said["vary"] == "Origin"
    assert said.get("access-control-allow-origin") == (row.origin if row.is_allowed else None)
    assert (len(said) > 1) == row.is_allowed


async def test_a_page_sees_where_to_get_a_token(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v2/", headers={"Origin": PAGE})
    assert answer.status_code == 401
    assert about_cors(answer)["access-control-allow-origin"] == PAGE
    assert "WWW-Authenticate" in about_cors(answer)["access-control-expose-headers"]
    assert (await client.get("/token", headers={"Origin": PAGE})).headers["access-control-allow-origin"] == PAGE


async def test_options_that_is_no_preflight_is_answered_as_ever(client: httpx.AsyncClient) -> None:
    answer = await client.options("/v2/", headers={"Origin": PAGE})
    assert answer.headers["allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    assert "access-control-allow-methods" not in answer.headers


async def test_without_the_section_nothing_is_said(tmp_path: Path) -> None:
    async with serving(values(tmp_path, None)) as client:
        for method in ("OPTIONS", "GET"):
            for path in ("/v2/", "/token"):
                assert about_cors(await client.request(method, path, headers=PREFLIGHT)) == {}


async def test_every_page_may_ask_where_the_section_says_so(tmp_path: Path) -> None:
    section = {"origins": ["*"], "exposed": [], "methods": ["GET"], "headers": ["X-A"], "maxage": "1m"}
    async with serving(values(tmp_path, section)) as client:
        assert about_cors(await client.get("/v2/")) == {"access-control-allow-origin": "*"}
        assert about_cors(await client.options("/v2/", headers=PREFLIGHT)) == {
            "access-control-allow-origin": "*",
            "access-control-allow-methods": "GET",
            "access-control-allow-headers": "X-A",
            "access-control-max-age": "60",
        }


async def test_credentials_are_allowed_to_pages_that_are_named(tmp_path: Path) -> None:
    async with serving(values(tmp_path, {"origins": [PAGE], "credentials": "true"})) as client:
        said = about_cors(await client.get("/v2/", headers={"Origin": PAGE}))
        assert said["access-control-allow-credentials"] == "true"
        assert "access-control-allow-credentials" not in (await client.get("/v2/")).headers


def test_what_an_upstream_says_is_replaced_and_the_id_stays_last() -> None:
    cors = Cors(origins=[PAGE], methods=["GET"], headers=[], exposed=[], max_age_s=1, allow_credentials=False)
    upstream = [(b"access-control-allow-origin", b"*"), (b"access-control-allow-credentials", b"true"), (b"vary", b"A")]
    scope = {"method": "GET", "path": "/v2/", "headers": [(b"origin", PAGE.encode())]}
    request_id = (b"x-request-id", b"1")
    assert CommonHeaders({}, cors=cors).complete(upstream, scope, request_id) == [
        (b"vary", b"A"),
        (b"vary", b"Origin"),
        (b"access-control-allow-origin", PAGE.encode()),
        (b"docker-distribution-api-version", b"registry/2.0"),
        request_id,
    ]
