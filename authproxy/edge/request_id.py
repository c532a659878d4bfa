"""The id of each request, which joins a response with its lines in the access log and the audit log."""

import random
import re

from authproxy.asgi import REQUEST_ID, Scope, facts

HEADER = b"x-request-id"

# The ids of load balancers and tracers: UUIDs, hex, with dashes and colons. They need no quotes in any log.
_WELL_FORMED = re.compile(rb"[A-Za-z0-9._~:/+@-]{1,128}")

# A fact of a request: the id in its headers, "" if they have none.
_RECEIVED = "authproxy.request_id.received"

# An id has to be unique, not secret: to ask the system for each would cost more than everything else about it.
_random_bits = random.Random().getrandbits  # noqa: S311 - no secret
BITS = 80


def name_request(scope: Scope) -> str:
    """Put the request's id into its scope: its `X-Request-ID` if that is well-formed, otherwise a random one.

    The first such header counts. Any client may send one: it only names the request, and decides nothing.
    """
    known = facts(scope)
    received: str | None = known.get(_RECEIVED)
    if received is None:
        received = known[_RECEIVED] = _find(scope)
    scope[REQUEST_ID] = found = received or f"{_random_bits(BITS):020x}"
    return found


def _find(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == HEADER:
            return value.decode("ascii") if _WELL_FORMED.fullmatch(value) else ""
    return ""
