"""Sockets, worker processes and the drain: everything between the operating system and the ASGI application.

uvicorn speaks HTTP (httptools) on the asyncio loop. Its own idea of forwarded headers is off, because it believes
anybody on loopback, and so are upgrades: they would be a way around the edge.
"""

import errno
import signal
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn
from uvicorn.supervisors import Multiprocess

from authproxy.asgi import App
from authproxy.errors import StartError
from authproxy.protocol import Protocol

if TYPE_CHECKING:
    from types import FrameType

log = structlog.get_logger(__name__)

# How long requests in flight may take to end after SIGTERM or Ctrl-C.
DRAIN_S = 60
# Go's clients keep idle connections for 90 s; closing later than they do spares them a failed first request.
KEEP_ALIVE_S = 120
BACKLOG = 2048


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets for an address of the configuration.

    "" is every address, IPv4 and IPv6; a name is all that it resolves to (`localhost`: 127.0.0.1 and ::1), of which
    one must be there. Port 0 takes any free port, the same for all. Raises StartError where none can be had.
    """
    with ExitStack() as opened:
        sockets: list[socket.socket] = []
        refusal: OSError | None = None
        for family, address in _resolve(host, port):
            try:
                bound = _listen(family, address, sockets[0].getsockname()[1] if sockets and port == 0 else port)
            except OSError as exc:
                # A machine without IPv6 still has an address in its hosts file.
                if exc.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    refusal = exc
                    continue
                raise _bind_error(host, port, exc) from exc
            sockets.append(opened.enter_context(bound))
        if not sockets:
            assert refusal is not None
            raise _bind_error(host, port, refusal)
        opened.pop_all()
        return sockets


def run(
    app_factory: Callable[[], App],
    sockets: Sequence[socket.socket],
    *,
    tls_factory: Callable[[], ssl.SSLContext] | None,
    workers: int,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or Ctrl-C, then drain. Both factories must be picklable: with workers they run in each.

    Raises StartError where the workers cannot start.
    """
    config = uvicorn.Config(
        app_factory,
        factory=True,
        loop="asyncio",
        http=Protocol,
        ws="none",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
        ssl_context_factory=_TlsFactory(tls_factory) if tls_factory else None,
        workers=workers,
    )
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


class _TlsFactory:
    """uvicorn's signature around ours; a class, because it must be picklable."""

    def __init__(self, factory: Callable[[], ssl.SSLContext]) -> None:
        self.factory = factory

    def __call__(self, config: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        del config, default
        return self.factory()


def _end_well(number: int, frame: "FrameType | None") -> None:
    del number, frame
    raise SystemExit(0)


def _resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    if not host:
        # One socket of IPv6 takes IPv4 too where the system has both.
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        return [(family, ("", port))]
    if host == "localhost":  # both loopback addresses (RFC 6761 §6.3), whatever the hosts file lists
        return [(socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET6, ("::1", port))]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as exc:
        raise StartError(f"http.addr: cannot find the address of {host!r}: {exc.strerror}") from exc
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _listen(family: socket.AddressFamily, address: tuple[Any, ...], port: int) -> socket.socket:
    bound = socket.create_server(
        (address[0], port),
        family=family,
        backlog=BACKLOG,
        dualstack_ipv6=family is socket.AF_INET6 and address[0] == "",
    )
    # Accepted sockets inherit it. asyncio sets it only on sockets made with IPPROTO_TCP, which these are not, and
    # without it head and body of a small answer are 40 ms apart: the client's delayed acknowledgement.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


def _bind_error(host: str, port: int, exc: OSError) -> StartError:
    where = f"http.addr: cannot listen on {host or '*'}:{port}"
    match exc.errno:
        case errno.EADDRINUSE:
            return StartError(
                f"{where}: another program uses this port; stop it, or choose another port with"
                f" REGISTRY_HTTP_ADDR={host}:{port + 1}"
            )
        case errno.EACCES:
            return StartError(f"{where}: not permitted; ports below 1024 need root or CAP_NET_BIND_SERVICE")
        case _:
            return StartError(f"{where}: {exc.strerror}")
