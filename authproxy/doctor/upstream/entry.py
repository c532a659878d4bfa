"""What `/v2/` says: is it a registry."""

from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.response import (
    FIRST_FAULT,
    FORBIDDEN,
    OK,
    REDIRECTS,
    TOO_MANY,
    UNAUTHORIZED,
    VERSION,
    RegistryResponse,
    looks_like_registry,
)
from authproxy.doctor.upstream.site import Site
from authproxy.http.client.address import Address

# Said by nginx with `ssl_verify_client on`.
_WANTS_CERTIFICATE = b"No required SSL certificate was sent"


def judge_registry(site: Site, address: Address, answer: RegistryResponse) -> Finding:
    """Whether it is a registry that speaks there."""
    if (fault := _find_fault(site, address, answer)) is not None:
        return fault
    asked, version = f"{address.url}/v2/", answer.headers.get(VERSION)
    if version is None:
        what = f"{asked} answered {answer.status} without {VERSION}, by which clients know a registry"
        return Finding(Level.WARNING, "registry", what, "nothing to do: authproxy adds it")
    return Finding(Level.OK, "registry", f"{asked} is one ({VERSION}: {version})")


def wants_certificate(answer: RegistryResponse) -> bool:
    """Whether it was refused for lack of a client certificate, which nginx says in HTTP."""
    return _WANTS_CERTIFICATE in answer.body


def _find_fault(site: Site, address: Address, answer: RegistryResponse) -> Finding | None:
    asked, url, status = f"{address.url}/v2/", site.place("url"), answer.status
    if answer.wants_tls:
        secure = f"https://{address.url.partition('://')[2]}"
        return Finding(Level.FAILED, "registry", f"{address.url} speaks TLS alone", f"{url}: {secure}")
    if status == TOO_MANY:
        what = f"{asked} answered that it was asked too often (429)"
        return Finding(Level.UNKNOWN, "registry", what, "try again later")
    if status >= FIRST_FAULT:
        return Finding(Level.FAILED, "registry", f"{asked} answered {status}: it is not well", "see its log")
    if status in REDIRECTS:
        where = answer.headers.get("Location", "nowhere")
        base = where.removesuffix("/v2/") if where.endswith("/v2/") else "where the registry itself answers"
        return Finding(Level.FAILED, "registry", f"{asked} sends its callers to {where}", f"{url}: {base}")
    if status not in (OK, UNAUTHORIZED, FORBIDDEN) or not looks_like_registry(answer):
        kind = answer.headers.get("Content-Type", "nothing that has a type").partition(";")[0]
        what = f"{asked} answered {status} with {kind}: no registry speaks there"
        return Finding(Level.FAILED, "registry", what, f"{url}: scheme, host and port of a registry")
    return None
