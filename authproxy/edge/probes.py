"""Probes for load balancers and orchestrators on the registry's own port, without credentials.

    /         does this node serve? 200 or 503, empty: the default probe of AWS's and Google's load balancers
    /readyz   the same, with the reasons: Kubernetes' readiness
    /livez    does the process answer? Its dependencies don't count: a restart would not repair them

All of them at the root and below `http.prefix`, by GET and HEAD, in HTTP/1.0 too. A page for browsers at `/`
(`Accept: text/html`) would belong into `make_pages`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from authproxy.asgi import App, Receive, Scope, Send, respond
from authproxy.errors import Unsupported

ROOT_PATH, LIVE_PATH, READY_PATH = "/", "/livez", "/readyz"

# Why a node should get no requests now: a sentence for each cause. They are public: no paths, no addresses.
Reasons: TypeAlias = Callable[[], Sequence[str]]


class ProbeResponse(NamedTuple):
    """Status and text."""

    status: int
    text: str = ""


def make_pages(reasons: Reasons) -> Mapping[str, Callable[[], ProbeResponse]]:
    """The pages by their paths."""
    return MappingProxyType(
        {
            ROOT_PATH: lambda: ProbeResponse(503 if reasons() else 200),
            LIVE_PATH: lambda: ProbeResponse(200, "alive\n"),
            READY_PATH: lambda: _ready(reasons()),
        }
    )


class Probes:
    """Answer the pages, pass on everything else."""

    def __init__(self, app: App, pages: Mapping[str, Callable[[], ProbeResponse]]) -> None:
        self.app = app
        self.pages = pages

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer a page, or pass on without a coroutine of its own."""
        if (page := self.pages.get(scope["path"])) is not None:
            return _answer(page, scope, send)
        return self.app(scope, receive, send)


def _ready(reasons: Sequence[str]) -> ProbeResponse:
    if not reasons:
        return ProbeResponse(200, "ready\n")
    return ProbeResponse(503, "".join(f"not ready: {reason}\n" for reason in reasons))


async def _answer(make: Callable[[], ProbeResponse], scope: Scope, send: Send) -> None:
    method = scope["method"]
    if method not in ("GET", "HEAD"):
        raise Unsupported(f"{method} is not supported here", headers=[("Allow", "GET, HEAD")])
    status, text = make()
    body = text.encode()
    headers = [("Cache-Control", "no-cache"), ("Content-Length", str(len(body)))]
    if body:
        headers.append(("Content-Type", "text/plain; charset=utf-8"))
    await respond(send, status, headers, b"" if method == "HEAD" else body)
