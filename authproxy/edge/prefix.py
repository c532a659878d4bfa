"""`http.prefix`: the path prefix of every request, removed here; the layers behind never see it.

What goes out has it again: `ClientView.location` and the token realm add it.
"""

from collections.abc import Container

from authproxy.asgi import App, Receive, Scope, Send, respond
from authproxy.edge.errors import render
from authproxy.errors import EndpointUnknown


class StripPrefix:
    """Pass on what is asked below `prefix` ("/registry", without a slash at its end); the rest is 404.

    But for the paths that are `beside` it: they are passed on as they are.
    """

    def __init__(self, app: App, *, prefix: str, beside: Container[str] = ()) -> None:
        self.app = app
        self.prefix = prefix
        self.beside = beside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the prefix off, in the scope itself: the layers outside read there what those inside put in."""
        raw_prefix = self.prefix.encode("ascii")
        # Both, since they are two readings of one text: an escape in the prefix is not undone.
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
