"""The section `http` → the headers of every response, and the maintenance mode."""

import math

from authproxy.config.sections.cors import Cors as CorsSection
from authproxy.config.sections.http import Http
from authproxy.edge.cors import Cors
from authproxy.edge.headers import CommonHeaders
from authproxy.edge.maintenance import MaintenanceFile
from authproxy.wiring.lifespan import Parts

# A browser must not guess the type of a response and take a blob for a page of ours (WHATWG Fetch §3.6).
DEFAULTS = {"X-Content-Type-Options": ("nosniff",)}


def make_headers(http: Http) -> CommonHeaders:
    """The headers that every response gets."""
    everywhere = DEFAULTS | {name: entry for name, entry in http.headers.items() if not isinstance(entry, dict)}
    by_path = {path: entry for path, entry in http.headers.items() if isinstance(entry, dict)}
    return CommonHeaders(everywhere, by_path, _cors(http.cors) if http.cors is not None else None)


def make_maintenance(http: Http, parts: Parts) -> MaintenanceFile | None:
    """The file whose existence turns maintenance on; None if the configuration names none."""
    section = http.maintenance
    if section is None:
        return None
    retry_after_s = math.ceil(section.retryafter.total_seconds())
    maintenance = MaintenanceFile(section.file, message=section.message, retry_after_s=retry_after_s)
    parts.reloadables.append(maintenance)
    return maintenance


def _cors(section: CorsSection) -> Cors:
    return Cors(
        origins=section.origins,
        methods=section.methods,
        headers=section.headers,
        exposed=section.exposed,
        max_age_s=int(section.maxage.total_seconds()),
        allow_credentials=section.credentials,
    )
