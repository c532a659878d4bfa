"""uvicorn's HTTP protocol, changed where it has to be: the one seam between uvicorn's insides and us."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# TLS ends with a message each way (RFC 8446 §6.1). asyncio waits 30 s for the peer's, and idle clients do not read.
CLOSE_WITHIN_S = 1.0


class Protocol(HttpToolsProtocol):
    """A connection of ours. An idle one does not hold up the drain."""

    def shutdown(self) -> None:
        """Stop soon: at once where nothing is in flight, else after the answer."""
        super().shutdown()
        if self.transport.is_closing():
            self.loop.call_later(CLOSE_WITHIN_S, self.transport.abort)
