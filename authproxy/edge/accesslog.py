"""The access log, one line per request: who, what, how it went. It never has queries or credentials."""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from authproxy.asgi import CLIENT_VIEW, GRANT, REQUEST_ID
from authproxy.edge.observe import ServedRequest
from authproxy.log.excerpt import excerpt
from authproxy.log.line_writer import LineWriter

EVENT = "request"
TEXTS = ("client", "user", "method", "path")
NUMBERS = ("status", "bytes", "ms", "request_id")  # the id needs no quotes either

# How long a line waits for other lines, in seconds.
GATHER_S = 0.02

# From the values of TEXTS in a tuple, then those of NUMBERS, to a line without its line break.
Renderer: TypeAlias = Callable[..., str]


class AccessLog:
    """Writes the lines of 20 ms together: a system call for each line would cost more than the line."""

    def __init__(self, render: Renderer, writer: LineWriter) -> None:
        self._render = render
        self._writer = writer
        self._lines: list[str] = []
        self._is_closed = False

    def record(self, served: ServedRequest) -> None:
        """A sink of `Observe`."""
        scope = served.scope
        view, grant = scope.get(CLIENT_VIEW), scope.get(GRANT)
        try:
            line = self._render(
                (
                    view.client if view else "",
                    excerpt(grant.subject) if grant else "",
                    excerpt(scope["method"]),
                    excerpt(scope["path"]),
                ),
                served.status,  # 0: the client disconnected before a response
                served.sent,
                round(served.seconds * 1000, 1),
                scope.get(REQUEST_ID, ""),
            )
        except Exception:  # noqa: BLE001 - better to lose the line than its connection
            self._writer.lose()
            return
        self._lines.append(line)
        if self._is_closed:
            self._write()
        elif len(self._lines) == 1:
            asyncio.get_running_loop().call_later(GATHER_S, self._write)

    async def close(self) -> None:
        """Write the waiting lines; from now on each line is written at once, for requests that are cut off."""
        self._is_closed = True
        self._write()

    def _write(self) -> None:
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        self._writer.write("\n".join([*lines, ""]), len(lines))
