"""`http.cors`: which web pages of other sites may send requests. All of it is ours."""

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from authproxy.config.document.messages import conflict
from authproxy.config.document.scalars import Boolean, NonNegativeDuration, parse_base_url
from authproxy.config.document.schema import Section
from authproxy.config.sections.headers import HeaderName

ANY = "*"

# Headers that a registry's clients send in addition to those that every page may send, and response headers they need.
SENT = (
    "Accept",
    "Authorization",
    "Content-Range",
    "Content-Type",
    "If-Match",
    "If-None-Match",
    "If-Range",
    "Range",
    "X-Request-ID",
)
SEEN = (
    "Accept-Ranges",
    "Content-Length",
    "Content-Range",
    "Docker-Content-Digest",
    "Docker-Distribution-API-Version",
    "Docker-Upload-UUID",
    "ETag",
    "Link",
    "Location",
    "OCI-Chunk-Min-Length",
    "OCI-Filters-Applied",
    "OCI-Subject",
    "OCI-Tag",
    "Range",
    "Retry-After",
    "Warning",
    "WWW-Authenticate",
    "X-Request-ID",
)


def _as_browsers_write_it(origin: str) -> str:
    if origin == ANY:
        return origin
    url = parse_base_url(origin).lower()
    return re.sub(r"^(https://.*):443$|^(http://.*):80$", r"\1\2", url)


Origin = Annotated[str, AfterValidator(_as_browsers_write_it)]


class Cors(Section):
    """Which web pages of other sites may send requests here (CORS).

    A browser's preflight request is answered without authentication. Without this section we send no CORS headers; with
    it, those of an upstream are dropped.
    """

    origins: tuple[Origin, ...]
    """The sites whose pages are allowed: `[https://ui.example, "http://localhost:3000"]`, or `["*"]` for every page."""

    methods: tuple[Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], ...] = (
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
    )
    """The methods that pages may use. Default: all methods of a registry."""

    headers: tuple[HeaderName, ...] = SENT
    """The headers that pages may send. Default: those that a registry's clients send, including `Authorization`."""

    exposed: tuple[HeaderName, ...] = SEEN
    """The response headers that pages may read. Default: those that a registry's clients need, such as
    `Docker-Content-Digest`, `Link`, `Location` and `WWW-Authenticate`."""

    maxage: NonNegativeDuration = timedelta(minutes=10)
    """How long a browser may cache the answer to a preflight. Default `10m`; `0s`: not at all."""

    credentials: Boolean = False
    """Whether browsers may send cookies and passwords that they store. Default `false`, which is enough for pages that
    send a token of their own. Not together with `*`: every page could act for the logged-in user."""

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if not self.origins:
            raise conflict("no page is allowed; name the sites of those that are, or remove http.cors", ("origins",))
        if self.credentials and ANY in self.origins:
            raise conflict("not together with *; name the sites, or write credentials: false", ("credentials",))
        return self
