"""uvicorn without ideas of its own, as every server of ours runs it."""

from functools import partial

import uvicorn

# It believes forwarded headers of anybody on loopback, names itself in each answer, and has a log of its own: all that
# is the edge's. Nothing here speaks WebSocket.
plain_config = partial(
    uvicorn.Config,
    ws="none",
    proxy_headers=False,
    server_header=False,
    access_log=False,
    log_config=None,
)
