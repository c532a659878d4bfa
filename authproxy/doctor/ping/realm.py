"""The token server that the registry sends its clients to: is it the registry's own, and does it answer as one."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from authproxy.doctor.challenge import AuthRequirement
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.response import FORBIDDEN, OK, UNAUTHORIZED, RegistryResponse
from authproxy.http.client.address import Address
from authproxy.http.client.challenge import Challenge, may_send_password, shared_domain
from authproxy.http.client.token import DEFAULT_LIFETIME_S, Token, read_token, token_request

# Go's `int`, which docker reads `expires_in` into.
MAX_NUMBER = 2**63


@dataclass(frozen=True, slots=True)
class JudgedToken:
    """The finding about a realm, and the token that it gives without a login, if it does."""

    finding: Finding
    token: Token | None = field(default=None, repr=False)


def judge_place(address: Address, wanted: AuthRequirement) -> Finding | None:
    """What is wrong with its address, before it is asked."""
    realm = wanted.realm
    try:
        urlsplit(realm)  # it refuses some hosts that httpx accepts
        url = httpx.URL(realm)
    except (ValueError, httpx.InvalidURL):
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        what = f"its realm {realm[:200]!r} is not an address, so no client gets a token"
        return Finding(Level.FAILED, "realm", what, "write https://HOST/token as its realm")
    if url.scheme == "http" and address.scheme == "https":
        what = f"its realm {realm} is plain HTTP: passwords can be read on the way there"
        return Finding(Level.FAILED, "realm", what, f"write https:{realm.partition(':')[2]} as its realm")
    if not may_send_password(realm, [address], domain=shared_domain(address.host)):
        what = f"its realm {realm} is not its own: careful clients keep their password, others send it there"
        return Finding(Level.FAILED, "realm", what, "put it on the registry's host, or on one of the same domain")
    return None


def token_url(wanted: AuthRequirement) -> str:
    """Where to ask for a token without credentials and without access."""
    return str(token_request(Challenge(wanted.realm, wanted.service), ()).url)


def judge_answer(wanted: AuthRequirement, answer: RegistryResponse) -> JudgedToken:
    """Its response to a request without credentials."""
    realm = wanted.realm
    if answer.status in (UNAUTHORIZED, FORBIDDEN):
        what = f"{realm} gives tokens only after a login ({answer.status})"
        return JudgedToken(Finding(Level.OK, "realm", what))
    if answer.status != OK:
        what = f"{realm} answered {answer.status}: no token is available"
        return JudgedToken(Finding(Level.FAILED, "realm", what, "see the token server's log, and the realm's path"))
    token = read_token(answer.body)
    if token is None:
        what = f"{realm} answered 200 with {answer.media_type}, in which there is no token"
        return JudgedToken(
            Finding(Level.FAILED, "realm", what, "the realm has to lead to a token server: see its path")
        )
    return JudgedToken(_judge_lifetime(realm, answer.fields.get("expires_in")), token)


def judge_token(wanted: AuthRequirement, answer: RegistryResponse) -> Finding | None:
    """The response to `/v2/` with a token that the realm gives without a login. None if nothing is wrong with it."""
    if answer.status in (OK, UNAUTHORIZED, FORBIDDEN):
        return None
    what = f"with a token of {wanted.realm}, /v2/ answered {answer.status}"
    return Finding(Level.FAILED, "realm", what, "see its log")


def _judge_lifetime(realm: str, lifetime: object) -> Finding:
    what = f"{realm} gives tokens without a login, for public access"
    if lifetime is None:
        return Finding(
            Level.OK, "realm", f"{what}; they last {DEFAULT_LIFETIME_S} s, since it does not say (expires_in)"
        )
    # Clients read 64 bits; this is false for NaN too.
    if not isinstance(lifetime, int | float) or isinstance(lifetime, bool) or not abs(lifetime) < MAX_NUMBER:
        what = f"{realm} says expires_in: {str(lifetime)[:40]!r}, and clients read a number"
        return Finding(Level.FAILED, "realm", what, "let the token server write seconds as a number")
    if lifetime < DEFAULT_LIFETIME_S:
        what = f"{realm} gives tokens for {lifetime} s, and clients keep them for {DEFAULT_LIFETIME_S}"
        return Finding(Level.WARNING, "realm", what, f"let tokens live for {DEFAULT_LIFETIME_S} s or more")
    return Finding(Level.OK, "realm", f"{what}; they last {lifetime:.0f} s")
