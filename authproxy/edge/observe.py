"""The outcome of each request: measured once and passed to every sink (the access log, the metrics)."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from authproxy.asgi import App, Message, Receive, Scope, Send


class ServedRequest(NamedTuple):
    """One request that has ended, in whatever way."""

    scope: Scope
    status: int  # 0: the client disconnected before a response
    sent: int  # bytes of the response body
    received: int  # bytes of the request body that were read
    seconds: float


class Observe:
    """Pass every request's outcome to `sinks`. A sink must be quick and must not raise."""

    def __init__(self, app: App, *, sinks: Sequence[Callable[[ServedRequest], None]]) -> None:
        self.app = app
        self.sinks = tuple(sinks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and count the bytes in both directions."""
        begun = time.perf_counter()
        status = sent = received = 0

        async def count_received() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        def count_sent(message: Message) -> Awaitable[None]:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                sent += len(message.get("body", b""))
            return send(message)

        try:
            await self.app(scope, count_received, count_sent)
        finally:
            served = ServedRequest(scope, status, sent, received, time.perf_counter() - begun)
            for sink in self.sinks:
                sink(served)
