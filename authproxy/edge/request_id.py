"""The id of each request: by it an answer, its line in the access log and those in the audit log are found together."""

import random
import re

from authproxy.asgi import REQUEST_ID, Scope, facts

HEADER = b"x-request-id"

# What balancers and tracers make: UUIDs, hex, dashes and colons between. Such an id needs no quotes in any log.
_WELL_FORMED = re.compile(rb"[A-Za-z0-9._~:/+@-]{1,128}")

# A fact of a request: the id that its headers bring, "" where they bring none.
_BROUGHT = "authproxy.request_id.brought"

# An id has to be unlike others, not secret: to ask the system for each would cost more than all else about it.
_random_bits = random.Random().getrandbits  # noqa: S311 - no secret
BITS = 80


def name_request(scope: Scope) -> str:
    """Put the request's id into its scope: its `X-Request-ID` where that is well-formed, else one that is made here.

    The first such header counts. Anybody may send one: it is a name for their request, and nothing is decided by it.
    """
    known = facts(scope)
    brought: str | None = known.get(_BROUGHT)
    if brought is None:
        brought = known[_BROUGHT] = _find(scope)
    scope[REQUEST_ID] = found = brought or f"{_random_bits(BITS):020x}"
    return found


def _find(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == HEADER:
            return value.decode("ascii") if _WELL_FORMED.fullmatch(value) else ""
    return ""
