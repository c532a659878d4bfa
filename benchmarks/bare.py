"""The smallest ASGI application: no other can be faster on the same server."""

import os

from authproxy.asgi import Receive, Scope, Send, respond

# The file that a request for FILE_PATH gets, named by an environment variable of the server's process.
FILE_VARIABLE = "BENCHMARKS_BARE_FILE"
FILE_PATH = "/file"
PIECE_BYTES = 256 * 1024

_HEADERS = (("content-type", "application/json"), ("content-length", "2"))


async def app(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer `{}` to every request except those for FILE_PATH. Started with `--lifespan off`."""
    assert scope["type"] == "http"
    if scope["path"] == FILE_PATH:
        await _send_file(os.environ[FILE_VARIABLE], send)
    else:
        await respond(send, 200, _HEADERS, b"{}")


async def _send_file(path: str, send: Send) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        length = str(os.fstat(descriptor).st_size).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        while piece := os.read(descriptor, PIECE_BYTES):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        os.close(descriptor)
