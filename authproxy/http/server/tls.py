"""TLS on the socket itself, for accepted connections.

asyncio's own TLS moves every byte through two buffers in memory, and each end of a connection through a state machine;
here OpenSSL reads from the socket and writes to it. See docs/decisions/0015-run-http-on-a-connection-of-our-own.md for
the gain.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any, ClassVar, Final

import structlog

from authproxy.http.server.bad_request import Unreadable
from authproxy.http.server.connection_limit import Place
from authproxy.http.server.transport import SocketTransport

log = structlog.get_logger(__name__)

# The most bytes in a record of TLS (RFC 8446 §5.1); OpenSSL returns one record at a time.
RECORD_BYTES: Final = 16 * 1024

HANDSHAKE_WITHIN_S: Final = 60.0

_SPEAKS_TLS: Final = Unreadable(400, "this port speaks HTTPS, and the request was plain HTTP: use https://")


class TlsTransport(SocketTransport):
    """The server's end of one TLS connection, which begins with the handshake."""

    WANTS: ClassVar[tuple[type[OSError], ...]] = (ssl.SSLWantReadError, ssl.SSLWantWriteError)

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: ssl.SSLSocket,
        protocol: asyncio.BufferedProtocol,
        *,
        peer: object,
        on_end: Callable[[SocketTransport], None],
        place: Place | None = None,
    ) -> None:
        about = {"sslcontext": connection.context, "ssl_object": connection}
        super().__init__(loop, connection, protocol, peer=peer, on_end=on_end, about=about, place=place)
        self._tls = connection
        self._peer = peer
        # OpenSSL's object itself: the socket's methods wrap each of its methods in two or three calls, which is much
        # where a request needs three.
        self._openssl: Any = connection._sslobj  # type: ignore[attr-defined]  # noqa: SLF001 - private in ssl
        self._owes_peer = False  # OpenSSL must send bytes of its own before it can read more

    def begin(self) -> None:
        """Perform the handshake, then begin as usual."""
        self._timer = self._loop.call_later(HANDSHAKE_WITHIN_S, self.abort)
        self._shake_hands()

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._loop.remove_writer(self._descriptor)
            self._loop.add_reader(self._descriptor, self._shake_hands)
            return
        except ssl.SSLWantWriteError:
            self._loop.add_writer(self._descriptor, self._shake_hands)
            return
        except OSError as error:
            self._refuse(error)
            return
        self._stop_watching()
        super().begin()

    def _refuse(self, error: OSError) -> None:
        """The handshake failed: no TLS, no common cipher, a certificate that the peer rejects, or a lost connection."""
        reason = error.reason if isinstance(error, ssl.SSLError) else None
        if reason and not isinstance(error, ssl.SSLEOFError):
            log.info("TLS handshake failed", client=self._peer, reason=reason.lower().replace("_", " "))
        if reason != "HTTP_REQUEST":
            self._break(error)
            return
        with contextlib.suppress(OSError):
            socket.socket.send(self._tls, _SPEAKS_TLS.answer())  # no byte of TLS has been sent
        self._is_closing = True
        self._stop_watching()
        self._end(None)

    def _fill(self, room: memoryview) -> tuple[int, bool, bool]:
        count, size, openssl = 0, len(room), self._openssl
        try:
            while count < size:
                got = openssl.read(size - count, room[count:] if count else room)
                if got == 0:
                    return count, True, True
                count += got
                # Less than a full record: very likely a whole request. Reading more would cost a system call and an
                # exception; if there is more after all, the next turn reads it.
                if got < RECORD_BYTES and self._reads == 1 and not openssl.pending():
                    return count, True, False
        except ssl.SSLWantReadError:
            return count, True, False
        except ssl.SSLWantWriteError:
            self._owe()
            return count, True, False
        except ssl.SSLEOFError:  # without TLS's own end: HTTP itself marks the end of messages
            return count, True, True
        return count, False, False

    def _send(self, data: bytes | bytearray | memoryview) -> int:
        sent: int = self._openssl.write(data)
        return sent

    def _pending(self) -> int:
        pending: int = self._openssl.pending()
        return pending

    def _owe(self) -> None:
        """OpenSSL must send before it reads more, since the peer requests new keys (RFC 8446 §4.6.3), and can't yet."""
        self._owes_peer = True
        self._loop.remove_reader(self._descriptor)
        self._loop.add_writer(self._descriptor, self._send_on)

    def _send_on(self) -> None:
        super()._send_on()
        if self._owes_peer:
            self._owes_peer = False
            if self._is_reading:
                self._loop.add_reader(self._descriptor, self._read)
                self._loop.call_soon(self._read)

    def _say_goodbye(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._tls.unwrap()  # RFC 8446 §6.1; we don't wait for the peer's
