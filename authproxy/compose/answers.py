"""The section `http` → what answers have in common, whoever makes them."""

from authproxy.config.cors import Cors as CorsSection
from authproxy.config.serving import Http
from authproxy.edge.cors import Cors
from authproxy.edge.headers import CommonHeaders


def make_headers(http: Http) -> CommonHeaders:
    """The headers that every answer gets."""
    return CommonHeaders(http.headers, _cors(http.cors) if http.cors is not None else None)


def _cors(section: CorsSection) -> Cors:
    return Cors(
        origins=section.origins,
        methods=section.methods,
        headers=section.headers,
        exposed=section.exposed,
        max_age_s=int(section.maxage.total_seconds()),
        allow_credentials=section.credentials,
    )
