"""Where an upload would go on: through us, or past us."""

from urllib.parse import urlsplit

import httpx

from authproxy.client_view import ClientView
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.response import RegistryResponse
from authproxy.doctor.upload import judge_start, leads_elsewhere, uploads_path
from authproxy.doctor.upstream.site import Site
from authproxy.http.client.address import Address, split_authority
from authproxy.proxy.location import Relocation

NOT_TRIED = Finding(
    Level.WARNING,
    "location",
    "which host it puts into Location, and whether it uses forwarded headers, was not tried",
    "--write starts an upload there, and cancels it",
)


def judge_upload(site: Site, address: Address, view: ClientView, answer: RegistryResponse, repository: str) -> Finding:
    """The response to the start of an upload."""
    fault = judge_start(answer, repository, allow="let the credentials of authproxy push there, if pushes should work")
    if fault is not None:
        return fault
    theirs = answer.headers["Location"]
    shown = Relocation(uploads_path(repository), address, view).relocate(theirs)
    if elsewhere := leads_elsewhere(httpx.URL(view.base_url), shown):
        return _past_us(site, view, elsewhere)
    parts = urlsplit(theirs)
    scheme = parts.scheme or address.scheme
    if not parts.netloc:
        return Finding(Level.OK, "location", "it answers with paths, which clients complete with our host")
    if theirs.startswith(f"{view.base_url}/"):
        what = "it uses X-Forwarded-Host and X-Forwarded-Proto: it answers with the client's host"
        return Finding(Level.OK, "location", what)
    if address.is_at(parts.netloc, scheme):
        what = f"it uses no forwarded headers, and answers with its own address, {parts.netloc}"
        return Finding(Level.WARNING, "location", what, "nothing to do: authproxy puts the client's host there")
    what = f"it uses the client's host, and not X-Forwarded-Proto: it answers with {scheme}"
    return Finding(Level.WARNING, "location", what, "nothing to do: authproxy puts the client's scheme there")


def _past_us(site: Site, view: ClientView, elsewhere: str) -> Finding:
    ours = "" if site.public is None else f", and not to {site.public}"
    if _host_of(elsewhere.partition("://")[2]) == _host_of(view.authority):
        nginx = "proxy_set_header Host $http_host"
        fix = f"let the proxy in front of it pass Host and Forwarded on unchanged (nginx: {nginx})"
    else:
        fix = (
            "take http.host out of its configuration, and let the proxy in front of it pass Host and Forwarded on;"
            f" if clients do reach authproxy there, {site.host_key}: {elsewhere}"
        )
    what = f"it sends the clients of uploads to {elsewhere}, past authproxy{ours}"
    return Finding(Level.FAILED, "location", what, fix)


def _host_of(authority: str) -> str | None:
    split = split_authority(authority, "https")
    return None if split is None else split[0]
