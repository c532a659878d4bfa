"""The response to `/v2/` without credentials: is it a registry, and can clients use its version and its challenge."""

from authproxy.doctor.challenge import BASIC, BEARER, AuthRequirement
from authproxy.doctor.entry import EntryFault, find_entry_fault
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.response import OK, UNAUTHORIZED, VERSION, RegistryResponse
from authproxy.http.client.address import Address

API = "registry/2.0"

_FIXES = {
    EntryFault.NEEDS_TLS: "leave out --plain-http",
    EntryFault.TOO_MANY_REQUESTS: "try again later",
    EntryFault.SERVER_ERROR: "see its log",
    EntryFault.REDIRECT: "use that address, or let this one answer itself; many clients do not follow",
    EntryFault.NO_REGISTRY: "name the host and port of a registry; a proxy in front of it has to pass /v2/ on",
}


def judge_registry(address: Address, answer: RegistryResponse) -> Finding:
    """Whether a registry answered."""
    fault = find_entry_fault(address, answer)
    if fault is not None:
        return Finding(Level.FAILED, "registry", fault.what, _FIXES[fault.why])
    return Finding(Level.OK, "registry", f"{address.url}/v2/ answered {answer.status}")


def judge_version(answer: RegistryResponse) -> Finding:
    """Its version header."""
    version = answer.headers.get(VERSION)
    if version is None:
        what = f"it does not send {VERSION}, by which older clients recognize a registry"
        return Finding(Level.WARNING, "headers", what, f"let the proxy in front of it pass the header on: {API}")
    if version.strip() != API:
        what = f"its {VERSION} is {version[:100]!r}, and clients look for {API!r}"
        return Finding(Level.FAILED, "headers", what, f"send it once, as {API}")
    return Finding(Level.OK, "headers", f"{VERSION}: {API}")


def judge_auth(answer: RegistryResponse, wanted: AuthRequirement | None) -> Finding:
    """What it asks its clients for."""
    if answer.status == OK:
        return Finding(Level.OK, "auth", "it asks for no credentials, at least at /v2/")
    if wanted is None:
        challenge = answer.headers.get("WWW-Authenticate")
        fault = "without WWW-Authenticate" if challenge is None else f"with an unusable challenge: {challenge[:200]!r}"
        what = f"it answers {answer.status} {fault}, so no client can log in"
        return Finding(Level.FAILED, "auth", what, "let the proxy in front of it pass WWW-Authenticate on")
    if answer.status != UNAUTHORIZED:
        what = f"it asks for {wanted} with {answer.status}: clients log in only after 401"
        return Finding(Level.FAILED, "auth", what, "configure it to answer 401")
    if not {BASIC, BEARER} & set(wanted.schemes):
        what = f"it asks for {wanted}, which no client of registries supports"
        return Finding(Level.FAILED, "auth", what, "configure it to ask for Basic or for Bearer tokens")
    return Finding(Level.OK, "auth", f"it asks for {wanted}")
