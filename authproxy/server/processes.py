"""The server of this process or of several workers, and its drain.

uvicorn runs lifespan and drain, `workers.py` the processes; `http/server/` does HTTP and TLS.
"""

import gc
import math
import resource
import signal
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import structlog
import uvicorn

from authproxy.asgi import App
from authproxy.errors import StartError
from authproxy.http.server.connection import Connection
from authproxy.http.server.options import DEFAULT, Options
from authproxy.server.sockets import BACKLOG
from authproxy.server.tls import LiveTls
from authproxy.server.uvicorn_config import plain_config
from authproxy.server.workers import Workers

if TYPE_CHECKING:
    from types import FrameType

log = structlog.get_logger(__name__)

# The default for how long running requests may take to end after SIGTERM or Ctrl-C.
DRAIN_S = 60.0
# Go's clients keep idle connections for 90 s; we close later than they do, which spares them a failed first request.
KEEP_ALIVE_S = 120
# How many new objects cause a garbage collection of the young ones, and how often the older ones are collected.
GC_THRESHOLDS = (5_000, 20, 20)


def run(
    app_factory: Callable[[], App],
    sockets: Sequence[socket.socket],
    *,
    tls: LiveTls | None,
    workers: int,
    drain_s: float = DRAIN_S,
    options: Options = DEFAULT,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or Ctrl-C, then drain.

    The factory runs here: so its faults are raised whatever the number of workers. Of several, each makes an
    application of its own after the fork, since nothing that one writes to or counts with may be another's too.

    `tls` is for the sockets and the factory: the object that the application refreshes is the one that serves.

    `options` are those of each connection. `drain_s` is how long running requests may take to end; 0 breaks them off.
    Raises StartError if the workers cannot start.
    """
    app = app_factory()
    if workers > 1:
        del app  # it has loaded all code
    config = plain_config(
        partial(_make_app, app_factory if workers > 1 else lambda: app),
        factory=True,
        interface="asgi3",
        loop="authproxy.http.server.loop:Loop",
        http=partial(Connection, options=options),  # type: ignore[arg-type]  # uvicorn lists its own kinds
        lifespan="on",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(drain_s),  # uvicorn counts whole seconds
        ssl_context_factory=partial(_context_of, tls) if tls else None,
    )
    raise_descriptor_limit()
    # In force until uvicorn takes over the signals, and when it raises them again after the drain.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end_well)
    on_ready()
    if workers == 1:
        uvicorn.Server(config).run(sockets=list(sockets))
    elif not Workers(partial(uvicorn.Server, config), sockets, workers).run():
        raise StartError("a worker process could not start; its log lines above say why")


def raise_descriptor_limit() -> None:
    """Let this process, and the workers that it starts, open as many files as the hard limit allows.

    Shells and systemd keep the soft limit low (1,024) for programs that call select(), which can't handle more; we
    don't call it.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # if the system refuses, the soft limit is kept
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _make_app(factory: Callable[[], App]) -> App:
    app = factory()
    # The objects of now last as long as the process, so the collector need not check them again and again. Requests
    # leave few cycles behind, so it need not run as often as by default either.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
    return app


def _context_of(tls: LiveTls, config: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """Adapts our TLS context to uvicorn's signature."""
    del config, default
    return tls.context


def _end_well(number: int, frame: "FrameType | None") -> None:
    del number, frame
    raise SystemExit(0)
