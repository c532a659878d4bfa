"""The whole ping, step by step; after a failed step, those that depend on it are left out."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import httpx

from authproxy.access import CATALOG, pull
from authproxy.doctor.challenge import BEARER, AuthRequirement
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.lists import CATALOG_PAGE, first_repository, tags_page
from authproxy.doctor.ping import content, headers, realm
from authproxy.doctor.ping.client_requests import AuthorizedClient
from authproxy.doctor.ping.product import ZOT_PATH, Product, guess, judge_zot
from authproxy.doctor.ping.reach import Reachability, no_client_certificate, reach
from authproxy.doctor.request import UNKNOWN_DIGEST, NoAnswer, get, open_client
from authproxy.doctor.response import OK, UNAUTHORIZED, VERSION, RegistryResponse, judge_clock
from authproxy.doctor.upload import cancel_upload, start_upload, upload_target
from authproxy.http.client.address import DEFAULT_PORTS, Address, split_authority
from authproxy.http.client.token import Token
from authproxy.program import command
from authproxy.registry_client.client import open_registry
from authproxy.registry_client.docker_config import Login, find_login
from authproxy.registry_client.errors import RegistryClientError
from authproxy.registry_client.host import authority_of
from authproxy.registry_client.trust import Trust

# A name that no repository has: an upload that is started in it is cancelled.
SAMPLE = "authproxy-ping/sample"


@dataclass(frozen=True, slots=True)
class PingOptions:
    """What the user asked for. `repository` is an existing one."""

    may_write: bool = False
    repository: str | None = None


@dataclass(slots=True)
class PingReport:
    """The result, filled in step by step."""

    host: str
    address: str
    product: Product | None = None
    wanted: AuthRequirement | None = None
    findings: list[Finding] = field(default_factory=list)

    def add(self, *findings: Finding | None) -> None:
        """Append findings."""
        self.findings += filter(None, findings)


async def ping(host: str, trust: Trust, options: PingOptions, environment: Mapping[str, str], now: float) -> PingReport:
    """Examine a registry. `environment` says where docker's logins are; `now`: seconds since 1970."""
    address = _address_of(host)
    report = PingReport(host, address.url)
    reached = await reach(host, address, trust, now)
    report.add(*reached.findings)
    if reached.address is None:
        return report
    report.address = reached.address.url
    async with open_client(reached.tls, reached.address.url) as anonymous:
        answer = await _enter(report, anonymous, reached.address, trust)
        if answer is None:
            return report
        is_usable = await _examine_auth(report, anonymous, reached.address, answer)
        await _examine_as_client(report, reached, trust, options, environment, is_usable=is_usable)
        report.add(judge_clock(answer.headers, now) or _clock_is_right(answer))
    return report


def _address_of(host: str) -> Address:
    name, port = split_authority(authority_of(host), "https") or (host, DEFAULT_PORTS["https"])
    return Address("https", name, port)


async def _enter(
    report: PingReport, anonymous: httpx.AsyncClient, address: Address, trust: Trust
) -> RegistryResponse | None:
    """The response to `/v2/` without credentials, if a registry gave it."""
    try:
        answer = await get(anonymous, "/v2/")
    except NoAnswer as error:
        if error.wants_certificate:
            report.add(no_client_certificate(report.host, address, trust))
        else:
            report.add(Finding(Level.FAILED, "registry", f"{address.url}/v2/ gave no answer: {error}", "see its log"))
        return None
    judged = headers.judge_registry(address, answer)
    report.add(judged)
    if judged.level is Level.FAILED:
        return None
    report.add(headers.judge_version(answer))
    return answer


async def _examine_auth(
    report: PingReport, anonymous: httpx.AsyncClient, address: Address, answer: RegistryResponse
) -> bool:
    """Report what is asked for, and where tokens come from. Returns whether a client gets any further."""
    wanted = report.wanted = answer.wanted if answer.status != OK else None
    report.product = guess(answer, wanted)
    if report.product is None and VERSION in answer.headers:
        report.product = await _ask_zot(anonymous)
    judged = headers.judge_auth(answer, wanted)
    report.add(judged)
    if wanted is None or BEARER not in wanted.schemes or judged.level is Level.FAILED:
        return judged.level is not Level.FAILED
    return await _examine_realm(report, anonymous, address, wanted)


async def _ask_zot(anonymous: httpx.AsyncClient) -> Product | None:
    try:
        return judge_zot(await get(anonymous, ZOT_PATH))
    except NoAnswer:
        return None


async def _examine_realm(
    report: PingReport, anonymous: httpx.AsyncClient, address: Address, wanted: AuthRequirement
) -> bool:
    misplaced = realm.judge_place(address, wanted)
    if misplaced is not None:
        report.add(misplaced)
        return False
    try:
        judged = realm.judge_answer(wanted, await get(anonymous, realm.token_url(wanted)))
    except NoAnswer as error:
        what = f"{wanted.realm} gave no answer: {error}"
        report.add(Finding(Level.FAILED, "realm", what, "start the token server, or correct the registry's realm"))
        return False
    report.add(judged.finding)
    if judged.token is not None and judged.token.fits_header:
        report.add(await _try_token(anonymous, wanted, judged.token))
    return judged.finding.level is not Level.FAILED


