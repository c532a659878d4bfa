"""The event loop's data about its connections, as metrics."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from authproxy.http.server.loop import Loop
from authproxy.metrics.families import CONNECTIONS, CONNECTIONS_ENDED, CONNECTIONS_REFUSED, MAX_CONNECTIONS
from authproxy.metrics.metrics import Metrics


@asynccontextmanager
async def counting_connections(metrics: Metrics) -> AsyncIterator[None]:
    """Let the metrics read the running loop's admission, if the loop is ours."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, Loop):
        admission = loop.admission
        metrics.watch(CONNECTIONS, lambda: {(): len(admission)})
        metrics.watch(MAX_CONNECTIONS, lambda: {(): admission.most})
        metrics.watch(CONNECTIONS_ENDED, lambda: {(reason,): n for reason, n in admission.ended.items()})
        metrics.watch(CONNECTIONS_REFUSED, lambda: {(reason,): n for reason, n in admission.refused.items()})
    yield
