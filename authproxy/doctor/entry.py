"""The response to `/v2/` without credentials: does it come from a registry, and if not, why not."""

from dataclasses import dataclass
from enum import Enum

from authproxy.doctor.response import (
    FIRST_FAULT,
    FORBIDDEN,
    OK,
    REDIRECTS,
    TOO_MANY,
    UNAUTHORIZED,
    RegistryResponse,
    looks_like_registry,
)
from authproxy.http.client.address import Address


class EntryFault(Enum):
    """Why a response to `/v2/` is not that of a registry in service."""

    NEEDS_TLS = "needs TLS"
    TOO_MANY_REQUESTS = "too many requests"
    SERVER_ERROR = "server error"
    REDIRECT = "redirect"
    NO_REGISTRY = "no registry"


@dataclass(frozen=True, slots=True)
class FaultyEntry:
    """A fault, and the sentence about it."""

    why: EntryFault
    what: str


def find_entry_fault(address: Address, answer: RegistryResponse) -> FaultyEntry | None:
    """What is wrong with the response to `/v2/`; None if a registry gave it."""
    asked, status = f"{address.url}/v2/", answer.status
    if answer.wants_tls:
        return FaultyEntry(EntryFault.NEEDS_TLS, f"{address.url} speaks TLS only")
    if status == TOO_MANY:
        return FaultyEntry(EntryFault.TOO_MANY_REQUESTS, f"{asked} answered 429: too many requests")
    if status >= FIRST_FAULT:
        return FaultyEntry(EntryFault.SERVER_ERROR, f"{asked} answered {status}: it is not well")
    if status in REDIRECTS:
        where = answer.headers.get("Location", "nowhere")
        return FaultyEntry(EntryFault.REDIRECT, f"{asked} redirects its clients to {where}")
    if status not in (OK, UNAUTHORIZED, FORBIDDEN) or not looks_like_registry(answer):
        what = f"{asked} answered {status} with {answer.media_type}: this is not a registry"
        return FaultyEntry(EntryFault.NO_REGISTRY, what)
    return None
