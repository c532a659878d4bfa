"""What a registry answered to any of the doctors, and what every such answer shows."""

import email.utils
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from authproxy.doctor.finding import Finding, Level
from authproxy.http.client.token import read_fields

OK, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ALLOWED, TOO_MANY = 200, 401, 403, 404, 405, 429
ACCEPTED = 202
REDIRECTS = (301, 302, 303, 307, 308)
FIRST_FAULT = 500
VERSION = "Docker-Distribution-API-Version"

# Of an answer no more is read; nor does the proxy read more of a list (`proxy/content.py`).
MAX_BYTES = 16 * 1024 * 1024

# What CNCF Distribution forgives where it verifies tokens.
LEEWAY_S = 60.0

# Said by Go's server and by nginx to a client that speaks plain HTTP where TLS is spoken.
_WANTS_TLS = (b"HTTP request to an HTTPS server", b"plain HTTP request was sent to HTTPS port")


class NoAnswer(Exception):
    """The registry did not answer, or could not be asked; the text says why."""

    def __init__(self, why: str, *, wants_certificate: bool = False) -> None:
        super().__init__(why)
        self.wants_certificate = wants_certificate


@dataclass(frozen=True, slots=True)
class RegistryResponse:
    """What the registry answered. `body` has its first MAX_BYTES."""

    status: int
    headers: httpx.Headers
    body: bytes = b""

    @property
    def wants_tls(self) -> bool:
        """Whether it was refused for speaking plain HTTP."""
        return any(words in self.body for words in _WANTS_TLS)

    @property
    def fields(self) -> Mapping[str, Any]:
        """The JSON object in its body; an empty one where there is none."""
        return read_fields(self.body)


async def read_answer(client: httpx.AsyncClient, request: httpx.Request) -> RegistryResponse:
    """Send a request, and read no more than MAX_BYTES of what comes; redirects are not followed. Raises HTTPError."""
    response = await client.send(request, stream=True)
    try:
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) >= MAX_BYTES:
                break
        return RegistryResponse(response.status_code, response.headers, bytes(body[:MAX_BYTES]))
    finally:
        await response.aclose()


def why_no_answer(error: Exception) -> str:
    """A failure of HTTP or below it, in words."""
    if isinstance(error, httpx.RemoteProtocolError):
        return f"what came is no answer in HTTP/1.1: {error}"
    return str(error) or type(error).__name__


def looks_like_registry(answer: RegistryResponse) -> bool:
    """Whether a registry may have answered so to `/v2/`."""
    if VERSION in answer.headers:
        return True
    if answer.status != OK:
        return "WWW-Authenticate" in answer.headers
    return answer.body.strip() in (b"", b"{}") or bool(answer.fields)


def judge_clock(headers: httpx.Headers, now: float) -> Finding | None:
    """A finding if the registry's clock is off by more than verifiers of tokens forgive. `now`: seconds since 1970."""
    try:
        ahead_s = email.utils.parsedate_to_datetime(headers["Date"]).timestamp() - now
    except (KeyError, ValueError):
        return None
    if abs(ahead_s) <= LEEWAY_S:
        return None
    side = "ahead of" if ahead_s > 0 else "behind"
    what = f"its clock is {abs(ahead_s):.0f} s {side} ours; who verifies tokens forgives {LEEWAY_S:.0f} s"
    return Finding(Level.WARNING, "clock", what, "set both by NTP")
