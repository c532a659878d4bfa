"""uvicorn's configuration for all our servers, without the features that the edge has."""

from functools import partial

import uvicorn

# By default it trusts forwarded headers of any peer on loopback, names itself in each response, and has a log of its
# own: these are the edge's. Nothing here uses WebSocket.
plain_config = partial(
    uvicorn.Config,
    ws="none",
    proxy_headers=False,
    server_header=False,
    access_log=False,
    log_config=None,
)
