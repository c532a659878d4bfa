"""The section `upstream` → the backend that is another registry."""

from functools import partial

from authproxy.compose.parts import Parts
from authproxy.config.upstream import Upstream as Section
from authproxy.config.upstream import UpstreamHealth
from authproxy.proxy.places import HealthCheck
from authproxy.proxy.tls import TlsFiles
from authproxy.proxy.upstream import Upstream


def make_upstream(section: Section, parts: Parts) -> Upstream:
    """The upstream of a section; it is closed with `parts`. Raises StartError where a file of it cannot be used."""
    upstream = Upstream(section.urls, pass_authorization=section.authorization == "pass", tls=_tls_files(section))
    parts.closers.append(upstream.aclose)
    if section.health is not None:
        name = f"health of upstream {len(parts.runners)}: {', '.join(section.urls)}"
        parts.runners[name] = partial(upstream.watch_health, _health_check(section.health))
    return upstream


def _tls_files(section: Section) -> TlsFiles:
    return TlsFiles(section.ca, section.certificate, section.key, section.servername)


def _health_check(row: UpstreamHealth) -> HealthCheck:
    return HealthCheck(row.path, row.interval.total_seconds(), row.timeout.total_seconds(), row.threshold)
