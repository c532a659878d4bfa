"""What a client is told of bytes that are no request, by whoever reads them: nobody behind has seen a request then."""

import json
from http import HTTPStatus

# OCI Distribution 1.1, "Error Codes"; whatever else it is, it is nothing that is supported here.
_CODES = {HTTPStatus.TOO_MANY_REQUESTS: "TOOMANYREQUESTS"}
_CODE = "UNSUPPORTED"


class Unreadable(Exception):
    """What came is no request that could be served: the status of the answer, and a sentence for the client."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status

    def answer(self) -> bytes:
        """All of the answer, after which the connection ends: where a next request would begin nobody can tell.

        It has the registry's form, for most who ask here are its clients, and their log shows nothing else.
        """
        status = HTTPStatus(self.status)
        text = json.dumps({"errors": [{"code": _CODES.get(status, _CODE), "message": str(self)}]}) + "\n"
        return (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\ncontent-type: application/json\r\n"
            "docker-distribution-api-version: registry/2.0\r\nx-content-type-options: nosniff\r\n"
            f"content-length: {len(text)}\r\n\r\n{text}"
        ).encode("ascii")
