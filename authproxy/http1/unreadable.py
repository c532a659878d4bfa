"""What a client is told of bytes that are no request, by whoever reads them: nobody behind has seen a request then."""

from http import HTTPStatus


class Unreadable(Exception):
    """What came is no request that could be served: the status of the answer, and a sentence for the client."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status

    def answer(self) -> bytes:
        """All of the answer, after which the connection ends: where a next request would begin nobody can tell."""
        text = f"{self}\n"
        return (
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\nconnection: close\r\n"
            f"content-type: text/plain\r\ncontent-length: {len(text)}\r\n\r\n{text}"
        ).encode("ascii", "replace")
