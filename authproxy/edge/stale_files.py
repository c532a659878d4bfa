"""Refuses requests while this node can't read who may do what: what it read last may have been revoked since."""

from collections.abc import Awaitable
from typing import Protocol

from authproxy.asgi import App, Receive, Scope, Send
from authproxy.errors import Unavailable

RETRY_AFTER_S = 5
MESSAGE = "this node cannot read its users, policies, keys or revocations, and refuses all requests until it can"


class FileWatch(Protocol):
    """Watches the files, and the records in the storage, through which access is taken away."""

    def is_current(self) -> bool:
        """Whether all were checked lately enough to rely on them. Cheap enough for every request."""

    async def look_first(self) -> None:
        """Check what must be checked before an answer. Waits for a moment at most; raises nothing."""

    def is_blind(self) -> bool:
        """Whether one of them could not be checked for too long."""


class RefuseStaleFiles:
    """Pass on while the files are checked in time, else raise Unavailable: clients keep their logins, and retry."""

    def __init__(self, app: App, watch: FileWatch) -> None:
        self.app = app
        self.watch = watch
        self.is_current = watch.is_current

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass on without a coroutine of its own."""
        if self.is_current():
            return self.app(scope, receive, send)
        return self._look_first(scope, receive, send)

    async def _look_first(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.watch.look_first()
        if self.watch.is_blind():
            raise Unavailable(MESSAGE, headers=[("Retry-After", str(RETRY_AFTER_S))])
        await self.app(scope, receive, send)
