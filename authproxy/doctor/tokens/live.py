"""The registry itself, asked: what it does with a token, whatever its configuration says."""

import ssl
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.request import NoAnswer, get, open_client
from authproxy.doctor.response import RegistryResponse, judge_clock
from authproxy.errors import StartError
from authproxy.registry_client.trust import Trust, tls_context


async def ask(url: str, token: str, ca: Path | None, now: float, own: Path | None = None) -> tuple[Finding, ...]:
    """Send two requests for `/v2/`, without the token and with it; the token goes to `url` and nowhere else.

    `ca`: a PEM file of the CAs that may vouch for the registry, in place of the machine's own. `now`: seconds since
    1970. `own`: our own CA, trusted for this machine without `ca`. Raises StartError if `ca` is not such a file.
    """
    address = f"{url.rstrip('/')}/v2/"
    async with open_client(_trust(url, ca, own)) as client:
        try:
            without = await get(client, address)
            with_it = await get(client, address, {"Authorization": f"Bearer {token}"})
        except NoAnswer as exc:
            what = f"{address} cannot be asked: {exc}"
            return (Finding(Level.UNKNOWN, "live", what, "make sure that it runs; --ca FILE names its CA"),)
    clock = judge_clock(with_it.headers, now)
    judged = _judge(address, without, with_it)
    return (judged,) if clock is None else (judged, clock)


def _judge(address: str, without: RegistryResponse, with_it: RegistryResponse) -> Finding:
    match without.status, with_it.status:
        case 401, 200:
            return Finding(Level.OK, "live", f"{address} accepted our token")
        case 200, _:
            return Finding(Level.FAILED, "live", f"{address} serves everyone, and asks for no token")
        case 401, 401:
            return Finding(
                Level.FAILED,
                "live",
                f"{address} refused our token; it asks for {without.headers.get('WWW-Authenticate', 'nothing')}",
                "if its configuration is right, restart it: it reads the file only at its start",
            )
        case statuses:
            what = f"{address} answered {statuses[0]} without a token, {statuses[1]} with one"
            return Finding(Level.UNKNOWN, "live", what)


def _trust(url: str, ca: Path | None, own: Path | None) -> ssl.SSLContext:
    if ca is None and own is not None:
        with suppress(ValueError):  # no address: the request says so
            return tls_context(urlsplit(url).netloc, Trust(own=own))
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as exc:
        raise StartError(f"--ca {ca}: not a PEM file of certificates: {exc}") from exc
