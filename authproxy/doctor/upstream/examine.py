"""The whole examination of one upstream: each address by itself, and then what its registry does."""

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from authproxy.access import CATALOG, delete, pull, push
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.response import ACCEPTED, OK, NoAnswer, RegistryResponse, judge_clock
from authproxy.doctor.tokens.examine import Ours
from authproxy.doctor.upstream import content, entry, locations
from authproxy.doctor.upstream.admission import Clients, judge_challenge, judge_entry, no_credentials
from authproxy.doctor.upstream.connection import check_address, check_certificate, no_client_certificate, trust
from authproxy.doctor.upstream.presented import open_presents
from authproxy.doctor.upstream.questions import NoCredentials, UpstreamClient, client_view, open_client
from authproxy.doctor.upstream.site import Site
from authproxy.http.client.address import Address


@dataclass(frozen=True, slots=True)
class UpstreamOptions:
    """What the operator asked for. `repository` is one that the upstream has, by its name there."""

    may_write: bool = False
    repository: str | None = None


async def examine(
    site: Site, clients: Clients, ours: Ours | None, wishes: UpstreamOptions, now: float
) -> tuple[Finding, ...]:
    """What is right and wrong with it. `ours` where `needs_our_keys`.

    `now`: seconds since 1970. Takes as long as TIMEOUT_S for each of about ten questions at the most.
    """
    return tuple([finding async for finding in _examine(site, clients, ours, wishes, now)])


async def _examine(
    site: Site, clients: Clients, ours: Ours | None, wishes: UpstreamOptions, now: float
) -> AsyncIterator[Finding]:
    tls = trust(site)
    if isinstance(tls, Finding):
        yield tls
        return
    is_known = False  # all addresses are one registry: what it does is asked at the first that is one
    for address in site.addresses:
        found = [finding async for finding in _connect(site, address, tls, now)]
        for finding in found:
            yield finding
        if any(finding.level is Level.FAILED for finding in found):
            continue
        async with open_client(tls) as client:
            questions = UpstreamClient(address, client_view(site.public), client, site.server_name(address))
            entered = await _enter(site, questions, now)
            for finding in entered.findings:
                yield finding
            if entered.answer is not None and not is_known:
                is_known = True
                async for finding in _ask_registry(site, questions, entered.answer, clients, ours, wishes):
                    yield finding


async def _connect(site: Site, address: Address, tls: ssl.SSLContext | None, now: float) -> AsyncIterator[Finding]:
    yield (reached := await check_address(site, address))
    if tls is not None and reached.level is Level.OK:
        yield await check_certificate(site, address, tls, now)


@dataclass(frozen=True, slots=True)
class _Entered:
    """The answer to `/v2/` without credentials, where a registry gave it, and what is said of it."""

    findings: tuple[Finding, ...]
    answer: RegistryResponse | None = None


async def _enter(site: Site, questions: UpstreamClient, now: float) -> _Entered:
    address = questions.address
    try:
        answer = await questions.ask("GET", "/v2/")
    except NoAnswer as exc:
        if exc.wants_certificate:
            return _Entered((no_client_certificate(site, address),))
        what = f"{address.url}/v2/ gave no answer: {exc}"
        fix = f"see its log, or {site.place('url')}: the registry"
        return _Entered((Finding(Level.FAILED, "registry", what, fix),))
    if entry.wants_certificate(answer):
        return _Entered((no_client_certificate(site, address),))
    judged, clock = entry.judge_registry(site, address, answer), judge_clock(answer.headers, now)
    findings = (judged,) if clock is None else (judged, clock)
    return _Entered(findings, None if judged.level in (Level.FAILED, Level.UNKNOWN) else answer)


async def _ask_registry(
    site: Site,
    questions: UpstreamClient,
    answer: RegistryResponse,
    clients: Clients,
    ours: Ours | None,
    wishes: UpstreamOptions,
) -> AsyncIterator[Finding]:
    try:
        judged, questions = await _present(site, questions, answer, clients, ours)
        yield judged
        if judged.level is Level.FAILED:
            return
        if answer.status == OK or questions.presents is not None:
            async for finding in _ask_content(site, questions, wishes):
                yield finding
        elif judged.level is not Level.UNKNOWN:
            what = "lists, deletes and uploads were not tried: we have no credentials of a client"
            yield Finding(Level.WARNING, "content", what)
    except NoCredentials as exc:
        yield no_credentials(site, str(exc), answer)
    except NoAnswer as exc:
        what = f"{questions.address.url} answered /v2/, and then no more: {exc}"
        yield Finding(Level.FAILED, "registry", what, "see its log")


async def _present(
    site: Site,
    questions: UpstreamClient,
    answer: RegistryResponse,
    clients: Clients,
    ours: Ours | None,
) -> tuple[Finding, UpstreamClient]:
    """Whether we get in, and the questions that do."""
    judged = judge_challenge(site, answer, clients)
    if judged is not None:
        return judged, questions
    presents = open_presents(site, ours)
    if isinstance(presents, Finding):
        return presents, questions
    with_it = replace(questions, presents=presents)
    try:
        return judge_entry(site, await with_it.ask("GET", "/v2/"), answer, clients), with_it
    except NoCredentials as exc:
        return no_credentials(site, str(exc), answer), questions


async def _ask_content(site: Site, questions: UpstreamClient, wishes: UpstreamOptions) -> AsyncIterator[Finding]:
    async for finding in _ask_lists(site, questions, wishes):
        yield finding
    yield content.judge_delete(await _delete_nothing(site, questions))
    if not wishes.may_write:
        yield locations.NOT_TRIED
        return
    async for finding in _upload(site, questions, wishes.repository or site.sample):
        yield finding


async def _ask_lists(site: Site, questions: UpstreamClient, wishes: UpstreamOptions) -> AsyncIterator[Finding]:
    address, view = questions.address, questions.view
    catalog = await questions.ask("GET", content.CATALOG, "n=1", needs=[CATALOG])
    for finding in content.judge_catalog(site, address, view, catalog):
        yield finding
    repository = wishes.repository or content.first_repository(catalog)
    if repository is None:
        return
    tags = await questions.ask("GET", f"/v2/{repository}/tags/list", "n=1", needs=[pull(repository)])
    for finding in content.judge_tags(site, address, view, tags, repository):
        yield finding


async def _delete_nothing(site: Site, questions: UpstreamClient) -> RegistryResponse:
    path = f"/v2/{site.sample}/manifests/{content.NOTHINGS_DIGEST}"
    return await questions.ask("DELETE", path, needs=[delete(site.sample)])


async def _upload(site: Site, questions: UpstreamClient, repository: str) -> AsyncIterator[Finding]:
    path = f"/v2/{repository}/blobs/uploads/"
    # CNCF Distribution wants `delete` of who cancels an upload.
    needs = [pull(repository), push(repository), delete(repository)]
    begun = await questions.ask("POST", path, needs=needs)
    for finding in locations.judge_upload(site, questions.address, questions.view, begun, asked=path):
        yield finding
    if begun.status == ACCEPTED and (location := begun.headers.get("Location")):
        ended = await questions.ask("DELETE", *locations.upload_target(location), needs=needs)
        if ended.status not in locations.CANCELLED:
            what = f"the upload that was begun in {repository} could not be cancelled: {ended.status}"
            yield Finding(Level.WARNING, "location", what, "it is empty; the registry removes it with old uploads")
