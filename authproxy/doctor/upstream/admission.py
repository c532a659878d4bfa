"""Whether the upstream accepts what our configuration presents: compared with its challenge, and tried."""

from dataclasses import dataclass

from authproxy.config.mode import Mode
from authproxy.doctor.challenge import BASIC, BEARER, AuthRequirement
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.response import OK, RegistryResponse
from authproxy.doctor.upstream.site import Site
from authproxy.http.client.challenge import may_send_password
from authproxy.program import command

# What each value of `authorization` sends, and its scheme.
_SENT = {
    "strip": ("nothing", None),
    "basic": ("a name and a password", BASIC),
    "bearer": ("a token of its own realm", BEARER),
    "mint": ("our token", BEARER),
}


@dataclass(frozen=True, slots=True)
class Clients:
    """Our clients: how they authenticate, and the realm of their tokens; None if it is unknown."""

    mode: Mode
    realm: str | None = None


def judge_challenge(site: Site, answer: RegistryResponse, clients: Clients) -> Finding | None:
    """What the response to `/v2/` without credentials shows. None: what is presented has to be tried."""
    kind = site.section.authorization
    if answer.status == OK:
        return _judge_open(site)
    wanted = answer.wanted
    if wanted is None:
        what = f"it refuses ({answer.status}) without saying what it asks for"
        return Finding(Level.FAILED, "auth", what, "see its log")
    if kind == "pass":
        return _judge_passed(site, wanted, clients)
    sent, scheme = _SENT[kind]
    if scheme in wanted.schemes:
        return _judge_realm(site, wanted) if kind == "bearer" else None
    what = f"it asks for {wanted}, and authproxy presents {sent}: every request fails"
    return Finding(Level.FAILED, "auth", what, _remedy(site, wanted, clients))


def judge_entry(site: Site, answer: RegistryResponse, without: RegistryResponse, clients: Clients) -> Finding:
    """`answer` is the response to `/v2/` with our credentials, `without` the one without any."""
    section, wanted = site.section, without.wanted
    match section.authorization:
        case "basic":
            who = f"{section.username} with the password of {section.passwordfile}"
            fix = f"{site.place('username')} and passwordfile: a user whom it knows"
        case "bearer":
            user = section.username or "an anonymous client"
            who = f"a token that {wanted.realm if wanted else 'its realm'} gave {user}"
            fix = "see both logs: it does not accept the tokens of its own token server"
        case _:
            who, fix = "our token", _why_not_ours(site, wanted)
    if answer.status == OK:
        return Finding(Level.OK, "auth", f"it accepts {who}")
    asked = "" if wanted is None or wanted.realm == clients.realm else f"; it asks for {wanted}"
    return Finding(Level.FAILED, "auth", f"it refuses {who} ({answer.status}){asked}", fix)


def no_credentials(site: Site, why: str, without: RegistryResponse) -> Finding:
    """The token to present is not available. `without` is the response to a request without credentials."""
    wanted = without.wanted
    login = f"{site.place('username')} and passwordfile: a user whom that token server knows"
    return Finding(Level.FAILED, "auth", f"{why}; it asks for {wanted}", f"{login}, or see its log")


def _judge_open(site: Site) -> Finding:
    match site.section.authorization:
        case "strip":
            return Finding(
                Level.OK, "auth", "it accepts every client that reaches it; make sure that only authproxy can"
            )
        case "pass":
            what = "it asks for no credentials, and still gets those of our clients"
        case kind:
            what = f"it asks for no credentials, so {_SENT[kind][0]} is sent without effect"
    return Finding(Level.WARNING, "auth", what, f"{site.place('authorization')}: strip")


def _judge_realm(site: Site, wanted: AuthRequirement) -> Finding | None:
    if may_send_password(wanted.realm, site.addresses, site.section.realms):
        return None
    what = f"it sends us to {wanted.realm} for tokens, which is not its own host, so nothing is sent there"
    return Finding(Level.FAILED, "auth", what, f"{site.place('realms')}: [{_base(wanted.realm)}], if that is right")


def _judge_passed(site: Site, wanted: AuthRequirement, clients: Clients) -> Finding | None:
    match clients.mode:
        case Mode.ISSUE if BEARER in wanted.schemes:
            return None
        case Mode.VERIFY if wanted.realm == clients.realm:
            return Finding(Level.OK, "auth", f"it asks for {wanted}, as do we; one of them was not tried")
        case Mode.OPEN:
            return Finding(Level.OK, "auth", f"it asks for {wanted}, and clients prove themselves to it")
        case Mode.BASIC if BASIC in wanted.schemes:
            what = f"it asks for {wanted}, and gets our clients'; whether it knows them was not tried"
            return Finding(Level.WARNING, "auth", what)
    what = f"it asks for {wanted}, and our clients send {_sent_by(clients)}: every request fails"
    return Finding(Level.FAILED, "auth", what, _remedy(site, wanted, clients))


def _sent_by(clients: Clients) -> str:
    match clients.mode:
        case Mode.BASIC:
            return "a name and a password"
        case Mode.ISSUE:
            return "our tokens"
        case Mode.VERIFY:
            return f"tokens of {clients.realm}"
        case _:
            return "anything"


def _remedy(site: Site, wanted: AuthRequirement, clients: Clients) -> str:
    key = site.place("authorization")
    if BEARER not in wanted.schemes:
        if BASIC in wanted.schemes:
            return f"{key}: basic, with username and passwordfile; or let only authproxy reach it, without auth"
        return "let only authproxy reach it, without auth"
    if wanted.realm == clients.realm:
        return f"{key}: mint, with service: {wanted.service}"
    ours = f"mint, with service: {wanted.service}, if it verifies our tokens"
    login = "username and passwordfile if only authproxy uses it"
    is_known = may_send_password(wanted.realm, site.addresses, site.section.realms)
    named = "" if is_known else f", and realms: [{_base(wanted.realm)}]"
    return f"{key}: bearer, with {login}{named}; or {ours}"


def _base(realm: str) -> str:
    """`https://host:port` of a realm."""
    scheme, _, rest = realm.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _why_not_ours(site: Site, wanted: AuthRequirement | None) -> str:
    service = site.section.service
    if service is not None and wanted is not None and wanted.service not in (None, service):
        return f"{site.place('service')}: {wanted.service}"
    return f"`{command('doctor --registry ITS-CONFIG')}` says why"
