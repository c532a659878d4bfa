"""The whole ping: what each step asks, in order; where one fails, what would follow from it is left out."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import httpx

from authproxy.access import CATALOG, delete, pull, push
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.ping import content, entry, realm
from authproxy.doctor.ping.product import ZOT_PATH, Product, guess, judge_zot
from authproxy.doctor.ping.questions import AnonymousClient, AuthorizedClient, open_bare
from authproxy.doctor.ping.reach import Reachability, no_client_certificate, reach
from authproxy.doctor.response import ACCEPTED, OK, UNAUTHORIZED, VERSION, NoAnswer, RegistryResponse, judge_clock
from authproxy.doctor.tokens.challenge import BEARER, AuthRequirement, find_wanted
from authproxy.http.client.address import DEFAULT_PORTS, Address, split_authority
from authproxy.registry_client.client import open_registry
from authproxy.registry_client.docker_config import Login, find_login
from authproxy.registry_client.errors import RegistryClientError
from authproxy.registry_client.host import authority_of
from authproxy.registry_client.trust import Trust

# A name that nobody uses: an upload that is begun in it is cancelled.
NOBODYS = "authproxy-ping/sample"


@dataclass(frozen=True, slots=True)
class PingOptions:
    """What the user asked for. `repository` is one that the registry has."""

    may_write: bool = False
    repository: str | None = None


@dataclass(slots=True)
class PingReport:
    """What was found, while it is found."""

    host: str
    address: str
    product: Product | None = None
    wanted: AuthRequirement | None = None
    findings: list[Finding] = field(default_factory=list)

    def say(self, *findings: Finding | None) -> None:
        """Some findings more."""
        self.findings += filter(None, findings)


async def ping(host: str, trust: Trust, wishes: PingOptions, environment: Mapping[str, str], now: float) -> PingReport:
    """Look at a registry. `environment` says where docker's logins are; `now`: seconds since 1970."""
    address = _address_of(host)
    pinged = PingReport(host, address.url)
    reached = await reach(host, address, trust, now)
    pinged.say(*reached.findings)
    if reached.address is None:
        return pinged
    pinged.address = reached.address.url
    async with open_bare(reached.address, reached.tls) as bare:
        answer = await _enter(pinged, bare, reached.address, trust)
        if answer is None:
            return pinged
        is_usable = await _look_at_auth(pinged, bare, reached.address, answer)
        await _go_on(pinged, reached, trust, wishes, environment, is_usable=is_usable)
        pinged.say(judge_clock(answer.headers, now) or _clock_is_right(answer))
    return pinged


def _address_of(host: str) -> Address:
    name, port = split_authority(authority_of(host), "https") or (host, DEFAULT_PORTS["https"])
    return Address("https", name, port)


async def _enter(pinged: PingReport, bare: AnonymousClient, address: Address, trust: Trust) -> RegistryResponse | None:
    """The answer to `/v2/` without credentials, where a registry gave it."""
    try:
        answer = await bare.ask("GET", "/v2/")
    except NoAnswer as error:
        if error.wants_certificate:
            pinged.say(no_client_certificate(pinged.host, address, trust))
        else:
            pinged.say(Finding(Level.FAILED, "registry", f"{address.url}/v2/ gave no answer: {error}", "see its log"))
        return None
    judged = entry.judge_registry(address, answer)
    pinged.say(judged)
    if judged.level is Level.FAILED:
        return None
    pinged.say(entry.judge_version(answer))
    return answer


async def _look_at_auth(pinged: PingReport, bare: AnonymousClient, address: Address, answer: RegistryResponse) -> bool:
    """Say what is asked for, and where tokens come from. Whether a client gets any further."""
    wanted = pinged.wanted = find_wanted(answer.headers.get_list("WWW-Authenticate")) if answer.status != OK else None
    pinged.product = guess(answer, wanted)
    if pinged.product is None and VERSION in answer.headers:
        pinged.product = await _ask_zot(bare)
    judged = entry.judge_auth(answer, wanted)
    pinged.say(judged)
    if wanted is None or BEARER not in wanted.schemes or judged.level is Level.FAILED:
        return judged.level is not Level.FAILED
    return await _look_at_realm(pinged, bare, address, wanted)


async def _ask_zot(bare: AnonymousClient) -> Product | None:
    try:
        return judge_zot(await bare.ask("GET", ZOT_PATH))
    except NoAnswer:
        return None


async def _look_at_realm(pinged: PingReport, bare: AnonymousClient, address: Address, wanted: AuthRequirement) -> bool:
    misplaced = realm.judge_place(address, wanted)
    if misplaced is not None:
        pinged.say(misplaced)
        return False
    try:
        judged = realm.judge_answer(wanted, await bare.ask("GET", realm.question(wanted)))
    except NoAnswer as error:
        what = f"{wanted.realm} gave no answer: {error}"
        pinged.say(Finding(Level.FAILED, "realm", what, "start the token server, or correct the registry's realm"))
        return False
    pinged.say(judged.finding)
    if judged.token is not None and judged.token.fits_header:
        answer = await bare.ask("GET", "/v2/", {"Authorization": f"Bearer {judged.token.text}"})
        pinged.say(realm.judge_token(wanted, answer))
    return judged.finding.level is not Level.FAILED


