"""Worker processes and their drain.

uvicorn runs processes, lifespan and drain; `http/server/` does HTTP and TLS.
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
from uvicorn.supervisors import Multiprocess

from authproxy.asgi import App
from authproxy.errors import StartError
from authproxy.http.server.connection import Connection
from authproxy.http.server.options import DEFAULT, Options
from authproxy.server.sockets import BACKLOG
from authproxy.server.tls import LiveTls
from authproxy.server.uvicorn_config import plain_config

if TYPE_CHECKING:
    from types import FrameType

log = structlog.get_logger(__name__)

# The default for how long running requests may take to end after SIGTERM or Ctrl-C.
DRAIN_S = 60.0
# Go's clients keep idle connections for 90 s; we close later than they do, which spares them a failed first request.
KEEP_ALIVE_S = 120
# After how long without an answer to its parent a worker is killed and replaced. It can't answer while it starts, and
# on a busy machine a start takes longer than uvicorn's 5 s: workers were killed and started in an endless loop.
WORKER_ANSWERS_WITHIN_S = 30
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
    """Serve until SIGTERM or Ctrl-C, then drain. The factory must be picklable: with workers it runs in each.

    A worker gets one copy of `tls`, for its sockets and for the factory, so that the object that the application
    refreshes is the one that serves.

    `options` are those of each connection. `drain_s` is how long running requests may take to end; 0 breaks them off.
    Raises StartError if the workers cannot start.
    """
    config = plain_config(
        _AppFactory(app_factory),
        factory=True,
        interface="asgi3",
        loop="authproxy.http.server.loop:Loop",
        http=partial(Connection, options=options),  # type: ignore[arg-type]  # uvicorn lists its own kinds
        lifespan="on",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(drain_s),  # uvicorn counts whole seconds
        ssl_context_factory=_TlsFactory(tls) if tls else None,
        workers=workers,
        timeout_worker_healthcheck=WORKER_ANSWERS_WITHIN_S,
    )
    raise_descriptor_limit()
    # In force until uvicorn takes over the signals, and when it raises them again after the drain.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end_well)
    on_ready()
    if workers == 1:
        uvicorn.Server(config).run(sockets=list(sockets))
        return
    supervisor = Multiprocess(config, list(sockets))
    supervisor.run()
    if any(process.exitcode == uvicorn.config.STARTUP_FAILURE for process in supervisor.processes):
        raise StartError("a worker process could not start; its log lines above say why")


def raise_descriptor_limit() -> None:
    """Let this process, and the workers that it starts, open as many files as the hard limit allows.

    Shells and systemd keep the soft limit low (1,024) for programs that call select(), which can't handle more; we
    don't call it.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # if the system refuses, the soft limit is kept
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _AppFactory:
    """Makes the application in its process; a class, because it must be picklable."""

    def __init__(self, factory: Callable[[], App]) -> None:
        self.factory = factory

    def __call__(self) -> App:
        app = self.factory()
        # The objects of now last as long as the process, so the collector need not check them again and again. Requests
        # leave few cycles behind, so it need not run as often as by default either.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        return app


class _TlsFactory:
    """Adapts our TLS context to uvicorn's signature; a class, because it must be picklable."""

    def __init__(self, tls: LiveTls) -> None:
        self.tls = tls

    def __call__(self, config: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        del config, default
        return self.tls.context


def _end_well(number: int, frame: "FrameType | None") -> None:
    del number, frame
    raise SystemExit(0)
