"""The pages of the debug port: /debug/health, /livez and /readyz, and the metrics at their configured path.

Go's profiler and counters (/debug/pprof, /debug/vars), which CNCF Distribution also has there, are not here.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from authproxy.asgi import App, Receive, Scope, Send, respond

HEALTH_PATH = "/debug/health"
METRICS_PATH = "/metrics"
NO_PROBES: Mapping[str, Callable[[], tuple[int, str]]] = MappingProxyType({})


class HealthChecks(Protocol):
    """Knows which checks fail."""

    @property
    def failing(self) -> Mapping[str, str]:
        """The failing checks, each with its reason; empty if none fails."""


class Exposition(Protocol):
    """Knows the metrics."""

    content_type: str

    async def expose(self) -> bytes:
        """All metrics as of now, in the text format of Prometheus."""


def debug_pages(
    health: HealthChecks | None,
    metrics: Exposition | None,
    *,
    metrics_path: str = METRICS_PATH,
    probes: Mapping[str, Callable[[], tuple[int, str]]] = NO_PROBES,
) -> App:
    """The ASGI application of the debug port. `health` None: no check, so none fails; `metrics` None: 404.

    `probes` are status and text by path. If `metrics_path` is that of another page, the other page wins.
    """
    pages: dict[str, Page] = {}
    if metrics is not None:
        pages[metrics_path] = _Metrics(metrics).answer
    pages |= {path: _Probe(probe).answer for path, probe in probes.items()}
    pages[HEALTH_PATH] = _Health(health).answer
    return _Pages(pages)


# Status, content type and body.
Page = Callable[[], Awaitable[tuple[int, str, bytes]]]


class _Health:
    """200 and `{}`, or 503 with the failing checks and their reasons, as CNCF Distribution answers."""

    def __init__(self, health: HealthChecks | None) -> None:
        self.health = health

    async def answer(self) -> tuple[int, str, bytes]:
        failing = dict(self.health.failing) if self.health else {}
        return 503 if failing else 200, "application/json; charset=utf-8", json.dumps(failing).encode()


class _Probe:
    def __init__(self, probe: Callable[[], tuple[int, str]]) -> None:
        self.probe = probe

    async def answer(self) -> tuple[int, str, bytes]:
        status, text = self.probe()
        return status, "text/plain; charset=utf-8", text.encode()


class _Metrics:
    def __init__(self, metrics: Exposition) -> None:
        self.metrics = metrics

    async def answer(self) -> tuple[int, str, bytes]:
        return 200, self.metrics.content_type, await self.metrics.expose()


class _Pages:
    def __init__(self, pages: Mapping[str, Page]) -> None:
        self.pages = pages
        self.nothing = f"there is nothing at this path; there is: {', '.join(sorted(pages))}\n".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        del receive
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not served")
        status, content_type, body = 404, "text/plain; charset=utf-8", self.nothing
        headers = []
        if page := self.pages.get(scope["path"]):
            if scope["method"] in ("GET", "HEAD"):
                status, content_type, body = await page()
            else:
                status, body, headers = 405, b"only GET and HEAD are supported here\n", [("Allow", "GET, HEAD")]
        headers += [("Content-Type", content_type), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
        headers.append(("X-Content-Type-Options", "nosniff"))
        await respond(send, status, headers, b"" if scope["method"] == "HEAD" else body)