async def _go_on(
    pinged: PingReport,
    reached: Reachability,
    trust: Trust,
    wishes: PingOptions,
    environment: Mapping[str, str],
    *,
    is_usable: bool,
) -> None:
    """What a client meets that goes on from here, with the stored login where there is one."""
    if not is_usable or not reached.is_trusted:
        what = "lists, uploads and the stored login were not tried: clients stop at what is wrong above"
        pinged.say(Finding(Level.WARNING, "login", what))
        return
    try:
        login = await asyncio.to_thread(find_login, pinged.host, environment)
        async with open_registry(pinged.host, login, trust, base=_base_of(reached)) as registry:
            asking = AuthorizedClient(registry)
            if not await _log_in(pinged, asking, login):
                return
            async for finding in _look_at_content(pinged, asking, reached, trust, wishes):
                pinged.say(finding)
    except (RegistryClientError, NoAnswer) as error:
        pinged.say(Finding(Level.FAILED, "login", str(error), "see its log"))


async def _log_in(pinged: PingReport, asking: AuthorizedClient, login: Login | None) -> bool:
    again = f"authproxy registry login {pinged.host}"
    if login is None:
        if pinged.wanted is not None:
            what = "no login is stored for it here; what follows is what anybody gets"
            pinged.say(Finding(Level.WARNING, "login", what, f"{again} -u USER"))
        return True
    who = f"the stored login{f' of {login.user}' if login.user else ''}"
    if pinged.wanted is None:
        pinged.say(Finding(Level.WARNING, "login", f"{who} is not asked for"))
        return True
    try:
        answer = await asking.ask("GET", "/v2/")
    except NoAnswer as error:
        pinged.say(Finding(Level.FAILED, "login", f"{who} is refused: {error}", again))
        return False
    if answer.status == OK:
        pinged.say(Finding(Level.OK, "login", f"{who} is taken"))
        return True
    fix = again if answer.status == UNAUTHORIZED else "see its log"
    pinged.say(Finding(Level.FAILED, "login", f"{who} is refused ({answer.status})", fix))
    return False


def _base_of(reached: Reachability) -> httpx.URL | None:
    return None if reached.address is None else httpx.URL(f"{reached.address.url}/")


async def _look_at_content(
    pinged: PingReport, asking: AuthorizedClient, reached: Reachability, trust: Trust, wishes: PingOptions
) -> AsyncIterator[Finding]:
    base = await asking.registry.address("/v2/")
    catalog = await asking.ask("GET", f"{content.CATALOG}?n=1", CATALOG)
    yield content.judge_catalog(base, catalog)
    repository = wishes.repository or content.first_repository(catalog)
    if pinged.wanted is not None:
        yield await _look_as_anybody(pinged.host, reached, trust, repository)
    if repository is not None:
        path = f"/v2/{repository}/referrers/{content.NOTHINGS_DIGEST}"
        yield content.judge_referrers(await asking.ask("GET", path, pull(repository)), repository)
    if not wishes.may_write:
        yield content.NOT_TRIED
        return
    async for finding in _upload(asking, wishes.repository or NOBODYS):
        yield finding


async def _look_as_anybody(host: str, reached: Reachability, trust: Trust, repository: str | None) -> Finding:
    if repository is None:
        return content.NOBODY_TRIED
    async with open_registry(host, None, trust, base=_base_of(reached)) as registry:
        try:
            answer = await AuthorizedClient(registry).ask("GET", f"/v2/{repository}/tags/list?n=1", pull(repository))
        except NoAnswer as error:
            return Finding(Level.OK, "anonymous", f"{repository} is for those who log in: {error}")
    return content.judge_anonymous(answer, repository)


async def _upload(asking: AuthorizedClient, repository: str) -> AsyncIterator[Finding]:
    path = f"/v2/{repository}/blobs/uploads/"
    base = await asking.registry.address("/v2/")
    needs = pull(repository), push(repository)
    try:
        begun = await asking.ask("POST", path, *needs)
    except NoAnswer as error:
        what = f"where it sends uploads was not seen: {error}"
        yield Finding(Level.WARNING, "location", what, "--repository NAME: one that the stored login may push to")
        return
    yield content.judge_upload(base, begun, repository)
    target = content.upload_target(base, begun.headers.get("Location", ""))
    if begun.status == ACCEPTED and target is not None:
        # CNCF Distribution wants `delete` of who cancels an upload.
        ended = await asking.ask("DELETE", target, *needs, delete(repository))
        if ended.status not in content.CANCELLED:
            what = f"the upload that was begun in {repository} could not be cancelled ({ended.status})"
            yield Finding(Level.WARNING, "location", what, "it is empty; the registry removes it with old uploads")


def _clock_is_right(answer: RegistryResponse) -> Finding | None:
    return Finding(Level.OK, "clock", "its clock and ours agree") if "Date" in answer.headers else None
