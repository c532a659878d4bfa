"""Worker processes and the drain: everything between the operating system and the ASGI application but sockets.

uvicorn runs processes, lifespan and drain; HTTP and TLS are `http1`'s.
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

# How long requests in flight may take to end after SIGTERM or Ctrl-C, where nobody says otherwise.
DRAIN_S = 60.0
# Go's clients keep idle connections for 90 s; closing later than they do spares them a failed first request.
KEEP_ALIVE_S = 120
# How long a worker may not answer its parent before it is killed and replaced. It can't answer while it starts, and on
# a busy machine a start takes longer than uvicorn's 5 s: workers were killed and started without end.
WORKER_ANSWERS_WITHIN_S = 30
# Objects that are made before the collector looks at the young ones, and how often it looks at the older ones.
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

    A worker gets one copy of `tls`, for its sockets and for the factory where that holds it too: what the application
    refreshes is what serves.

    `options` are those of each connection. `drain_s` is how long requests in flight may take to end; 0 breaks them off.
    Raises StartError where the workers cannot start.
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
    # In force until uvicorn takes the signals over, and when it raises them once more after it has drained.
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

    Shells and systemd keep the soft one low (1,024) for programs that call select(), which knows no more; we don't.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # where the system knows no such number the soft limit stays
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _AppFactory:
    """Makes the application in its process; a class, because it must be picklable."""

    def __init__(self, factory: Callable[[], App]) -> None:
        self.factory = factory

    def __call__(self) -> App:
        app = self.factory()
        # What there is now lasts as long as the process: the collector need not look at it again and again. Requests
        # leave few cycles behind, so it need not look for those as often as it would either.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        return app


class _TlsFactory:
    """uvicorn's signature around ours; a class, because it must be picklable."""

    def __init__(self, tls: LiveTls) -> None:
        self.tls = tls

    def __call__(self, config: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        del config, default
        return self.tls.context


def _end_well(number: int, frame: "FrameType | None") -> None:
    del number, frame
    raise SystemExit(0)
