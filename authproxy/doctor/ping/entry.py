"""What `/v2/` says to nobody in particular: is it a registry, are its headers right, what does it ask for."""

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
from authproxy.doctor.tokens.challenge import BASIC, BEARER, AuthRequirement
from authproxy.http.client.address import Address

API = "registry/2.0"


def judge_registry(address: Address, answer: RegistryResponse) -> Finding:
    """Whether it is a registry that answered."""
    asked, status = f"{address.url}/v2/", answer.status
    if answer.wants_tls:
        what = f"{address.url} speaks TLS alone"
        return Finding(Level.FAILED, "registry", what, "leave out --plain-http")
    if status == TOO_MANY:
        return Finding(Level.FAILED, "registry", f"{asked} answered 429: it was asked too often", "try again later")
    if status >= FIRST_FAULT:
        return Finding(Level.FAILED, "registry", f"{asked} answered {status}: it is not well", "see its log")
    if status in REDIRECTS:
        where = answer.headers.get("Location", "nowhere")
        what = f"{asked} sends its callers to {where}, and many clients do not go there"
        return Finding(Level.FAILED, "registry", what, "use that address, or have this one answer itself")
    if status not in (OK, UNAUTHORIZED, FORBIDDEN) or not looks_like_registry(answer):
        kind = answer.headers.get("Content-Type", "nothing that has a type").partition(";")[0]
        what = f"{asked} answered {status} with {kind}: no registry speaks there"
        fix = "name the host and port of a registry; what stands before it has to pass /v2/ on"
        return Finding(Level.FAILED, "registry", what, fix)
    return Finding(Level.OK, "registry", f"{asked} answered {status}")


def judge_version(answer: RegistryResponse) -> Finding:
    """Its version header."""
    version = answer.headers.get(VERSION)
    if version is None:
        what = f"it does not send {VERSION}, by which older clients know a registry"
        return Finding(Level.WARNING, "headers", what, f"have what stands before it pass the header on: {API}")
    if version.strip() != API:
        what = f"its {VERSION} is {version[:100]!r}, and clients look for {API!r}"
        return Finding(Level.FAILED, "headers", what, f"have it sent once, as {API}")
    return Finding(Level.OK, "headers", f"{VERSION}: {API}")


def judge_auth(answer: RegistryResponse, wanted: AuthRequirement | None) -> Finding:
    """What it asks its callers for."""
    if answer.status == OK:
        return Finding(Level.OK, "auth", "it asks nobody who they are, at /v2/ at least")
    if wanted is None:
        said = answer.headers.get("WWW-Authenticate")
        fault = "without WWW-Authenticate" if said is None else f"with a challenge that says nothing: {said[:200]!r}"
        what = f"it answers {answer.status} {fault}, so no client can log in"
        return Finding(Level.FAILED, "auth", what, "have what stands before it pass WWW-Authenticate on")
    if answer.status != UNAUTHORIZED:
        what = f"it asks for {wanted} with {answer.status}: clients log in upon 401 alone"
        return Finding(Level.FAILED, "auth", what, "have it answer 401")
    if not {BASIC, BEARER} & set(wanted.schemes):
        what = f"it asks for {wanted}, which no client of registries has"
        return Finding(Level.FAILED, "auth", what, "have it ask for Basic or for Bearer tokens")
    return Finding(Level.OK, "auth", f"it asks for {wanted}")
