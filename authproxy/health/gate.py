"""While a check fails, every request is turned away, as CNCF Distribution does (its `health.Handler`).

A balancer that asks any path of the registry so finds out, without access to the debug port.
"""

from collections.abc import Awaitable, Mapping
from typing import Protocol

from authproxy.asgi import App, Receive, Scope, Send
from authproxy.errors import Unavailable

# CNCF Distribution's `detail`. Only the debug port says what fails and why.
DETAIL = "health check failed: please see /debug/health"


class FailingChecks(Protocol):
    """Knows which checks fail."""

    @property
    def failing(self) -> Mapping[str, str]:
        """The failing checks; empty: all is well."""


class HealthGate:
    """Pass on while all is well, else raise Unavailable."""

    def __init__(self, app: App, health: FailingChecks) -> None:
        self.app = app
        self.health = health

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass on, without a frame of its own."""
        if self.health.failing:
            raise Unavailable(detail=DETAIL)
        return self.app(scope, receive, send)
