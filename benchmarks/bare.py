"""The least that an ASGI application can do: the ceiling of everything that answers through the same server."""

from authproxy.asgi import Receive, Scope, Send, respond

_HEADERS = (("content-type", "application/json"), ("content-length", "2"))


async def app(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer `{}` to every request. Started with `--lifespan off`."""
    assert scope["type"] == "http"
    await respond(send, 200, _HEADERS, b"{}")
