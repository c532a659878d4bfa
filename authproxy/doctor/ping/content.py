"""What a client that has logged in gets, if it can: the catalog, referrers, and an upload's `Location`."""

import httpx

from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.lists import NOT_AVAILABLE, find_names, link_target, unreadable
from authproxy.doctor.response import NOT_FOUND, OK, RegistryResponse
from authproxy.doctor.upload import judge_start, leads_elsewhere
from authproxy.oci.media_types import OCI_INDEX

NAME_REPOSITORY = "--repository NAME: an existing one"
NAME_PUSHABLE = "--repository NAME: one that the stored login may push to"

UPLOAD_NOT_TRIED = Finding(
    Level.WARNING, "location", "where it sends uploads was not tried", "--write starts one there, and cancels it"
)
ANONYMOUS_NOT_TRIED = Finding(
    Level.WARNING, "anonymous", "whether anything can be pulled without a login was not tried", NAME_REPOSITORY
)

_FORWARDED = (
    "let the proxy in front of it pass host and scheme on (nginx: proxy_set_header Host $http_host;"
    " proxy_set_header X-Forwarded-Proto $scheme), or write them into its configuration (http.host)"
)


def judge_catalog(base: httpx.URL, answer: RegistryResponse) -> Finding:
    """The response to CATALOG_PAGE."""
    if answer.status in NOT_AVAILABLE:
        what = f"its catalog is not available ({answer.status}); only lists of all images need it"
        return Finding(Level.WARNING, "catalog", what)
    names = find_names(answer, "repositories")
    if names is None:
        return unreadable(answer, "repositories", check="catalog", name="catalog")
    link = link_target(answer.headers.get("Link", ""))
    if link and (elsewhere := leads_elsewhere(base, link)):
        what = f"the link to the next page of its catalog leads to {elsewhere}"
        return Finding(Level.FAILED, "catalog", what, _FORWARDED)
    count = "no repository" if not names else "its first repository: " + names[0] if link else f"{len(names)} in all"
    return Finding(Level.OK, "catalog", f"its catalog can be read, {count}")


def judge_anonymous(answer: RegistryResponse, repository: str) -> Finding:
    """A repository's tags, requested without a login."""
    if answer.status == OK:
        return Finding(Level.OK, "anonymous", f"anyone may pull {repository}, without a login")
    return Finding(Level.OK, "anonymous", f"{repository} requires a login ({answer.status})")


def judge_referrers(answer: RegistryResponse, repository: str) -> Finding:
    """The response to `/v2/<repository>/referrers/<digest>`: OCI Distribution 1.1, "Listing Referrers"."""
    if answer.status == OK and answer.fields.get("mediaType") == OCI_INDEX:
        return Finding(Level.OK, "referrers", "it lists referrers: signatures and attestations are found at once")
    if answer.status == OK:
        what = "it answers a request for referrers with something other than an index"
        return Finding(Level.FAILED, "referrers", what, f"it has to be {OCI_INDEX}, or 404")
    if answer.status == NOT_FOUND and not _is_about_the_name(answer):
        what = "it does not list referrers (404): clients keep signatures under tags instead, as before OCI 1.1"
        return Finding(Level.WARNING, "referrers", what)
    what = f"whether it lists referrers is unknown: it answered {answer.status} for {repository}"
    return Finding(Level.WARNING, "referrers", what, NAME_REPOSITORY)


def judge_upload(base: httpx.URL, answer: RegistryResponse, repository: str) -> Finding:
    """The response to the start of an upload."""
    fault = judge_start(answer, repository, allow=NAME_PUSHABLE)
    if fault is not None:
        return fault
    if elsewhere := leads_elsewhere(base, answer.headers["Location"]):
        what = (
            f"it sends uploads to {elsewhere}, and clients asked {base}: pushes fail, or bypass a proxy in front of it"
        )
        return Finding(Level.FAILED, "location", what, _FORWARDED)
    return Finding(Level.OK, "location", "uploads stay at the host, scheme and port that were asked")


def _is_about_the_name(answer: RegistryResponse) -> bool:
    """Whether a 404 says that there is no such repository, and not that the endpoint is unknown."""
    errors = answer.fields.get("errors")
    return isinstance(errors, list) and any("NAME" in str(error) for error in errors)
