"""A registry's response to any of the doctors, and what every response shows."""

import email.utils
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from authproxy.doctor.challenge import AuthRequirement, find_wanted
from authproxy.doctor.finding import Finding, Level
from authproxy.http.client.token import read_fields

OK, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ALLOWED, TOO_MANY = 200, 401, 403, 404, 405, 429
ACCEPTED = 202
REDIRECTS = (301, 302, 303, 307, 308)
FIRST_FAULT = 500
VERSION = "Docker-Distribution-API-Version"

# How far clocks may differ for CNCF Distribution when it verifies tokens.
LEEWAY_S = 60.0

# What Go's server and nginx answer to plain HTTP on a TLS port.
_WANTS_TLS = (b"HTTP request to an HTTPS server", b"plain HTTP request was sent to HTTPS port")
# What nginx answers with `ssl_verify_client on`.
_WANTS_CERTIFICATE = b"No required SSL certificate was sent"


@dataclass(frozen=True, slots=True)
class RegistryResponse:
    """A registry's response. `body` is bounded by `request.MAX_BYTES`."""

    status: int
    headers: httpx.Headers
    body: bytes = b""

    @property
    def wants_tls(self) -> bool:
        """Whether the request was refused because it was plain HTTP."""
        return any(words in self.body for words in _WANTS_TLS)

    @property
    def wants_certificate(self) -> bool:
        """Whether the request was refused for lack of a client certificate, which nginx says in HTTP."""
        return _WANTS_CERTIFICATE in self.body

    @property
    def wanted(self) -> AuthRequirement | None:
        """What its challenge asks for."""
        return find_wanted(self.headers.get_list("WWW-Authenticate"))

    @property
    def fields(self) -> Mapping[str, Any]:
        """The JSON object in its body; an empty one if there is none."""
        return read_fields(self.body)

    @property
    def media_type(self) -> str:
        """Its `Content-Type` without parameters, for a message."""
        named: str = self.headers.get("Content-Type", "no Content-Type")
        return named.partition(";")[0]


def looks_like_registry(answer: RegistryResponse) -> bool:
    """Whether a registry may have answered this to `/v2/`."""
    if VERSION in answer.headers:
        return True
    if answer.status != OK:
        return "WWW-Authenticate" in answer.headers
    return answer.body.strip() in (b"", b"{}") or bool(answer.fields)


def judge_clock(headers: httpx.Headers, now: float) -> Finding | None:
    """A finding if the registry's clock differs by more than LEEWAY_S. `now`: seconds since 1970."""
    try:
        ahead_s = email.utils.parsedate_to_datetime(headers["Date"]).timestamp() - now
    except (KeyError, ValueError, OverflowError):
        return None
    if abs(ahead_s) <= LEEWAY_S:
        return None
    side = "ahead of" if ahead_s > 0 else "behind"
    what = f"its clock is {abs(ahead_s):.0f} s {side} ours; verifiers of tokens tolerate {LEEWAY_S:.0f} s"
    return Finding(Level.WARNING, "clock", what, "set both by NTP")
