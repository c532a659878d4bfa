"""What `/v2/` says: is it a registry, whom does it let in, and does its clock agree with ours."""

import email.utils
import json

from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.upstream.questions import Answer
from authproxy.doctor.upstream.site import Site
from authproxy.proxy.address import Address

OK, UNAUTHORIZED, FORBIDDEN, TOO_MANY = 200, 401, 403, 429
REDIRECTS = (301, 302, 303, 307, 308)
FIRST_FAULT = 500
VERSION = "Docker-Distribution-API-Version"

# What CNCF Distribution forgives where it verifies tokens.
LEEWAY_S = 60.0

# Said by Go's server and by nginx to a client that speaks plain HTTP where TLS is spoken.
_WANTS_TLS = (b"HTTP request to an HTTPS server", b"plain HTTP request was sent to HTTPS port")
# Said by nginx with `ssl_verify_client on`.
_WANTS_CERTIFICATE = b"No required SSL certificate was sent"


def judge_registry(site: Site, address: Address, answer: Answer) -> Finding:
    """Whether it is a registry that speaks there."""
    if (fault := _find_fault(site, address, answer)) is not None:
        return fault
    asked, version = f"{address.url}/v2/", answer.headers.get(VERSION)
    if version is None:
        what = f"{asked} answered {answer.status} without {VERSION}, by which clients know a registry"
        return Finding(Level.NOTE, "registry", what, "nothing to do: authproxy adds it")
    return Finding(Level.OK, "registry", f"{asked} is one ({VERSION}: {version})")


def wants_certificate(answer: Answer) -> bool:
    """Whether it was refused for lack of a client certificate, which nginx says in HTTP."""
    return _WANTS_CERTIFICATE in answer.body


def judge_clock(answer: Answer, now: float) -> Finding | None:
    """A clock that is off, told where it matters: to whoever verifies tokens. `now`: seconds since 1970."""
    try:
        ahead_s = email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp() - now
    except (KeyError, ValueError):
        return None
    if abs(ahead_s) <= LEEWAY_S:
        return None
    side = "ahead of" if ahead_s > 0 else "behind"
    what = f"its clock is {abs(ahead_s):.0f} s {side} ours; who verifies tokens forgives {LEEWAY_S:.0f} s"
    return Finding(Level.NOTE, "clock", what, "set both by NTP")


def _find_fault(site: Site, address: Address, answer: Answer) -> Finding | None:
    asked, url, status = f"{address.url}/v2/", site.place("url"), answer.status
    if any(words in answer.body for words in _WANTS_TLS):
        secure = f"https://{address.url.partition('://')[2]}"
        return Finding(Level.WRONG, "registry", f"{address.url} speaks TLS alone", f"{url}: {secure}")
    if status == TOO_MANY:
        what = f"{asked} answered that it was asked too often (429)"
        return Finding(Level.UNSAID, "registry", what, "try again later")
    if status >= FIRST_FAULT:
        return Finding(Level.WRONG, "registry", f"{asked} answered {status}: it is not well", "see its log")
    if status in REDIRECTS:
        where = answer.headers.get("Location", "nowhere")
        base = where.removesuffix("/v2/") if where.endswith("/v2/") else "where the registry itself answers"
        return Finding(Level.WRONG, "registry", f"{asked} sends its callers to {where}", f"{url}: {base}")
    if status not in (OK, UNAUTHORIZED, FORBIDDEN) or not _looks_like_one(answer):
        kind = answer.headers.get("Content-Type", "nothing that has a type").partition(";")[0]
        what = f"{asked} answered {status} with {kind}: no registry speaks there"
        return Finding(Level.WRONG, "registry", what, f"{url}: scheme, host and port of a registry")
    return None


def _looks_like_one(answer: Answer) -> bool:
    if VERSION in answer.headers:
        return True
    if answer.status != OK:
        return "WWW-Authenticate" in answer.headers
    try:
        return answer.body.strip() == b"" or isinstance(json.loads(answer.body), dict)
    except ValueError:
        return False
