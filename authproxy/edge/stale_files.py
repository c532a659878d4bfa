"""While this node can't see who may do what, it serves nobody: what it saw last may have been revoked since."""

from collections.abc import Awaitable
from typing import Protocol

from authproxy.asgi import App, Receive, Scope, Send
from authproxy.errors import Unavailable

RETRY_AFTER_S = 5
MESSAGE = "this node cannot read its users, policies, keys or revocations, and serves nobody until it can"


class FileWatch(Protocol):
    """Knows when everything through which access is taken away was looked at."""

    def is_blind(self) -> bool:
        """Whether one of them was not looked at for too long. Cheap, for every request."""


class RefuseStaleFiles:
    """Pass on while the node sees, else raise Unavailable: clients keep their logins, and come again."""

    def __init__(self, app: App, watch: FileWatch) -> None:
        self.app = app
        self.is_blind = watch.is_blind

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass on, without a frame of its own."""
        if self.is_blind():
            raise Unavailable(MESSAGE, headers=[("Retry-After", str(RETRY_AFTER_S))])
        return self.app(scope, receive, send)
