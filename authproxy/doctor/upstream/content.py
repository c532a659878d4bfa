"""Lists and deletes: do lists come in pages, do their links stay on our host, may anything be deleted."""

import json
from collections.abc import Iterator

from authproxy.client_view import ClientView
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.response import FORBIDDEN, NOT_ALLOWED, NOT_FOUND, OK, UNAUTHORIZED, RegistryResponse
from authproxy.doctor.upstream.locations import is_led_astray
from authproxy.doctor.upstream.site import Site
from authproxy.http.client.address import Address
from authproxy.proxy.location import Relocation

CATALOG = "/v2/_catalog"
# Nothing has this digest, so nothing is deleted by it.
NOTHINGS_DIGEST = f"sha256:{'0' * 64}"


def first_repository(catalog: RegistryResponse) -> str | None:
    """A repository that the catalog names."""
    names = _names(catalog, "repositories") if catalog.status == OK else None
    return names[0] if names else None


def judge_catalog(site: Site, address: Address, view: ClientView, answer: RegistryResponse) -> Iterator[Finding]:
    """The answer to `/v2/_catalog?n=1`."""
    if answer.status in (UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ALLOWED):
        what = f"its catalog is not available ({answer.status}); nor will ours be, and nothing else needs it"
        yield Finding(Level.WARNING, "catalog", what)
        return
    yield from _judge_list(site, address, view, answer, check="catalog", key="repositories")


def judge_tags(
    site: Site, address: Address, view: ClientView, answer: RegistryResponse, repository: str
) -> Iterator[Finding]:
    """The answer to `/v2/<repository>/tags/list?n=1`."""
    if answer.status == NOT_FOUND:
        return  # a repository without tags is in catalogs of CNCF Distribution
    if answer.status in (UNAUTHORIZED, FORBIDDEN):
        what = f"the tags of {repository} are not to be read ({answer.status})"
        yield Finding(Level.WARNING, "tags", what, "let what authproxy presents there pull")
        return
    yield from _judge_list(site, address, view, answer, check="tags", key="tags", of=f" of {repository}")


def judge_delete(answer: RegistryResponse) -> Finding:
    """The answer to the delete of a manifest that is nowhere."""
    match answer.status:
        case 405:
            return Finding(
                Level.WARNING,
                "deletes",
                "nothing can be deleted there: it answers 405, whatever our policies allow",
                "storage.delete.enabled: true in its configuration, where that is not meant",
            )
        case 400 | 404:
            return Finding(Level.OK, "deletes", "manifests and blobs can be deleted, where our policies allow it")
        case 401 | 403:
            what = f"whether deletes are enabled cannot be told: it answered {answer.status}"
            return Finding(Level.WARNING, "deletes", what, "let what authproxy presents there delete")
        case status:
            return Finding(Level.WARNING, "deletes", f"the delete of what is not there was answered with {status}")


def _judge_list(
    site: Site,
    address: Address,
    view: ClientView,
    answer: RegistryResponse,
    *,
    check: str,
    key: str,
    of: str = "",
) -> Iterator[Finding]:
    target = f"{CATALOG}?n=1"
    names = _names(answer, key) if answer.status == OK else None
    if names is None:
        what = f"its list{of} cannot be read: it answered {answer.status}, and no JSON with {key!r}"
        yield Finding(Level.FAILED, check, what, "see its log")
        return
    links = Relocation(target, address, view).relocate_links(answer.headers.get("Link", ""))
    if links and is_led_astray(links.strip("<").partition(">")[0], view):
        what = f"the link to the next page{of} leads clients past authproxy: {links}"
        yield Finding(Level.FAILED, check, what, f"have it answer with paths; what is at {site.place('url')} sets it")
    elif len(names) > 1:
        what = f"its list{of} knows no pages: asked for one name it gave {len(names)}"
        yield Finding(Level.WARNING, check, what, "nothing to do: clients take it as it is")
    elif links:
        yield Finding(Level.OK, check, f"its list{of} comes in pages")
    else:
        count = "one name" if names else "no name"
        yield Finding(Level.OK, check, f"its list{of} has {count}, too few to show whether it knows pages")


def _names(answer: RegistryResponse, key: str) -> list[str] | None:
    try:
        found = json.loads(answer.body)[key]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    names = [] if found is None else found  # Go's way to write an empty one
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None
