"""asyncio's event loop, changed to accept connections for our own transports."""

import asyncio
import errno
import resource
import socket
import ssl
import sys
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from authproxy.budget import client_network, max_connections
from authproxy.http.server.connection_limit import Admission, Place
from authproxy.http.server.options import DEFAULT, Options
from authproxy.http.server.proxy_protocol import AwaitPreamble
from authproxy.http.server.tls import TlsTransport
from authproxy.http.server.transport import SocketTransport
from authproxy.log.alarms import sound

# Connections that are accepted in one turn of the loop: the open ones need their turn too.
ACCEPTS_A_TURN: Final = 64

# If the process or the machine can't open another connection: how long to wait until one may have ended.
RETRY_S: Final = 1.0
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Loop(asyncio.SelectorEventLoop):
    """Overrides a private method of asyncio, with which its servers accept connections.

    Connections whose protocol is an `asyncio.BufferedProtocol` get our transports, all others asyncio's. `admission`
    limits the number of ours. Accepted connections are closed with the loop.
    """

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission(max_connections(resource.getrlimit(resource.RLIMIT_NOFILE)[0]), self.time)
        self._accepted: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def close(self) -> None:
        """See asyncio."""
        if not hasattr(self, "_accepted"):  # a signal has ended the process while the loop was made
            return
        super().close()
        for connection in list(self._accepted):
            connection.close()

    def _accept_connection(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        sock: socket.socket,
        sslcontext: ssl.SSLContext | None = None,
        server: Any = None,
        backlog: int = 100,
        *timeouts: float | None,
    ) -> None:
        """Called when the listening socket has connections; registered by asyncio's `create_server`."""
        for _ in range(min(backlog, ACCEPTS_A_TURN)):
            try:
                connection, peer = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                sound("no more connections can be accepted", reason=str(error.strerror), retry_s=RETRY_S)
                self.remove_reader(sock)
                again = partial(self._start_serving, protocol_factory, sock, sslcontext, server, backlog, *timeouts)  # type: ignore[attr-defined]  # asyncio's own
                self.call_later(RETRY_S, self._accept_again, sock, again)
                return
            connection.setblocking(False)
            self._accept(protocol_factory(), connection, peer, sslcontext, server, timeouts)

    def _accept_again(self, sock: socket.socket, start: Callable[[], None]) -> None:
        if sock.fileno() >= 0:  # the server has not ended in the meantime
            start()

    def _accept(
        self,
        protocol: asyncio.BaseProtocol,
        connection: socket.socket,
        peer: object,
        tls: ssl.SSLContext | None,
        server: Any,
        timeouts: tuple[float | None, ...],
    ) -> None:
        if not isinstance(protocol, asyncio.BufferedProtocol):
            about = {"peername": peer}
            self.create_task(
                self._accept_connection2(lambda: protocol, connection, about, tls, server, *timeouts)  # type: ignore[attr-defined]  # asyncio's own
            )
            return
        options: Options = getattr(protocol, "options", DEFAULT)
        place = self.admission.admit(_client(peer, options))
        if place is None:
            connection.close()
            return
        serve = partial(self._serve, protocol, connection, place=place, tls=tls, server=server)
        if options.sends_preamble is not None and options.sends_preamble(_host(peer)):
            self._accepted.add(connection)
            go_on = partial(self._serve_for, serve, connection, place, options)
            AwaitPreamble(self, connection, peer, go_on, place).begin()
        else:
            serve(peer)

    def _serve_for(
        self,
        serve: Callable[[object], None],
        connection: socket.socket,
        place: Place,
        options: Options,
        client: object,
    ) -> None:
        """A proxy has named its client: from now on the connection counts against the client's share."""
        share = _client(client, options)
        if share is not None and not self.admission.count_against(place, share):
            connection.close()
            place.free()
            return
        serve(client)

    def _serve(
        self,
        protocol: asyncio.BufferedProtocol,
        connection: socket.socket,
        peer: object,
        *,
        place: Place,
        tls: ssl.SSLContext | None,
        server: Any,
    ) -> None:
        """Pass a connection to its transport. `peer`: the client's address."""
        if not server.is_serving():  # it has ended during the wait for the preamble
            connection.close()
            place.free()
            return
        on_end = partial(_detach, server)
        transport: SocketTransport
        try:
            if tls is None:
                transport = SocketTransport(self, connection, protocol, peer=peer, on_end=on_end, place=place)
            else:
                connection.getpeername()  # if this fails, wrap_socket would too, and leave an unclosed socket
                connection = tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                transport = TlsTransport(self, connection, protocol, peer=peer, on_end=on_end, place=place)
        except OSError:  # the client has already disconnected
            connection.close()
            place.free()
            return
        self._accepted.add(connection)
        _attach(server, transport)
        transport.begin()


def _client(peer: object, options: Options) -> str | None:
    """The network whose share a connection takes; None for a Unix socket and for a proxy, which have many clients."""
    host = _host(peer)
    return None if not host or (options.is_proxy is not None and options.is_proxy(host)) else client_network(host)


def _host(peer: object) -> str:
    """The address of a peer; "" for a Unix socket."""
    return str(peer[0]) if isinstance(peer, tuple) else ""


def _attach(server: Any, transport: SocketTransport) -> None:
    """Register the connection with asyncio's server, as every transport of asyncio does."""
    server._attach(*([transport] if sys.version_info >= (3, 13) else []))  # noqa: SLF001


def _detach(server: Any, transport: SocketTransport) -> None:
    """The connection has ended."""
    server._detach(*([transport] if sys.version_info >= (3, 13) else []))  # noqa: SLF001
