"""Audit lines to a syslog daemon: RFC 5424 in datagrams, over a Unix socket or over UDP (RFC 5426).

<86>1 2026-01-02T03:04:05.678901Z node-1 authproxy 4711 audit - {"client":…}
"""

import errno
import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from authproxy.audit.chain import Link
from authproxy.audit.log import rfc3339
from authproxy.audit.sink import LinesRefused, SinkFailed
from authproxy.clock import Clock

# RFC 5424 §6.2.1: facility 10 (security and authorization) times 8, and severity 6 (informational).
PRIORITY = 10 * 8 + 6
# How long to wait for a slow daemon, in seconds, before a retry.
TIMEOUT_S = 5.0


class SyslogSink:
    """`address` is the path of a Unix socket (`/dev/log`), or host and port for UDP.

    A name is resolved again after a failure. Only `audit verify` detects a lost UDP datagram.
    """

    name = "syslog"

    def __init__(self, address: Path | tuple[str, int], *, now: Clock = time.time) -> None:
        self._address = address
        self._now = now
        self._socket: socket.socket | None = None
        # RFC 5424 §6: printable ASCII, without spaces.
        host = "".join(c for c in socket.gethostname() if c.isascii() and c.isprintable() and c != " ")[:255]
        self._head = f"{host or '-'} authproxy {os.getpid()} audit -"

    def open(self) -> Link | None:
        """A new chain: lines sent cannot be read back."""
        return None

    def write(self, lines: Sequence[bytes]) -> int:
        """See AuditSink."""
        taken = 0
        try:
            for line in lines:
                self._connected().send(f"<{PRIORITY}>1 {rfc3339(self._now())} {self._head} ".encode() + line.rstrip())
                taken += 1
        except OSError as exc:
            if taken:
                return taken
            if exc.errno == errno.EMSGSIZE:
                raise LinesRefused(
                    f"{self._where}: a line of {len(lines[0])} bytes is too long for a datagram", 1
                ) from exc
            self.close()
            raise SinkFailed(f"{self._where}: {os.strerror(exc.errno) if exc.errno else exc}") from exc
        return taken

    def close(self) -> None:
        """See AuditSink."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None

    @property
    def _where(self) -> str:
        return str(self._address) if isinstance(self._address, Path) else ":".join(map(str, self._address))

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = self._connect()
        return self._socket

    def _connect(self) -> socket.socket:
        if isinstance(self._address, Path):
            return _connect_to(socket.AF_UNIX, str(self._address))
        host, port = self._address
        family, _, _, _, target = socket.getaddrinfo(host or "localhost", port, type=socket.SOCK_DGRAM)[0]
        return _connect_to(family, target)


def _connect_to(family: int, target: object) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.settimeout(TIMEOUT_S)
        made.connect(target)  # type: ignore[arg-type]  # of the kind that its family has
    except BaseException:
        made.close()
        raise
    return made
