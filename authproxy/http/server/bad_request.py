"""The response to bytes that are not a valid request. The server itself sends it: no application has seen a request."""

import json
from http import HTTPStatus

# OCI Distribution 1.1, "Error Codes"; UNSUPPORTED for every other status.
_CODES = {HTTPStatus.TOO_MANY_REQUESTS: "TOOMANYREQUESTS"}
_CODE = "UNSUPPORTED"


class Unreadable(Exception):
    """The bytes are not a request that can be served: the status of the response, and a message for the client."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status

    def answer(self) -> bytes:
        """The whole response. The connection ends after it: the beginning of a next request would be unknown.

        It has the registry's error format: most clients here are a registry's, and log nothing else.
        """
        status = HTTPStatus(self.status)
        text = json.dumps({"errors": [{"code": _CODES.get(status, _CODE), "message": str(self)}]}) + "\n"
        return (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\ncontent-type: application/json\r\n"
            "docker-distribution-api-version: registry/2.0\r\nx-content-type-options: nosniff\r\n"
            f"content-length: {len(text)}\r\n\r\n{text}"
        ).encode("ascii")
