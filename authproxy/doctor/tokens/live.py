"""The registry itself, asked: what it really does with a token, whatever its configuration says."""

import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.response import judge_clock
from authproxy.errors import StartError

TIMEOUT_S = 10.0


def ask(url: str, token: str, ca: Path | None, now: float) -> Iterator[Finding]:
    """Two requests to `/v2/`, without the token and with it; the token is sent to `url` and nowhere else.

    `ca`: a PEM file of the authorities that may vouch for the registry, in place of the machine's own. `now`: seconds
    since 1970. Raises StartError where `ca` is no such file.
    """
    with httpx.Client(verify=_trust(ca), timeout=TIMEOUT_S, trust_env=False) as client:
        address = f"{url.rstrip('/')}/v2/"
        try:
            without = _head_of(client, address)
            with_it = _head_of(client, address, {"Authorization": f"Bearer {token}"})
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            yield Finding(Level.UNKNOWN, "live", f"{address} cannot be asked: {exc}", "see that it runs, and --ca FILE")
            return
    yield _judge(address, without, with_it)
    if (clock := judge_clock(with_it.headers, now)) is not None:
        yield clock


def _head_of(client: httpx.Client, address: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """Status and headers of an answer, whose body says nothing and may be of any size."""
    with client.stream("GET", address, headers=headers) as answer:
        return answer


def _judge(address: str, without: httpx.Response, with_it: httpx.Response) -> Finding:
    match without.status_code, with_it.status_code:
        case 401, 200:
            return Finding(Level.OK, "live", f"{address} took a token of ours")
        case 200, _:
            return Finding(Level.FAILED, "live", f"{address} serves everybody, and asks for no token")
        case 401, 401:
            return Finding(
                Level.FAILED,
                "live",
                f"{address} refused a token of ours; it asks for {without.headers.get('WWW-Authenticate', 'nothing')}",
                "where its configuration is right, start it again: it reads it at its start alone",
            )
        case statuses:
            return Finding(
                Level.UNKNOWN, "live", f"{address} answered {statuses[0]} without a token, {statuses[1]} with"
            )


def _trust(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as exc:
        raise StartError(f"--ca {ca}: no file of certificates in PEM: {exc}") from exc
