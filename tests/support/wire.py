"""Bytes on a TLS connection: for what no HTTP client sends, and for what each of them hides of the answer."""

import socket
import ssl
from dataclasses import dataclass
from typing import Self

READ_BYTES = 64 * 1024


class ConnectionEnded(Exception):
    """The server has ended the connection, in the middle of an answer or before one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it stood on the wire. Names of headers are in lower case; none is repeated in what we test."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """One connection. Reading gives up after `timeout_s`, with TimeoutError."""

    def __init__(self, port: int, trust: ssl.SSLContext, *, timeout_s: float = 20) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self._tls = trust.wrap_socket(plain, server_hostname="localhost")
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tls.close()

    def send(self, *pieces: bytes) -> None:
        """Each piece in a record of TLS of its own. Raises ConnectionEnded where the server takes no more."""
        try:
            for piece in pieces:
                self._tls.sendall(piece)
        except (ConnectionError, ssl.SSLError) as error:
            raise ConnectionEnded(repr(error)) from error

    def read(self, method: str = "GET") -> Answer:
        """The next answer, which may be one of 1xx. Raises ConnectionEnded."""
        while b"\r\n\r\n" not in self._read:
            self._more()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status = first.split(" ", 2)[:2]
        assert version == "HTTP/1.1", first
        pairs = [line.partition(":")[::2] for line in lines]
        headers = {name.lower(): value.strip() for name, value in pairs}
        assert len(headers) == len(pairs), lines
        return Answer(int(status), headers, self._body(method, int(status), headers))

    def rest(self) -> bytes:
        """All that still comes until the server ends the connection. Waits for it."""
        try:
            while True:
                self._more()
        except ConnectionEnded:
            return self._read

    def _body(self, method: str, status: int, headers: dict[str, str]) -> bytes:
        """What belongs to the answer (RFC 9112 §6.3); our server never ends a body with the connection."""
        if method == "HEAD" or status in (204, 304) or status < 200:
            return b""
        if headers.get("transfer-encoding") == "chunked":
            return self._chunks()
        return self._take(int(headers["content-length"]))

    def _chunks(self) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in self._read:
                self._more()
            size, _, self._read = self._read.partition(b"\r\n")
            piece = self._take(int(size, 16) + 2)
            assert piece.endswith(b"\r\n")
            if len(piece) == 2:
                return body
            body += piece[:-2]

    def _take(self, count: int) -> bytes:
        while len(self._read) < count:
            self._more()
        taken, self._read = self._read[:count], self._read[count:]
        return taken

    def _more(self) -> None:
        try:
            got = self._tls.recv(READ_BYTES)
        except (ConnectionError, ssl.SSLError) as error:
            raise ConnectionEnded(repr(error)) from error
        if not got:
            raise ConnectionEnded
        self._read += got


def request(method: str, target: str, *headers: str, body: bytes = b"", host: str = "registry.test:5000") -> bytes:
    """A request of HTTP/1.1 as clients write it. `headers` are whole lines; one of them has to frame the body."""
    lines = (f"{method} {target} HTTP/1.1", f"Host: {host}", *headers, "", "")
    return "\r\n".join(lines).encode("latin-1") + body
