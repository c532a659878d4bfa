"""`http.prefix`: removes the path prefix of every request, so that the inner layers never see it.

`ClientView.location` and the token realm add it to URLs in responses.
"""

from collections.abc import Container

from authproxy.asgi import App, Receive, Scope, Send, respond
from authproxy.edge.errors import render
from authproxy.errors import EndpointUnknown


class StripPrefix:
    """Pass on requests below `prefix` ("/registry", without a final slash); others get 404.

    Except those for the paths in `beside`: they are passed on unchanged.
    """

    def __init__(self, app: App, *, prefix: str, beside: Container[str] = ()) -> None:
        self.app = app
        self.prefix = prefix
        self.beside = beside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Remove the prefix in the scope itself, not in a copy: outer layers read what inner layers add to it."""
        raw_prefix = self.prefix.encode("ascii")
        # Both must have it: a prefix with escapes (raw_path) is not accepted.
        if scope["path"].startswith(f"{self.prefix}/") and scope["raw_path"].startswith(raw_prefix + b"/"):
            scope["path"] = scope["path"].removeprefix(self.prefix)
            scope["raw_path"] = scope["raw_path"].removeprefix(raw_prefix)
            await self.app(scope, receive, send)
            return
        if scope["path"] in self.beside:
            await self.app(scope, receive, send)
            return
        error = EndpointUnknown(f"everything here is below {self.prefix}/", detail=scope["path"][:300])
        status, headers, body = render(error)
        await respond(send, status, headers, b"" if scope["method"] == "HEAD" else body)
