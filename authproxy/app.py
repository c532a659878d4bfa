"""Settings in, the ASGI application out: joins what `wiring/` makes of the settings.

Observe → StripPrefix → ErrorResponses → HealthGate → DecideClientView → Paths ─┬─ /v2/…: Authorize → SignSessions → …
                                                                                └─ else: web (/token, /.well-known/…)
"""

import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from authproxy.asgi import App
from authproxy.config.settings import Settings
from authproxy.debug.endpoints import debug_pages
from authproxy.debug.server import serve_debug
from authproxy.edge.accesslog import EVENT, NUMBERS, TEXTS, AccessLog
from authproxy.edge.clean_path import RedirectToCleanPath
from authproxy.edge.cors import AnswerPreflights
from authproxy.edge.errors import ErrorResponses
from authproxy.edge.forwarded import DecideClientView
from authproxy.edge.maintenance import MaintenanceFile, MaintenanceMode
from authproxy.edge.observe import Observe, ServedRequest
from authproxy.edge.prefix import StripPrefix
from authproxy.edge.probes import LIVE_PATH, READY_PATH, ProbeResponse, Probes, make_pages
from authproxy.edge.stale_files import RefuseStaleFiles
from authproxy.edge.untrusted_peers import UntrustedPeers
from authproxy.health.gate import HealthGate
from authproxy.log.configure import LEVELS, configure_log, event_renderer, writer
from authproxy.log.once import LogOnce
from authproxy.metrics.families import CERTIFICATE_EXPIRATION, HEALTH_CHECK_UP
from authproxy.metrics.metrics import Metrics
from authproxy.server.tls import LiveTls
from authproxy.web.app import Paths, WebApplication
from authproxy.wiring.auth import Layer, make_auth
from authproxy.wiring.backend import make_backend
from authproxy.wiring.connection_metrics import counting_connections
from authproxy.wiring.edge import make_headers, make_maintenance
from authproxy.wiring.health import make_checks, make_reasons
from authproxy.wiring.lifespan import Lifespan, Parts


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
    auth = make_auth(settings, parts, fallback_secret)
    for layer in reversed(auth.layers):
        registry = layer(registry)
    app: App = Paths(registry, WebApplication(auth.endpoints))
    maintenance = make_maintenance(settings.http, parts)
    probes = make_pages(make_reasons(parts, maintenance))
    for layer in reversed(_layers(settings, parts, maintenance, probes)):
        app = layer(app)
    parts.servers.append(partial(counting_connections, parts.metrics))
    parts.servers.append(partial(serve_debug, _debug_pages(settings, parts, probes), debug_sockets))
    return Lifespan(app, parts)


def _keep_fresh(tls: LiveTls, parts: Parts) -> None:
    """Follow the files of the certificate, which a worker may be the first to read since they changed."""
    tls.refresh()
    parts.reloadables.append(tls)
    parts.metrics.watch(CERTIFICATE_EXPIRATION, tls.expiries)


def _layers(
    settings: Settings,
    parts: Parts,
    maintenance: MaintenanceFile | None,
    probes: Mapping[str, Callable[[], ProbeResponse]],
) -> list[Layer]:
    """The layers before every endpoint, outermost first: the order in which a request meets them."""
    prefix = settings.http.prefix.rstrip("/")
    return [
        *([parts.metrics.count_begun] if settings.http.debug.prometheus.enabled else []),
        partial(Observe, sinks=_sinks(settings, parts)),
        *([partial(StripPrefix, prefix=prefix, beside=probes)] if prefix else []),
        partial(ErrorResponses, headers=make_headers(settings.http)),
        *([AnswerPreflights] if settings.http.cors else []),
        partial(Probes, pages=probes),
        *([partial(MaintenanceMode, maintenance=maintenance)] if maintenance else []),
        *([partial(HealthGate, health=parts.checks)] if parts.checks else []),
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


def _sinks(settings: Settings, parts: Parts) -> list[Callable[[ServedRequest], None]]:
    """The sinks that receive the result of each request."""
    sinks: list[Callable[[ServedRequest], None]] = []
    if LEVELS[settings.log.level] <= LEVELS["info"] and not settings.log.accesslog.disabled:
        access_log = AccessLog(event_renderer(EVENT, TEXTS, NUMBERS), writer())
        parts.closers.append(access_log.close)
        sinks.append(access_log.record)
    if settings.http.debug.prometheus.enabled:
        sinks.append(parts.metrics.record)
    return sinks


def _debug_pages(settings: Settings, parts: Parts, probes: Mapping[str, Callable[[], ProbeResponse]]) -> App:
    parts.metrics.watch(HEALTH_CHECK_UP, parts.checks.results)
    shown = settings.http.debug.prometheus
    beside = {path: probes[path] for path in (LIVE_PATH, READY_PATH)}
    return debug_pages(parts.checks, parts.metrics if shown.enabled else None, metrics_path=shown.path, probes=beside)
