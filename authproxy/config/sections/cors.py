"""`http.cors`: which web pages of other sites may ask this registry. All of it is ours."""

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from authproxy.config.document.messages import conflict
from authproxy.config.document.scalars import Boolean, NonNegativeDuration, parse_base_url
from authproxy.config.document.schema import Section
from authproxy.config.sections.headers import HeaderName

ANY = "*"

# What clients of a registry send beside what every page may send, and what they have to see of the answers.
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
    """Which web pages of other sites may ask here (CORS).

    What a browser asks beforehand, the preflight, is answered before anybody is asked who they are. Without this
    section nothing is said about CORS; with it what an upstream says about it is dropped.
    """

    origins: tuple[Origin, ...]
    """The sites whose pages may ask: `[https://ui.example, "http://localhost:3000"]`, or `["*"]` for every page."""

    methods: tuple[Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], ...] = (
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
    )
    """The methods that pages may use. Default: all that a registry has."""

    headers: tuple[HeaderName, ...] = SENT
    """The headers that pages may send. Default: those that clients of a registry send, `Authorization` among them."""

    exposed: tuple[HeaderName, ...] = SEEN
    """The headers of answers that pages may read. Default: those that clients of a registry need, such as
    `Docker-Content-Digest`, `Link`, `Location` and `WWW-Authenticate`."""

    maxage: NonNegativeDuration = timedelta(minutes=10)
    """For how long a browser need not ask again beforehand. Default `10m`; `0s`: it always asks."""

    credentials: Boolean = False
    """Whether browsers may send cookies and passwords that they hold by themselves. Default `false`, which does for
    pages that send a token of theirs. Not together with `*`: every page could act for the user who is logged in."""

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if not self.origins:
            raise conflict("no page may ask; name the sites of those that may, or remove http.cors", ("origins",))
        if self.credentials and ANY in self.origins:
            raise conflict("not with every page; name the sites, or write credentials: false", ("credentials",))
        return self
