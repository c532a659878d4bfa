"""Probes: answered before anything that may refuse, and nothing else is."""

import httpx
import pytest

from authproxy.asgi import Receive, Scope, Send, respond
from authproxy.edge.errors import ErrorResponses
from authproxy.edge.probes import Probes, make_pages


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await respond(send, 418, [("Content-Length", "0")])


def client(*reasons: str) -> httpx.AsyncClient:
    app = ErrorResponses(Probes(behind, make_pages(lambda: reasons)))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://registry")


@pytest.mark.parametrize(
    ("path", "reasons", "status", "text"),
    [
        ("/", (), 200, ""),
        ("/", ("maintenance",), 503, ""),
        ("/readyz", (), 200, "ready\n"),
        ("/readyz", ("one", "two"), 503, "not ready: one\nnot ready: two\n"),
        ("/livez", (), 200, "alive\n"),
        ("/livez", ("maintenance",), 200, "alive\n"),
        ("/readyz/", (), 418, ""),
        ("/v2/", ("maintenance",), 418, ""),
    ],
)
async def test_probe(path: str, reasons: tuple[str, ...], status: int, text: str) -> None:
    async with client(*reasons) as asking:
        for method in ("GET", "HEAD"):
            answer = await asking.request(method, path)
            assert (answer.status_code, answer.text) == (status, text if method == "GET" else "")
            assert "set-cookie" not in answer.headers
            if status != 418:
                assert answer.headers["cache-control"] == "no-cache"
                assert answer.headers["content-length"] == str(len(text))
