"""One line for each request: who, what, how it went. Queries and credentials are never in it."""

import time

import structlog

from authproxy.asgi import GRANT, ORIGIN, App, Message, Receive, Scope, Send

log = structlog.get_logger("authproxy.access")


class AccessLog:
    """Write a line when a request has ended, however it ended."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; count what is sent."""
        begun = time.perf_counter()
        status, sent = 0, 0

        async def count(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, count)
        finally:
            origin, grant = scope.get(ORIGIN), scope.get(GRANT)
            log.info(
                "request",
                client=origin.client if origin else "",
                user=grant.subject if grant else "",
                method=scope["method"],
                path=scope["path"],
                status=status,  # 0: the client went away before an answer
                bytes=sent,
                ms=round((time.perf_counter() - begun) * 1000, 1),
            )
