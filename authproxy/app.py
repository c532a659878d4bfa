"""Settings in, the ASGI application out: what `wiring/` makes of the settings, joined.

Observe → StripPrefix → ErrorResponses → Gate → DecideClientView ─┬─ /v2/… → Authorize → SignSessions → backend
                                                                        └─ else  → FastAPI: /token, /.well-known/…
"""

import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from inspect import isfunction
from pathlib import Path

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route

from authproxy.asgi import CLIENT_VIEW, App, Receive, Scope, Send, redirect, respond
from authproxy.config.settings import Settings
from authproxy.debug.endpoints import debug_pages
from authproxy.debug.server import serve_debug
from authproxy.edge.accesslog import EVENT, NUMBERS, TEXTS, AccessLog
from authproxy.edge.clean_path import RedirectToCleanPath
from authproxy.edge.cors import AnswerPreflights
from authproxy.edge.errors import ErrorResponses, render
from authproxy.edge.forwarded import DecideClientView
from authproxy.edge.headers import BASE_PATH, is_registry_path
from authproxy.edge.maintenance import Maintenance, MaintenanceMode
from authproxy.edge.observe import Observe, Served
from authproxy.edge.prefix import StripPrefix
from authproxy.edge.probes import LIVE_PATH, READY_PATH, Page, Probes, make_pages
from authproxy.edge.stale_files import RefuseStaleFiles
from authproxy.edge.untrusted_peers import UntrustedPeers
from authproxy.errors import EndpointUnknown, RegistryError, Unsupported
from authproxy.health.gate import Gate
from authproxy.log.configure import LEVELS, configure_log, event_renderer, writer
from authproxy.log.once import LogOnce
from authproxy.metrics.families import CERTIFICATE_EXPIRATION, HEALTH_CHECK_UP
from authproxy.metrics.metrics import Metrics
from authproxy.server.systemd import READY, notify
from authproxy.server.tls import LiveTls
from authproxy.wiring.auth import Layer, make_gate
from authproxy.wiring.backend import make_backend
from authproxy.wiring.connection_metrics import counting_connections
from authproxy.wiring.edge import make_headers, make_maintenance
from authproxy.wiring.health import make_checks, make_reasons
from authproxy.wiring.lifespan import Parts


def create(
    settings: Settings,
    fallback_secret: bytes,
    *,
    tls: LiveTls | None = None,
    debug_sockets: Sequence[socket.socket] = (),
    shared_folder: Path | None = None,
) -> App:
    """Put the application together. Raises StartError where something it needs is missing or wrong.

    All workers of a server get the same from their parent: `fallback_secret` signs upload sessions where neither
    `http.secret` nor a key ring gives a lasting one, `tls` is what the sockets serve with, `debug_sockets` are those of
    `http.debug.addr`, and in `shared_folder` they share what they count and what they have said (None: there is one
    worker).
    """
    configure_log(settings.log)
    counted = shared_folder if settings.http.debug.prometheus.enabled else None
    parts = Parts(Metrics(counted), make_checks(settings), LogOnce(shared_folder))
    if tls is not None:
        _keep_fresh(tls, parts)
    registry = make_backend(settings, parts)
    pages = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    for layer in reversed(make_gate(settings, parts, pages, fallback_secret)):
        registry = layer(registry)
    _answer_errors(pages)
    app: App = _Paths(registry, pages)
    maintenance = make_maintenance(settings.http, parts)
    probes = make_pages(make_reasons(parts, maintenance))
    for layer in reversed(_layers(settings, parts, maintenance, probes)):
        app = layer(app)
    parts.servers.append(partial(counting_connections, parts.metrics))
    parts.servers.append(partial(serve_debug, _debug_pages(settings, parts, probes), debug_sockets))
    return _Lifespan(app, parts)


def _keep_fresh(tls: LiveTls, parts: Parts) -> None:
    """Follow the files of the certificate, which a worker may be the first to read since they changed."""
    tls.refresh()
    parts.reloadables.append(tls)
    parts.metrics.watch(CERTIFICATE_EXPIRATION, tls.expiries)


