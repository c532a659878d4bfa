"""The registry itself, asked: what it really does with a token, whatever its configuration says."""

import email.utils
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx

from authproxy.doctor.finding import Finding, Level
from authproxy.errors import StartError

TIMEOUT_S = 10.0
# What CNCF Distribution lets clocks differ by.
LEEWAY_S = 60.0


def ask(url: str, token: str, ca: Path | None, now: float) -> Iterator[Finding]:
    """Two requests to `/v2/`, without the token and with it; the token is sent to `url` and nowhere else.

    `ca`: a PEM file of the authorities that may vouch for the registry, in place of the machine's own. `now`: seconds
    since 1970. Raises StartError where `ca` is no such file.
    """
    with httpx.Client(verify=_trust(ca), timeout=TIMEOUT_S, trust_env=False) as client:
        address = f"{url.rstrip('/')}/v2/"
        try:
            without = client.get(address)
            with_it = client.get(address, headers={"Authorization": f"Bearer {token}"})
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            yield Finding(Level.UNSAID, "live", f"{address} cannot be asked: {exc}", "see that it runs, and --ca FILE")
            return
    yield _judge(address, without, with_it)
    yield from _check_clock(with_it, now)


def _judge(address: str, without: httpx.Response, with_it: httpx.Response) -> Finding:
    match without.status_code, with_it.status_code:
        case 401, 200:
            return Finding(Level.OK, "live", f"{address} took a token of ours")
        case 200, _:
            return Finding(Level.WRONG, "live", f"{address} serves everybody, and asks for no token")
        case 401, 401:
            return Finding(
                Level.WRONG,
                "live",
                f"{address} refused a token of ours; it asks for {without.headers.get('WWW-Authenticate', 'nothing')}",
                "where its configuration is right, start it again: it reads it at its start alone",
            )
        case statuses:
            return Finding(
                Level.UNSAID, "live", f"{address} answered {statuses[0]} without a token, {statuses[1]} with"
            )


def _check_clock(answer: httpx.Response, now: float) -> Iterator[Finding]:
    try:
        ahead_s = email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp() - now
    except (KeyError, ValueError):
        return
    if abs(ahead_s) > LEEWAY_S:
        side = "ahead of" if ahead_s > 0 else "behind"
        yield Finding(
            Level.NOTE,
            "clock",
            f"its clock is {abs(ahead_s):.0f} s {side} ours, and all that it forgives is {LEEWAY_S:.0f} s",
            "set both by NTP",
        )


def _trust(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as exc:
        raise StartError(f"--ca {ca}: no file of certificates in PEM: {exc}") from exc
