"""Whom the upstream lets in, and whether that is who comes: its challenge against what our configuration presents."""

from dataclasses import dataclass

from authproxy.config.model import Mode
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.upstream.entry import OK, Challenge, find_challenge
from authproxy.doctor.upstream.questions import Answer
from authproxy.doctor.upstream.site import Site

EXPLAIN = "`authproxy doctor --registry ITS-CONFIG` says why"


@dataclass(frozen=True, slots=True)
class Clients:
    """Who comes to us: what they prove themselves with, and where they get it; None where that is not known."""

    mode: Mode
    realm: str | None = None


def judge_stripped(site: Site, answer: Answer) -> Finding:
    """`authorization: strip`: nothing is presented. `answer` is that to `/v2/`."""
    if answer.status == OK:
        what = "it lets in whoever reaches it; see that authproxy alone does"
        return Finding(Level.OK, "auth", what)
    challenge = find_challenge(answer)
    what = f"it {_wish(challenge, answer)}, and authproxy presents nothing: every request fails"
    return Finding(Level.WRONG, "auth", what, _remedy(site, challenge))


def judge_passed(site: Site, answer: Answer, clients: Clients) -> Finding | None:
    """`authorization: pass`: what clients present goes on. `answer` is that to `/v2/` without any.

    None: tokens of ours are wanted, or so it seems, and one has to be tried.
    """
    if answer.status == OK:
        what = "it asks nobody who they are, and gets the credentials of our clients all the same"
        return Finding(Level.NOTE, "auth", what, f"{site.place('authorization')}: strip")
    challenge = find_challenge(answer)
    wish = _wish(challenge, answer)
    match challenge, clients.mode:
        case None, _:
            return Finding(Level.WRONG, "auth", f"it {wish}", "see its log")
        case Challenge(scheme="bearer"), Mode.ISSUE:
            return None
        case Challenge(scheme="bearer", realm=realm), Mode.VERIFY if realm == clients.realm:
            taken = Finding(Level.OK, "auth", f"it {wish}, as do we; one of them was not tried")
        case _, Mode.OPEN:
            taken = Finding(Level.OK, "auth", f"it {wish}, and clients prove themselves to it")
        case Challenge(scheme="basic"), Mode.BASIC:
            taken = Finding(
                Level.NOTE, "auth", f"it {wish}, and gets our clients'; whether it knows them was not tried"
            )
        case _:
            what = f"it {wish}, and our clients bring {_brought(clients)}: every request fails"
            taken = Finding(Level.WRONG, "auth", what, _remedy(site, challenge))
    return taken


def judge_token(answer: Answer, without: Answer, clients: Clients) -> Finding:
    """`answer` is that to `/v2/` with a token of ours, `without` that to none."""
    if answer.status == OK:
        return Finding(Level.OK, "auth", "it took a token of ours")
    challenge = find_challenge(without)
    elsewhere = "" if challenge is None or challenge.realm == clients.realm else f"; it asks for {challenge}"
    what = f"it refused a token of ours ({answer.status}){elsewhere}"
    return Finding(Level.WRONG, "auth", what, EXPLAIN)


def _wish(challenge: Challenge | None, answer: Answer) -> str:
    if challenge is None:
        return f"refuses ({answer.status}) without saying what it asks for"
    return f"asks for {challenge}"


def _brought(clients: Clients) -> str:
    match clients.mode:
        case Mode.BASIC:
            return "Basic credentials"
        case Mode.ISSUE:
            return "tokens of ours"
        case Mode.VERIFY:
            return f"tokens of {clients.realm}"
        case _:
            return "anything"


def _remedy(site: Site, challenge: Challenge | None) -> str:
    trust = "take auth out of its configuration, and let authproxy alone reach it"
    if challenge is not None and challenge.scheme == "bearer":
        key = site.place("authorization")
        return f"{trust}; or {key}: pass, where it verifies our tokens (`authproxy key export --for distribution`)"
    return trust
