"""One line for each request: who, what, how it went. Queries and credentials are never in it."""

import asyncio
import sys
from collections.abc import Callable
from typing import TextIO, TypeAlias

from authproxy.asgi import GRANT, ORIGIN
from authproxy.edge.observe import Served

EVENT = "request"
TEXTS = ("client", "user", "method", "path")
NUMBERS = ("status", "bytes", "ms")

# The values of TEXTS in a tuple, then those of NUMBERS, to a line without its end.
Renderer: TypeAlias = Callable[..., str]


class AccessLog:
    """Writes the lines of one turn of the event loop together: a system call for each would cost more than the line.

    `stream` None: standard error, whatever it is then.
    """

    def __init__(self, render: Renderer, *, stream: TextIO | None = None) -> None:
        self._render = render
        self._stream = stream
        self._lines: list[str] = []

    def record(self, served: Served) -> None:
        """A sink of `Observe`."""
        scope = served.scope
        origin, grant = scope.get(ORIGIN), scope.get(GRANT)
        line = self._render(
            (origin.client if origin else "", grant.subject if grant else "", scope["method"], scope["path"]),
            served.status,  # 0: the client went away before an answer
            served.sent,
            round(served.seconds * 1000, 1),
        )
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write)
        self._lines.append(line)

    def _write(self) -> None:
        stream = self._stream or sys.stderr
        lines, self._lines = self._lines, []
        stream.write("\n".join([*lines, ""]))
        stream.flush()
