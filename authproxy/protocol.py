"""uvicorn's HTTP protocol, changed where it has to be: the one seam between uvicorn's insides and us."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# TLS ends with a message each way (RFC 8446 §6.1). asyncio waits 30 s for the peer's, and idle clients do not read.
CLOSE_WITHIN_S = 1.0


class Protocol(HttpToolsProtocol):
    """A connection of ours. One on which nothing is left to send does not hold up the drain."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone, or we have closed. Nothing may hold on to what TLS needed, 300 KB a connection."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn leaves it running where the connection broke off

    def shutdown(self) -> None:
        """Stop soon: at once where nothing is in flight, else after the answer."""
        if not self.transport.is_closing():  # asyncio's TLS transport loses its other half when it is closed twice
            super().shutdown()
        self._close_soon()

    def on_response_complete(self) -> None:
        """The answer has been handed over; it may have been the last on this connection."""
        super().on_response_complete()
        self._close_soon()

    def _close_soon(self) -> None:
        if self.transport.is_closing():
            self.loop.call_later(CLOSE_WITHIN_S, self._close_if_sent)

    def _close_if_sent(self) -> None:
        if self not in self.connections:
            return
        if _unsent_bytes(self.transport) == 0:
            self.transport.abort()
        else:  # a slow client gets the end of its answer
            self._close_soon()


def _unsent_bytes(transport: asyncio.WriteTransport) -> int:
    """What has not reached the kernel yet: in the transport, and for TLS in the one below it, which asyncio hides."""
    tls = getattr(transport, "_ssl_protocol", transport)
    if tls is None:  # closed twice: asyncio has let go of it
        return 0
    below = getattr(tls, "_transport", None)
    return transport.get_write_buffer_size() + (below.get_write_buffer_size() if below is not None else 0)
