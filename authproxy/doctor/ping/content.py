"""What a client gets that has logged in, where it can: lists, referrers, and where an upload is sent on to."""

from contextlib import suppress

import httpx

from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.response import ACCEPTED, FORBIDDEN, NOT_ALLOWED, NOT_FOUND, OK, UNAUTHORIZED, RegistryResponse
from authproxy.errors import NameInvalid
from authproxy.reference import parse_repository

CATALOG = "/v2/_catalog"
# Nothing has this digest.
NOTHINGS_DIGEST = f"sha256:{'0' * 64}"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
CANCELLED = (202, 204, 404)

NOT_TRIED = Finding(
    Level.WARNING, "location", "where it sends uploads was not tried", "--write begins one there, and cancels it"
)

NOBODY_TRIED = Finding(
    Level.WARNING,
    "anonymous",
    "whether anything may be pulled without a login was not tried",
    "--repository NAME: one that is there",
)

_FORWARDED = (
    "what stands before it has to pass host and scheme on (nginx: proxy_set_header Host $http_host;"
    " proxy_set_header X-Forwarded-Proto $scheme), or its configuration to say them (http.host)"
)


def judge_catalog(base: httpx.URL, answer: RegistryResponse) -> Finding:
    """The answer to `/v2/_catalog?n=1`."""
    if answer.status in (UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ALLOWED):
        what = f"its catalog is not available ({answer.status}); nothing but lists of all images needs it"
        return Finding(Level.WARNING, "catalog", what)
    names = repositories_of(answer)
    if names is None:
        what = f"its catalog cannot be read: it answered {answer.status}, and no JSON with 'repositories'"
        return Finding(Level.FAILED, "catalog", what, "see its log")
    link = answer.headers.get("Link", "").strip("<").partition(">")[0]
    if link and (elsewhere := leads_elsewhere(base, link)):
        what = f"the link to the next page of its catalog leads to {elsewhere}"
        return Finding(Level.FAILED, "catalog", what, _FORWARDED)
    count = "no repository" if not names else "its first repository: " + names[0] if link else f"{len(names)} in all"
    return Finding(Level.OK, "catalog", f"its catalog can be read, {count}")


def repositories_of(answer: RegistryResponse) -> list[str] | None:
    """The names in a catalog."""
    found = answer.fields.get("repositories", 0) if answer.status == OK else 0
    names = [] if found is None else found  # Go's way to write an empty one
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def first_repository(catalog: RegistryResponse) -> str | None:
    """A repository that the catalog names; what is no name at all is left out."""
    for name in repositories_of(catalog) or ():
        with suppress(NameInvalid):
            return parse_repository(name)
    return None


def judge_anonymous(answer: RegistryResponse, repository: str) -> Finding:
    """A repository's tags, asked for without a login."""
    if answer.status == OK:
        return Finding(Level.OK, "anonymous", f"anybody may pull {repository}, without a login")
    return Finding(Level.OK, "anonymous", f"{repository} is for those who log in ({answer.status})")


def judge_referrers(answer: RegistryResponse, repository: str) -> Finding:
    """The answer to `/v2/<repository>/referrers/<digest>`: OCI Distribution 1.1, "Listing Referrers"."""
    if answer.status == OK and answer.fields.get("mediaType") == OCI_INDEX:
        return Finding(Level.OK, "referrers", "it lists referrers: signatures and attestations are found at once")
    if answer.status == OK:
        what = "it answers the question for referrers with something that is no index"
        return Finding(Level.FAILED, "referrers", what, f"it has to be {OCI_INDEX}, or 404")
    if answer.status == NOT_FOUND and not _is_about_the_name(answer):
        what = "it does not list referrers (404): clients keep signatures under tags instead, as before OCI 1.1"
        return Finding(Level.WARNING, "referrers", what)
    what = f"whether it lists referrers cannot be told of {repository}: it answered {answer.status}"
    return Finding(Level.WARNING, "referrers", what, "--repository NAME: one that is there")


def judge_upload(base: httpx.URL, answer: RegistryResponse, repository: str) -> Finding:
    """The answer to the begin of an upload."""
    location = answer.headers.get("Location")
    if answer.status in (UNAUTHORIZED, FORBIDDEN):
        what = f"where it sends uploads was not seen: it does not let us push to {repository} ({answer.status})"
        return Finding(Level.WARNING, "location", what, "--repository NAME: one that the stored login may push to")
    if answer.status in (NOT_FOUND, NOT_ALLOWED):
        what = f"it takes no uploads ({answer.status})"
        return Finding(
            Level.WARNING, "location", what, "a mirror or a read-only registry does not; then nothing is amiss"
        )
    if answer.status != ACCEPTED:
        what = f"the begin of an upload was answered with {answer.status}"
        return Finding(Level.FAILED, "location", what, "see its log")
    if not location:
        what = "it began an upload without saying where (Location), so nothing can be pushed"
        return Finding(Level.FAILED, "location", what, "have what stands before it pass Location on")
    if elsewhere := leads_elsewhere(base, location):
        what = (
            f"it sends uploads to {elsewhere}, and clients asked {base}: pushes fail, or go past what stands before it"
        )
        return Finding(Level.FAILED, "location", what, _FORWARDED)
    return Finding(Level.OK, "location", "uploads stay at the host, scheme and port that were asked")


def leads_elsewhere(base: httpx.URL, reference: str) -> str | None:
    """`scheme://host:port` of an address in an answer, where it is not that of the registry."""
    try:
        url = base.join(reference)
    except httpx.InvalidURL:
        return reference[:200]
    same = (url.scheme, url.host, _port(url)) == (base.scheme, base.host, _port(base))
    return None if same else f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"


def upload_target(base: httpx.URL, location: str) -> str | None:
    """Path and query of a begun upload, with which it is cancelled at the registry itself, whatever host they name."""
    try:
        return base.join(location).raw_path.decode("ascii")
    except httpx.InvalidURL:
        return None


def _port(url: httpx.URL) -> int | None:
    return url.port or {"http": 80, "https": 443}.get(url.scheme)


def _is_about_the_name(answer: RegistryResponse) -> bool:
    """Whether a 404 says that the repository is not there, and not that the question is unknown."""
    errors = answer.fields.get("errors")
    return isinstance(errors, list) and any("NAME" in str(error) for error in errors)
