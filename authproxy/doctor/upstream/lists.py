"""Lists as our clients would get them: do they come in pages, and do their links stay on our host."""

from collections.abc import Iterator

import httpx

from authproxy.client_view import ClientView
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.lists import CATALOG_PAGE, NOT_AVAILABLE, find_names, link_target, tags_page, unreadable
from authproxy.doctor.response import FORBIDDEN, NOT_FOUND, UNAUTHORIZED, RegistryResponse
from authproxy.doctor.upload import leads_elsewhere
from authproxy.doctor.upstream.site import Site
from authproxy.http.client.address import Address
from authproxy.proxy.location import Relocation


def judge_catalog(site: Site, address: Address, view: ClientView, answer: RegistryResponse) -> Finding:
    """The response to CATALOG_PAGE."""
    if answer.status in NOT_AVAILABLE:
        what = f"its catalog is not available ({answer.status}), so ours is not either; nothing else needs it"
        return Finding(Level.WARNING, "catalog", what)
    names = find_names(answer, "repositories")
    if names is None:
        return unreadable(answer, "repositories", check="catalog", name="list")
    links = _relocated(CATALOG_PAGE, address, view, answer)
    return _judge_pages(site, view, names, links, check="catalog", name="list")


def judge_tags(
    site: Site, address: Address, view: ClientView, answer: RegistryResponse, repository: str
) -> Iterator[Finding]:
    """The response to a `tags_page`. Nothing if there are no tags: CNCF Distribution lists such repositories too."""
    if answer.status == NOT_FOUND:
        return
    if answer.status in (UNAUTHORIZED, FORBIDDEN):
        what = f"the tags of {repository} cannot be read ({answer.status})"
        yield Finding(Level.WARNING, "tags", what, "let the credentials of authproxy pull there")
        return
    name = f"list of {repository}"
    names = find_names(answer, "tags")
    if names is None:
        yield unreadable(answer, "tags", check="tags", name=name)
        return
    links = _relocated(tags_page(repository), address, view, answer)
    yield _judge_pages(site, view, names, links, check="tags", name=name)


def judge_delete(answer: RegistryResponse) -> Finding:
    """The response to the delete of a manifest that does not exist."""
    match answer.status:
        case 405:
            return Finding(
                Level.WARNING,
                "deletes",
                "nothing can be deleted there: it answers 405, whatever our policies allow",
                "storage.delete.enabled: true in its configuration, if deletes should work",
            )
        case 400 | 404:
            return Finding(Level.OK, "deletes", "manifests and blobs can be deleted, if our policies allow it")
        case 401 | 403:
            what = f"whether deletes are enabled is unknown: it answered {answer.status}"
            return Finding(Level.WARNING, "deletes", what, "let the credentials of authproxy delete there")
        case status:
            what = f"it answered {status} to the delete of a manifest that does not exist"
            return Finding(Level.WARNING, "deletes", what)


def _relocated(target: str, address: Address, view: ClientView, answer: RegistryResponse) -> str:
    """The response's `Link` as a client of ours would get it."""
    return Relocation(target, address, view).relocate_links(answer.headers.get("Link", ""))


def _judge_pages(site: Site, view: ClientView, names: list[str], links: str, *, check: str, name: str) -> Finding:
    if links and leads_elsewhere(httpx.URL(view.base_url), link_target(links)):
        what = f"the link to the next page of its {name} leads clients past authproxy: {links}"
        return Finding(Level.FAILED, check, what, f"configure the registry at {site.place('url')} to answer with paths")
    if len(names) > 1:
        what = f"its {name} has no pages: asked for one name, it gave {len(names)}"
        return Finding(Level.WARNING, check, what, "nothing to do: clients accept it")
    if links:
        return Finding(Level.OK, check, f"its {name} comes in pages")
    count = "one name" if names else "no name"
    return Finding(Level.OK, check, f"its {name} has {count}, too few to show whether it has pages")
