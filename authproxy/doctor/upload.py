"""An upload: started to see where its `Location` leads, and cancelled at once."""

import httpx

from authproxy.access import delete, pull, push
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.request import AuthorizedRequests
from authproxy.doctor.response import ACCEPTED, RegistryResponse

_CANCELLED = (202, 204, 404)


def uploads_path(repository: str) -> str:
    """Where uploads to a repository start."""
    return f"/v2/{repository}/blobs/uploads/"


async def start_upload(requests: AuthorizedRequests, repository: str) -> RegistryResponse:
    """Start an upload. Raises NoAnswer."""
    return await requests.ask("POST", uploads_path(repository), pull(repository), push(repository))


def judge_start(answer: RegistryResponse, repository: str, *, allow: str) -> Finding | None:
    """What is wrong with the response to the start; None if it has a `Location`. `allow`: how to get a refused one."""
    match answer.status:
        case 401 | 403:
            what = f"where it sends uploads is unknown: it does not let us push to {repository} ({answer.status})"
            return Finding(Level.WARNING, "location", what, allow)
        case 404 | 405:
            what = f"it accepts no uploads ({answer.status})"
            return Finding(Level.WARNING, "location", what, "this is normal for a mirror or a read-only registry")
        case 202 if "Location" in answer.headers:
            return None
        case 202:
            what = "it started an upload without saying where (Location), so nothing can be pushed"
            return Finding(Level.FAILED, "location", what, "let the proxy in front of it pass Location on")
        case status:
            what = f"it answered {status} to the start of an upload"
            return Finding(Level.FAILED, "location", what, "see its log")


def upload_target(repository: str, answer: RegistryResponse) -> str | None:
    """Path and query of a started upload, without its host: it is cancelled where it was started.

    None if nothing was started, or its address is invalid.
    """
    location = answer.headers.get("Location")
    if answer.status != ACCEPTED or location is None:
        return None
    try:
        return httpx.URL(f"http://registry{uploads_path(repository)}").join(location).raw_path.decode("ascii")
    except httpx.InvalidURL:
        return None


async def cancel_upload(requests: AuthorizedRequests, repository: str, target: str) -> Finding | None:
    """Cancel an upload; a finding if it stays. Raises NoAnswer."""
    # CNCF Distribution requires `delete` to cancel an upload.
    ended = await requests.ask("DELETE", target, pull(repository), push(repository), delete(repository))
    if ended.status in _CANCELLED:
        return None
    what = f"the upload that was started in {repository} could not be cancelled ({ended.status})"
    return Finding(Level.WARNING, "location", what, "it is empty; the registry removes it with old uploads")


def leads_elsewhere(base: httpx.URL, reference: str) -> str | None:
    """`scheme://host[:port]` of an address in a response, if it is not that of `base`; an invalid address whole."""
    try:
        url = base.join(reference)
    except httpx.InvalidURL:
        return reference[:200]
    same = (url.scheme, url.host, _port(url)) == (base.scheme, base.host, _port(base))
    return None if same else f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"


def _port(url: httpx.URL) -> int | None:
    return url.port or {"http": 80, "https": 443}.get(url.scheme)
