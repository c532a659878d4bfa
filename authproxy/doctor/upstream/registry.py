"""The response to `/v2/` without credentials: is it a registry that our proxy can use."""

from authproxy.doctor.entry import EntryFault, find_entry_fault
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.response import VERSION, RegistryResponse
from authproxy.doctor.upstream.site import Site
from authproxy.http.client.address import Address


def judge_registry(site: Site, address: Address, answer: RegistryResponse) -> Finding:
    """Whether a registry answered."""
    fault = find_entry_fault(address, answer)
    if fault is not None:
        level = Level.UNKNOWN if fault.why is EntryFault.TOO_MANY_REQUESTS else Level.FAILED
        return Finding(level, "registry", fault.what, _fix(fault.why, site, address, answer))
    asked, version = f"{address.url}/v2/", answer.headers.get(VERSION)
    if version is None:
        what = f"{asked} answered {answer.status} without {VERSION}, by which clients recognize a registry"
        return Finding(Level.WARNING, "registry", what, "nothing to do: authproxy adds it")
    return Finding(Level.OK, "registry", f"{asked} is one ({VERSION}: {version})")


def _fix(fault: EntryFault, site: Site, address: Address, answer: RegistryResponse) -> str:
    url = site.place("url")
    match fault:
        case EntryFault.NEEDS_TLS:
            return f"{url}: https://{address.url.partition('://')[2]}"
        case EntryFault.TOO_MANY_REQUESTS:
            return "try again later"
        case EntryFault.SERVER_ERROR:
            return "see its log"
        case EntryFault.REDIRECT:
            where = answer.headers.get("Location", "")
            base = where.removesuffix("/v2/") if where.endswith("/v2/") else "where the registry itself answers"
            return f"{url}: {base}"
        case EntryFault.NO_REGISTRY:
            return f"{url}: scheme, host and port of a registry"
