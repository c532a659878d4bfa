"""asyncio's event loop, with TLS of accepted connections on the socket itself."""

import asyncio
import socket
import ssl
from typing import Any

from authproxy.http1.transport import TlsTransport


class Loop(asyncio.SelectorEventLoop):
    """A seam to asyncio's insides: the one method with which its servers make a TLS connection of an accepted one."""

    def _make_ssl_transport(
        self,
        rawsock: socket.socket,
        protocol: asyncio.BaseProtocol,
        sslcontext: ssl.SSLContext,
        waiter: "asyncio.Future[None] | None" = None,
        *,
        server_side: bool = False,
        server: Any = None,
        **others: Any,
    ) -> asyncio.Transport:
        if server_side and isinstance(protocol, asyncio.BufferedProtocol):
            return TlsTransport(self, rawsock, protocol, sslcontext, waiter=waiter, server=server)
        made: asyncio.Transport = super()._make_ssl_transport(  # type: ignore[misc]  # typeshed leaves it out
            rawsock, protocol, sslcontext, waiter, server_side=server_side, server=server, **others
        )
        return made