async def _try_token(anonymous: httpx.AsyncClient, wanted: AuthRequirement, token: Token) -> Finding | None:
    try:
        return realm.judge_token(wanted, await get(anonymous, "/v2/", {"Authorization": f"Bearer {token.text}"}))
    except NoAnswer as error:
        return Finding(
            Level.FAILED, "realm", f"with a token of {wanted.realm}, /v2/ gave no answer: {error}", "see its log"
        )


async def _examine_as_client(
    report: PingReport,
    reached: Reachability,
    trust: Trust,
    options: PingOptions,
    environment: Mapping[str, str],
    *,
    is_usable: bool,
) -> None:
    """What a client gets from here on, with the stored login if there is one."""
    if not is_usable or not reached.is_trusted:
        what = "lists, uploads and the stored login were not tried: clients stop at the fault above"
        report.add(Finding(Level.WARNING, "login", what))
        return
    try:
        login = await asyncio.to_thread(find_login, report.host, environment)
        async with open_registry(report.host, login, trust, base=_base_of(reached)) as registry:
            client = AuthorizedClient(registry)
            if not await _log_in(report, client, login, trust):
                return
            async for finding in _examine_content(report, client, reached, trust, options):
                report.add(finding)
    except (RegistryClientError, NoAnswer) as error:
        report.add(Finding(Level.FAILED, "login", str(error), "see its log"))


async def _log_in(report: PingReport, client: AuthorizedClient, login: Login | None, trust: Trust) -> bool:
    again = command(f"registry login {report.host}{trust.options}")
    if login is None:
        if report.wanted is not None:
            what = "no login is stored for it here; what follows is what anyone gets"
            report.add(Finding(Level.WARNING, "login", what, f"{again} -u USER"))
        return True
    who = f"the stored login{f' of {login.user}' if login.user else ''}"
    if report.wanted is None:
        report.add(Finding(Level.WARNING, "login", f"{who} is not asked for"))
        return True
    try:
        answer = await client.ask("GET", "/v2/")
    except NoAnswer as error:
        report.add(Finding(Level.FAILED, "login", f"{who} is refused: {error}", again))
        return False
    if answer.status == OK:
        report.add(Finding(Level.OK, "login", f"{who} is accepted"))
        return True
    fix = again if answer.status == UNAUTHORIZED else "see its log"
    report.add(Finding(Level.FAILED, "login", f"{who} is refused ({answer.status})", fix))
    return False


def _base_of(reached: Reachability) -> httpx.URL | None:
    return None if reached.address is None else httpx.URL(f"{reached.address.url}/")


async def _examine_content(
    report: PingReport, client: AuthorizedClient, reached: Reachability, trust: Trust, options: PingOptions
) -> AsyncIterator[Finding]:
    base = await client.registry.address("/v2/")
    catalog = await client.ask("GET", CATALOG_PAGE, CATALOG)
    yield content.judge_catalog(base, catalog)
    repository = options.repository or first_repository(catalog)
    if report.wanted is not None:
        yield await _pull_anonymously(report.host, reached, trust, repository)
    if repository is not None:
        path = f"/v2/{repository}/referrers/{UNKNOWN_DIGEST}"
        yield content.judge_referrers(await client.ask("GET", path, pull(repository)), repository)
    if not options.may_write:
        yield content.UPLOAD_NOT_TRIED
        return
    async for finding in _upload(client, options.repository or SAMPLE):
        yield finding


async def _pull_anonymously(host: str, reached: Reachability, trust: Trust, repository: str | None) -> Finding:
    if repository is None:
        return content.ANONYMOUS_NOT_TRIED
    async with open_registry(host, None, trust, base=_base_of(reached)) as registry:
        try:
            answer = await AuthorizedClient(registry).ask("GET", tags_page(repository), pull(repository))
        except NoAnswer as error:
            return Finding(Level.OK, "anonymous", f"{repository} requires a login: {error}")
    return content.judge_anonymous(answer, repository)


async def _upload(client: AuthorizedClient, repository: str) -> AsyncIterator[Finding]:
    try:
        started = await start_upload(client, repository)
    except NoAnswer as error:
        what = f"where it sends uploads is unknown: {error}"
        yield Finding(Level.WARNING, "location", what, content.NAME_PUSHABLE)
        return
    yield content.judge_upload(await client.registry.address("/v2/"), started, repository)
    if (target := upload_target(repository, started)) and (kept := await cancel_upload(client, repository, target)):
        yield kept


def _clock_is_right(answer: RegistryResponse) -> Finding | None:
    return Finding(Level.OK, "clock", "its clock and ours agree") if "Date" in answer.headers else None
