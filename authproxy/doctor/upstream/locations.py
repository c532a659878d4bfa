"""Where an upload would be sent on to: through us, or past us."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from authproxy.client_view import ClientView
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.response import ACCEPTED, RegistryResponse
from authproxy.doctor.upstream.site import Site
from authproxy.http.client.address import Address
from authproxy.proxy.location import Relocation

CANCELLED = (202, 204, 404)

NOT_TRIED = Finding(
    Level.WARNING,
    "location",
    "which host it puts into Location, and whether it takes forwarded headers, was not tried",
    "--write begins an upload there, and cancels it",
)


def is_led_astray(location: str, view: ClientView) -> bool:
    """Whether a client that got this address would leave the host that it asked."""
    parts = urlsplit(location)
    return bool(parts.netloc) and (parts.scheme, parts.netloc) != (view.scheme, view.authority)


def judge_upload(
    site: Site, address: Address, view: ClientView, answer: RegistryResponse, *, asked: str
) -> Iterator[Finding]:
    """The answer to the begin of an upload. `asked`: the path of the request."""
    if answer.status != ACCEPTED or "Location" not in answer.headers:
        yield _judge_refusal(answer)
        return
    said = answer.headers["Location"]
    shown = Relocation(asked, address, view).relocate(said)
    host = urlsplit(said).netloc
    if is_led_astray(shown, view):
        yield _past_us(site, view, shown)
    elif not host:
        yield Finding(Level.OK, "location", "it answers with paths, which clients complete with our host")
    elif said.startswith(f"{view.base_url}/"):
        yield Finding(Level.OK, "location", "it takes X-Forwarded-Host and -Proto: it answers with the client's host")
    elif address.is_at(host, urlsplit(said).scheme):
        what = f"it takes no forwarded headers, and answers with its own address, {host}"
        yield Finding(Level.WARNING, "location", what, "nothing to do: authproxy puts the client's host there")
    else:
        what = f"it takes the client's host, and not X-Forwarded-Proto: it answers with {urlsplit(said).scheme}"
        yield Finding(Level.WARNING, "location", what, "nothing to do: authproxy puts the client's scheme there")


def upload_target(location: str) -> tuple[str, str]:
    """Path and query of a begun upload, with which it is cancelled at the upstream itself, whatever host they name."""
    parts = urlsplit(location)
    return parts.path, parts.query


def _past_us(site: Site, view: ClientView, shown: str) -> Finding:
    parts = urlsplit(shown)
    elsewhere = f"{parts.scheme}://{parts.netloc}"
    ours = "" if site.public is None else f", and not to {site.public}"
    if parts.hostname == urlsplit(view.base_url).hostname:
        nginx = "proxy_set_header Host $http_host"
        fix = f"what stands before it has to pass Host and Forwarded on as they are (nginx: {nginx})"
    else:
        fix = (
            "take http.host out of its configuration, and let what stands before it pass Host and Forwarded on;"
            f" where clients do reach authproxy there, {site.host_key}: {elsewhere}"
        )
    what = f"it sends the clients of uploads to {elsewhere}, past authproxy{ours}"
    return Finding(Level.FAILED, "location", what, fix)


def _judge_refusal(answer: RegistryResponse) -> Finding:
    match answer.status:
        case 401 | 403:
            what, fix = "it lets nobody push", "let what authproxy presents there push, where that is meant"
        case 404 | 405:
            what, fix = "it takes no uploads", "a mirror or a read-only registry does not; then nothing is amiss"
        case 202:
            return Finding(
                Level.FAILED, "location", "it began an upload without saying where (Location)", "see its log"
            )
        case status:
            return Finding(
                Level.FAILED, "location", f"the begin of an upload was answered with {status}", "see its log"
            )
    return Finding(Level.WARNING, "location", f"{what}: the begin of an upload was answered with {answer.status}", fix)
