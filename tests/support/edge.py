"""The whole edge on our own HTTP, in a thread, in front of an upstream that writes down the very bytes it was sent."""

import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from authproxy import app as application
from authproxy.asgi import App, Receive, Scope, Send
from authproxy.config.load import load_values
from tests.support.application import living
from tests.support.http1 import WITHIN_S, Serving, running
from tests.support.plain_log import log_plainly

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n%b\r\nok"


class Recorder:
    """An HTTP server for one request a connection. `heads` and `bodies`: what stood on the wire."""

    def __init__(self, *headers: str) -> None:
        """`headers`: what its answers have besides."""
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self._answer = ANSWER % "".join(f"{header}\r\n" for header in headers).encode()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._has_ended = False
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._has_ended = True
        with socket.create_connection(self._socket.getsockname()):  # whoever waits for a connection goes on
            pass
        self._thread.join(WITHIN_S)
        self._socket.close()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:<port>`."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def header(self, name: str) -> list[str]:
        """The values of a header of the last request."""
        return re.findall(rf"(?mi)^{re.escape(name)}: (.*)\r$", self.heads[-1].decode("latin-1"))

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                if self._has_ended:
                    return
                connection.settimeout(WITHIN_S)
                self._answer_one(connection)

    def _answer_one(self, connection: socket.socket) -> None:
        read = b""
        while not _is_whole(read):
            piece = connection.recv(65536)
            if not piece:  # it breaks off
                return
            read += piece
        head, _, body = read.partition(b"\r\n\r\n")
        self.heads.append(head + b"\r\n")
        self.bodies.append(body)
        connection.sendall(self._answer)


def _is_whole(read: bytes) -> bool:
    """Whether it is a head and all of its body, as they stand on the wire."""
    head, end, body = read.partition(b"\r\n\r\n")
    if re.search(rb"(?mi)^transfer-encoding: chunked\r?$", head):
        return body.endswith(b"0\r\n\r\n")
    length = re.search(rb"(?mi)^content-length: (\d+)\r?$", head)
    return bool(end) and len(body) >= int(length[1] if length else 0)


class Edge(Serving):
    """A server of the whole application, which has been started."""

    def __init__(self, app: App) -> None:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:  # uvicorn knows functions by their kind
            await app(scope, receive, send)

        super().__init__(serve, None)
        self._living = living(app)

    async def _serve(self) -> None:
        async with self._living:
            await super()._serve()


@contextmanager
def edge(
    upstream: str, http: Mapping[str, Any] | None = None, *, more: Mapping[str, Any] | None = None
) -> Iterator[Edge]:
    """An open edge without TLS in front of an upstream, for the length of a block.

    `http`: keys of that section; `more`: sections besides, None for one that is not to be there.
    """
    values = {"version": "0.1", "auth": "none", "upstream": {"url": upstream}, "http": dict(http or {})} | dict(
        more or {}
    )
    values = {key: value for key, value in values.items() if value is not None}
    try:
        with running(Edge(application.create(load_values(values, "test", {}).settings, b"s" * 32))) as server:
            yield server
    finally:
        log_plainly()
