"""A real CNCF Distribution behind the edge: the addresses that it answers are those that the client can ask."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.application import serving
from tests.support.peers import running_docker_registry


class Row(NamedTuple):
    """What the client, or the proxy in front, asks, and what an address begins with."""

    what: str
    asked: str
    begins: str
    headers: Mapping[str, str] = MappingProxyType({})
    http: Mapping[str, Any] = MappingProxyType({})


BEHIND = {"trustedproxies": ["127.0.0.1"]}
ROWS = [
    Row("direct TLS", "https://registry.example", "https://registry.example/v2/"),
    Row("a non-standard port", "https://registry.example:5443", "https://registry.example:5443/v2/"),
    Row("no TLS", "http://localhost:5000", "http://localhost:5000/v2/"),
    Row("IPv6", "https://[::1]", "https://[::1]/v2/"),
    Row("IPv6 and a port", "https://[::1]:5443", "https://[::1]:5443/v2/"),
    Row(
        "a proxy that ends TLS",
        "http://registry.example",
        "https://registry.example/v2/",
        {"X-Forwarded-Proto": "https"},
        BEHIND,
    ),
    Row(
        "a proxy that asks for another host",
        "http://inner:5000",
        "https://registry.example:5443/v2/",
        {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "registry.example:5443"},
        BEHIND,
    ),
    Row(
        "a proxy that tells the port apart",
        "http://registry.example",
        "https://registry.example:5443/v2/",
        {"X-Forwarded-Proto": "https", "X-Forwarded-Port": "5443"},
        BEHIND,
    ),
    Row(
        "a proxy that speaks RFC 7239",
        "http://inner:5000",
        "https://[::1]:5443/v2/",
        {"Forwarded": 'for=192.0.2.7;proto=https;host="[::1]:5443"'},
        BEHIND,
    ),
    Row(
        "a client that lies",
        "https://registry.example",
        "https://registry.example/v2/",
        {"Forwarded": "host=evil;proto=http", "X-Forwarded-Host": "evil", "X-Forwarded-Proto": "http"},
    ),
    Row(
        "a host of its own without a path",
        "http://inner:5000",
        "https://registry.example/v2/",
        http={"host": "https://registry.example"},
    ),
    Row(
        "a host of its own with a path",
        "http://inner:5000",
        "https://registry.example/below/v2/",
        http={"host": "https://registry.example/below"},
    ),
    Row("mere paths", "https://registry.example", "/v2/", http={"relativeurls": "true"}),
]


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_docker_registry(tmp_path_factory.mktemp("upstream")) as url:
        yield url


@pytest.mark.parametrize("row", ROWS, ids=[row.what for row in ROWS])
async def test_location_is_where_the_client_asked(upstream: str, row: Row) -> None:
    values = {"version": "0.1", "auth": "none", "upstream": {"url": upstream}, "http": dict(row.http)}
    async with serving(values, base_url=row.asked) as client:
        opened = await client.post("/v2/team/app/blobs/uploads/", headers=dict(row.headers))
        assert opened.status_code == 202, opened.text
        location = opened.headers["Location"]
        assert location.startswith(f"{row.begins}team/app/blobs/uploads/")
        # It is not merely well-formed: the session is found there.
        path = httpx.URL(location).raw_path.decode().removeprefix("/below")
        assert (await client.get(path, headers=dict(row.headers))).status_code == 204
