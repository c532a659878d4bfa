"""Lists of names, one page of one name: what to ask for, and how to read it. OCI Distribution 1.1, "Listing Tags"."""

from contextlib import suppress

from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.response import FORBIDDEN, NOT_ALLOWED, NOT_FOUND, OK, UNAUTHORIZED, RegistryResponse
from authproxy.errors import NameInvalid
from authproxy.reference import Repository, parse_repository

CATALOG_PAGE = "/v2/_catalog?n=1"

# Statuses of a registry that has no catalog, or not for this client.
NOT_AVAILABLE = (UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ALLOWED)


def tags_page(repository: str) -> str:
    """The target of a request for one tag."""
    return f"/v2/{repository}/tags/list?n=1"


def find_names(answer: RegistryResponse, key: str) -> list[str] | None:
    """The names under a key of the list; None if it is not a list of names."""
    found = answer.fields.get(key, 0) if answer.status == OK else 0
    names = [] if found is None else found  # Go's way to write an empty one
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def first_repository(catalog: RegistryResponse) -> Repository | None:
    """The first valid name in the catalog."""
    for name in find_names(catalog, "repositories") or ():
        with suppress(NameInvalid):
            return parse_repository(name)
    return None


def link_target(link: str) -> str:
    """The address in a `Link` header; "" if there is none."""
    return link.strip("<").partition(">")[0]


def unreadable(answer: RegistryResponse, key: str, *, check: str, name: str) -> Finding:
    """A finding about a list without names. `name` is what to call it."""
    what = f"its {name} cannot be read: it answered {answer.status}, and no JSON with {key!r}"
    return Finding(Level.FAILED, check, what, "see its log")
