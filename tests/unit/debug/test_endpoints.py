"""What the debug port answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
import pytest

from authproxy.asgi import App, Message
from authproxy.debug.endpoints import debug_pages

ILL = {"redis:6379": "connection failed: Connection refused"}


@dataclass(frozen=True)
class FakeHealth:
    """Health as a test says."""

    failing: Mapping[str, str] = field(default_factory=dict)


class Words:
    """Metrics of a few bytes."""

    content_type = "text/plain; version=0.0.4"

    async def expose(self) -> bytes:
        return b"up 1\n"


async def ask(app: App, method: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://debug") as client:
        return await client.request(method, path)


@pytest.mark.parametrize(
    ("health", "status", "body"),
    [(None, 200, {}), (FakeHealth(), 200, {}), (FakeHealth(ILL), 503, ILL)],
    ids=["nothing is checked", "all is well", "one fails"],
)
async def test_health_is_told_as_distribution_tells_it(
    health: FakeHealth | None, status: int, body: dict[str, str]
) -> None:
    answer = await ask(debug_pages(health, None), "GET", "/debug/health")
    assert (answer.status_code, answer.json()) == (status, body)
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [("/metrics", "/metrics", 200), ("/numbers", "/numbers", 200), ("/numbers", "/metrics", 404)],
)
async def test_metrics_are_at_their_path_alone(path: str, asked: str, status: int) -> None:
    answer = await ask(debug_pages(None, Words(), metrics_path=path), "GET", asked)
    assert answer.status_code == status
    if status == 200:
        assert (answer.content, answer.headers["Content-Type"]) == (b"up 1\n", Words.content_type)


@pytest.mark.parametrize("path", ["/", "/metrics", "/debug/vars", "/debug/pprof/", "/v2/", "/debug/health/"])
async def test_elsewhere_is_nothing_but_the_way(path: str) -> None:
    answer = await ask(debug_pages(FakeHealth(), None), "GET", path)
    assert (answer.status_code, answer.text) == (404, "there is nothing at this path; there is: /debug/health\n")


async def test_the_way_names_the_metrics_too() -> None:
    answer = await ask(debug_pages(None, Words()), "GET", "/")
    assert answer.text.endswith("there is: /debug/health, /metrics\n")


@pytest.mark.parametrize("path", ["/debug/health", "/metrics"])
async def test_nothing_is_written_here(path: str) -> None:
    answer = await ask(debug_pages(None, Words()), "POST", path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


async def test_head_has_the_headers_and_no_body() -> None:
    answer = await ask(debug_pages(None, Words()), "HEAD", "/metrics")
    assert (answer.status_code, answer.headers["Content-Length"], answer.content) == (200, "5", b"")


async def test_health_stays_where_metrics_were_put_over_it() -> None:
    answer = await ask(debug_pages(None, Words(), metrics_path="/debug/health"), "GET", "/debug/health")
    assert answer.json() == {}


async def test_an_upgrade_is_no_way_in() -> None:
    async def nothing() -> Message:
        raise AssertionError("nothing is read")

    async def nowhere(message: Message) -> None:
        raise AssertionError(f"nothing is sent: {message}")

    with pytest.raises(RuntimeError, match="websocket is not served"):
        await debug_pages(None, None)({"type": "websocket", "path": "/metrics"}, nothing, nowhere)
