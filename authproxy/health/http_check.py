"""The check of an HTTP server. Apart from the others, which need no HTTP client."""

import asyncio
import ssl
from collections.abc import Iterable
from datetime import timedelta
from functools import partial

import httpx

from authproxy.asgi import Headers, encode_headers
from authproxy.health.check import INTERVAL, THRESHOLD, TIMEOUT, Check, CheckFailed

# As many as Go's HTTP client, which CNCF Distribution uses, follows.
MAX_REDIRECTS = 10


def http_check(
    url: str,
    *,
    status: int = 200,
    headers: Iterable[tuple[str, str]] = (),
    interval: timedelta = INTERVAL,
    timeout: timedelta = TIMEOUT,
    threshold: int = THRESHOLD,
) -> Check:
    """Healthy if a HEAD request, redirects followed, is answered with `status` within `timeout`.

    Unlike in CNCF Distribution the name has no query, which may contain a secret.
    """
    # Created once: reading the machine's CAs takes 20 ms or more.
    trust = ssl.create_default_context()
    limit_s = (timeout or TIMEOUT).total_seconds()
    probe = partial(_probe_http, url, status or 200, encode_headers(headers), limit_s, trust)
    return Check(url.partition("?")[0], probe, interval, timeout, threshold)


async def _probe_http(url: str, status: int, headers: Headers, limit_s: float, trust: ssl.SSLContext) -> None:
    try:
        async with (
            asyncio.timeout(limit_s),
            httpx.AsyncClient(
                verify=trust, trust_env=False, timeout=limit_s, follow_redirects=True, max_redirects=MAX_REDIRECTS
            ) as client,
        ):
            answer = await client.head(url, headers=headers)
    except (TimeoutError, httpx.TimeoutException) as exc:
        raise CheckFailed(f"no answer within {limit_s:g} s") from exc
    except httpx.HTTPError as exc:
        raise CheckFailed(f"cannot be asked: {exc}") from exc
    if answer.status_code != status:
        raise CheckFailed(f"answered {answer.status_code}, not {status}")