def _layers(
    settings: Settings, parts: Parts, maintenance: Maintenance | None, probes: Mapping[str, Callable[[], Page]]
) -> list[Layer]:
    """What stands before everything, outermost first: the order in which a request meets them."""
    prefix = settings.http.prefix.rstrip("/")
    return [
        *([parts.metrics.count_begun] if settings.http.debug.prometheus.enabled else []),
        partial(Observe, sinks=_sinks(settings, parts)),
        *([partial(StripPrefix, prefix=prefix, beside=probes)] if prefix else []),
        partial(ErrorResponses, headers=make_headers(settings.http)),
        *([AnswerPreflights] if settings.http.cors else []),
        partial(Probes, pages=probes),
        *([partial(MaintenanceMode, maintenance=maintenance)] if maintenance else []),
        *([partial(Gate, health=parts.checks)] if parts.checks else []),
        *([partial(RefuseStaleFiles, watch=parts.watch)] if parts.takes_access_away else []),
        partial(
            DecideClientView,
            trusted=settings.http.trustedproxies,
            public_url=settings.http.host,
            relative_locations=settings.http.relativeurls,
            prefix=prefix,
            untrusted_peers=UntrustedPeers(parts.once.claim),
        ),
        RedirectToCleanPath,
    ]


def _sinks(settings: Settings, parts: Parts) -> list[Callable[[Served], None]]:
    """Who is told what became of each request."""
    sinks: list[Callable[[Served], None]] = []
    if LEVELS[settings.log.level] <= LEVELS["info"] and not settings.log.accesslog.disabled:
        access_log = AccessLog(event_renderer(EVENT, TEXTS, NUMBERS), writer())
        parts.closers.append(access_log.close)
        sinks.append(access_log.record)
    if settings.http.debug.prometheus.enabled:
        sinks.append(parts.metrics.record)
    return sinks


def _debug_pages(settings: Settings, parts: Parts, probes: Mapping[str, Callable[[], Page]]) -> App:
    parts.metrics.watch(HEALTH_CHECK_UP, parts.checks.standing)
    shown = settings.http.debug.prometheus
    beside = {path: probes[path] for path in (LIVE_PATH, READY_PATH)}
    return debug_pages(parts.checks, parts.metrics if shown.enabled else None, metrics_path=shown.path, probes=beside)


def _answer_errors(pages: FastAPI) -> None:
    """Errors of the pages go through the same writer as the registry's; the framework's own never show."""

    def answer(error: RegistryError) -> Response:
        status, headers, body = render(error)
        return Response(body, status, dict(headers))

    @pages.exception_handler(RegistryError)
    def answer_ours(request: Request, error: RegistryError) -> Response:
        del request
        return answer(error)

    @pages.exception_handler(HTTPException)
    def answer_the_frameworks(request: Request, error: HTTPException) -> Response:
        prefix = request.scope[CLIENT_VIEW].prefix
        path = prefix + request.url.path[:300]
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = (error.headers or {}).get("Allow", "")
            return answer(Unsupported(f"{request.method} is not supported here", headers=[("Allow", allowed)]))
        return answer(
            EndpointUnknown(f"there is nothing at this path; the registry is at {prefix}{BASE_PATH}", detail=path)
        )


class _Paths:
    """The registry's API below /v2/, everything else to the pages.

    A page with slashes behind its path is redirected to by its path alone: passwords go to one of them, and the
    framework's redirect names the host and the scheme that the last proxy has used.
    """

    def __init__(self, registry: App, pages: FastAPI) -> None:
        self.registry = registry
        self.pages = pages
        # An ASGI application of its own needs nothing of the layers that the framework puts around each endpoint.
        self.plain: dict[str, App] = {
            route.path: route.endpoint
            for route in pages.routes
            if isinstance(route, Route) and not isfunction(route.endpoint)
        }
        self.page_paths = frozenset(route.path for route in pages.routes if isinstance(route, Route))

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        path = scope["path"]
        if (endpoint := self.plain.get(path)) is not None:
            return endpoint(scope, receive, send)
        if path == "/v2":
            return respond(send, 301, [("Location", scope[CLIENT_VIEW].prefix + BASE_PATH), ("Content-Length", "0")])
        if is_registry_path(path):
            return self.registry(scope, receive, send)
        if path[-1:] == "/" and (page := path.rstrip("/")) in self.page_paths:
            return redirect(scope, send, HTTPStatus.TEMPORARY_REDIRECT, page)
        return self.pages(scope, receive, send)


class _Lifespan:
    """The outermost layer: starts and ends what runs beside the requests, and lets nothing but HTTP pass."""

    def __init__(self, app: App, parts: Parts) -> None:
        self.app = app
        self.parts = parts

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        match scope["type"]:
            case "http":
                return self.app(scope, receive, send)
            case "lifespan":
                return self._live(receive, send)
            case other:
                raise RuntimeError(f"{other} is not served")

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()  # startup
        async with self.parts.running():
            await send({"type": "lifespan.startup.complete"})
            notify(READY)  # by each worker: the first that serves counts
            await receive()  # shutdown
        await send({"type": "lifespan.shutdown.complete"})
