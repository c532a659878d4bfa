"""The whole examination of one upstream: first each address, then its registry."""

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from authproxy.access import CATALOG, delete, pull
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.lists import CATALOG_PAGE, first_repository, tags_page
from authproxy.doctor.request import UNKNOWN_DIGEST, NoAnswer, open_client
from authproxy.doctor.response import OK, RegistryResponse, judge_clock
from authproxy.doctor.tokens.examine import Ours
from authproxy.doctor.upload import cancel_upload, start_upload, upload_target
from authproxy.doctor.upstream import lists, locations
from authproxy.doctor.upstream.admission import Clients, judge_challenge, judge_entry, no_credentials
from authproxy.doctor.upstream.connection import check_address, check_certificate, no_client_certificate, trust
from authproxy.doctor.upstream.presented import open_presents
from authproxy.doctor.upstream.proxy_requests import NoCredentials, UpstreamClient, client_view
from authproxy.doctor.upstream.registry import judge_registry
from authproxy.doctor.upstream.site import Site
from authproxy.http.client.address import Address


@dataclass(frozen=True, slots=True)
class UpstreamOptions:
    """What the operator asked for. `repository` is an existing one, by its name there."""

    may_write: bool = False
    repository: str | None = None


async def examine(
    site: Site, clients: Clients, ours: Ours | None, options: UpstreamOptions, now: float
) -> tuple[Finding, ...]:
    """What is right and wrong with it. `ours` is set if `needs_our_keys`.

    `now`: seconds since 1970. Takes up to TIMEOUT_S for each of about ten requests.
    """
    return tuple([finding async for finding in _examine(site, clients, ours, options, now)])


async def _examine(
    site: Site, clients: Clients, ours: Ours | None, options: UpstreamOptions, now: float
) -> AsyncIterator[Finding]:
    tls = trust(site)
    if isinstance(tls, Finding):
        yield tls
        return
    is_known = False  # all addresses are one registry: the rest is asked at the first that answers as one
    for address in site.addresses:
        found = [finding async for finding in _connect(site, address, tls, now)]
        for finding in found:
            yield finding
        if any(finding.level is Level.FAILED for finding in found):
            continue
        async with open_client(tls) as client:
            requests = UpstreamClient(address, client_view(site.public), client, site.server_name(address))
            entered = await _enter(site, requests, now)
            for finding in entered.findings:
                yield finding
            if entered.answer is not None and not is_known:
                is_known = True
                async for finding in _ask_registry(site, requests, entered.answer, clients, ours, options):
                    yield finding


async def _connect(site: Site, address: Address, tls: ssl.SSLContext | None, now: float) -> AsyncIterator[Finding]:
    yield (reached := await check_address(site, address))
    if tls is not None and reached.level is Level.OK:
        yield await check_certificate(site, address, tls, now)


@dataclass(frozen=True, slots=True)
class _Entered:
    """The response to `/v2/` without credentials, if a registry gave it, and the findings about it."""

    findings: tuple[Finding, ...]
    answer: RegistryResponse | None = None


async def _enter(site: Site, requests: UpstreamClient, now: float) -> _Entered:
    address = requests.address
    try:
        answer = await requests.ask("GET", "/v2/")
    except NoAnswer as exc:
        if exc.wants_certificate:
            return _Entered((no_client_certificate(site, address),))
        what = f"{address.url}/v2/ gave no answer: {exc}"
        fix = f"see its log, or {site.place('url')}: the registry"
        return _Entered((Finding(Level.FAILED, "registry", what, fix),))
    if answer.wants_certificate:
        return _Entered((no_client_certificate(site, address),))
    judged, clock = judge_registry(site, address, answer), judge_clock(answer.headers, now)
    findings = (judged,) if clock is None else (judged, clock)
    return _Entered(findings, None if judged.level in (Level.FAILED, Level.UNKNOWN) else answer)


async def _ask_registry(
    site: Site,
    requests: UpstreamClient,
    answer: RegistryResponse,
    clients: Clients,
    ours: Ours | None,
    options: UpstreamOptions,
) -> AsyncIterator[Finding]:
    try:
        judged, requests = await _present(site, requests, answer, clients, ours)
        yield judged
        if judged.level is Level.FAILED:
            return
        if answer.status == OK or requests.presents is not None:
            async for finding in _ask_content(site, requests, options):
                yield finding
        elif judged.level is not Level.UNKNOWN:
            what = "lists, deletes and uploads were not tried: we have no credentials of a client"
            yield Finding(Level.WARNING, "content", what)
    except NoCredentials as exc:
        yield no_credentials(site, str(exc), answer)
    except NoAnswer as exc:
        what = f"{requests.address.url} answered /v2/, and no further request: {exc}"
        yield Finding(Level.FAILED, "registry", what, "see its log")


async def _present(
    site: Site,
    requests: UpstreamClient,
    answer: RegistryResponse,
    clients: Clients,
    ours: Ours | None,
) -> tuple[Finding, UpstreamClient]:
    """The finding about our credentials, and the client that presents them."""
    judged = judge_challenge(site, answer, clients)
    if judged is not None:
        return judged, requests
    presents = open_presents(site, ours)
    if isinstance(presents, Finding):
        return presents, requests
    with_it = replace(requests, presents=presents)
    try:
        return judge_entry(site, await with_it.ask("GET", "/v2/"), answer, clients), with_it
    except NoCredentials as exc:
        return no_credentials(site, str(exc), answer), requests


async def _ask_content(site: Site, requests: UpstreamClient, options: UpstreamOptions) -> AsyncIterator[Finding]:
    async for finding in _ask_lists(site, requests, options):
        yield finding
    unknown = f"/v2/{site.sample}/manifests/{UNKNOWN_DIGEST}"
    yield lists.judge_delete(await requests.ask("DELETE", unknown, delete(site.sample)))
    if not options.may_write:
        yield locations.NOT_TRIED
        return
    async for finding in _upload(site, requests, options.repository or site.sample):
        yield finding


async def _ask_lists(site: Site, requests: UpstreamClient, options: UpstreamOptions) -> AsyncIterator[Finding]:
    address, view = requests.address, requests.view
    catalog = await requests.ask("GET", CATALOG_PAGE, CATALOG)
    yield lists.judge_catalog(site, address, view, catalog)
    repository = options.repository or first_repository(catalog)
    if repository is None:
        return
    tags = await requests.ask("GET", tags_page(repository), pull(repository))
    for finding in lists.judge_tags(site, address, view, tags, repository):
        yield finding


async def _upload(site: Site, requests: UpstreamClient, repository: str) -> AsyncIterator[Finding]:
    started = await start_upload(requests, repository)
    yield locations.judge_upload(site, requests.address, requests.view, started, repository)
    target = upload_target(repository, started)
    if target is not None:
        kept = await cancel_upload(requests, repository, target)
        if kept is not None:
            yield kept
