"""Retries of requests: which, how often, and after which pause."""

import asyncio
import random
import socket
import ssl
from collections.abc import Awaitable, Callable

import httpx

ATTEMPTS = 5
FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 30.0

# Temporary failures: the same request may be sent again.
TRANSIENT = frozenset({429, 500, 502, 503, 504})


async def send_with_retries(send: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Send until a response is not TRANSIENT, and return it; the last one in any case. Raises TransportError."""
    for attempt in range(1, ATTEMPTS + 1):
        is_last = attempt == ATTEMPTS
        try:
            answer = await send()
        except httpx.TransportError as error:
            if is_last or is_permanent(error):
                raise
            await asyncio.sleep(pause_s(attempt, None))
            continue
        if answer.status_code not in TRANSIENT or is_last:
            return answer
        await answer.aclose()
        await asyncio.sleep(pause_s(attempt, answer.headers.get("retry-after")))
    raise AssertionError("the last attempt returns or raises")


def pause_s(attempt: int, retry_after: str | None) -> float:
    """The pause after `attempt` attempts: the registry's `Retry-After`, or else exponential with jitter."""
    if retry_after is not None and retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), MAX_PAUSE_S)
    longest: float = min(FIRST_PAUSE_S * 2 ** (attempt - 1), MAX_PAUSE_S)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def is_permanent(error: BaseException) -> bool:
    """Whether a repetition would fail in the same way: unknown host, untrusted certificate."""
    cause = find_cause(error, OSError)
    return isinstance(cause, ssl.SSLCertVerificationError) or (
        isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN
    )


def find_cause(error: BaseException | None, kind: type[OSError]) -> OSError | None:
    """The system's error below the libraries' own errors, if any."""
    while error is not None:
        if isinstance(error, kind):
            return error
        error = error.__cause__ or error.__context__
    return None
