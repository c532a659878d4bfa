"""While a check fails, every request is refused, as CNCF Distribution does (its `health.Handler`).

A load balancer that requests any path of the registry notices, without access to the debug port.
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
        """The failing checks; empty if none fails."""


class HealthGate:
    """Pass on while no check fails, else raise Unavailable."""

    def __init__(self, app: App, health: FailingChecks) -> None:
        self.app = app
        self.health = health

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass on, without a frame of its own."""
        if self.health.failing:
            raise Unavailable(detail=DETAIL)
        return self.app(scope, receive, send)
