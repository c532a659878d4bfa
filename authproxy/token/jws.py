"""Signed tokens in compact form, parsed strictly and written fast (RFC 7515 §3.1, RFC 7519).

Parsing proves nothing: `parse_jws` takes a token apart, `check_claims` checks the claims of a verified one. Each reason
for a refusal has its own class, for the log; clients see just `invalid_token`.

    InvalidToken (access.py)
    ├── MalformedToken     not a token, or one that two readers could understand in two ways
    ├── UntrustedKey       signed by a key that is not trusted, or with an algorithm that is not the key's
    ├── BadSignature       the key did not sign this
    ├── WrongClaim         another issuer, audience or kind of token
    ├── OutOfTime          not yet valid
    ├── Revoked            issued to its subject before a revocation
    └── ExpiredToken       expired (access.py)
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from authproxy.access import ExpiredToken, Grant, InvalidToken, from_claim
from authproxy.log.excerpt import excerpt
from authproxy.token.holder_claim import CLAIM as HOLDER
from authproxy.token.holder_claim import from_claim as holder_from_claim

# Longer ones are refused before anything is computed: servers and proxies refuse headers of 32 KiB.
MAX_TOKEN_LENGTH = 32 * 1024

# How many characters of the token's kid, and how many trusted keys, the reason of a refusal shows.
MAX_KID = 100
MAX_SHOWN_KEYS = 8

to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

# RFC 7515 §2: base64url without padding. In a signed token, none of the three segments is empty.
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")


class MalformedToken(InvalidToken):
    """Not a token in compact form, or one whose JSON has duplicate members."""


class UntrustedKey(InvalidToken):
    """The header names no key that is trusted, or an algorithm that is not that key's."""


def unknown_key(kid: object, trusted: Mapping[str, object]) -> UntrustedKey:
    """The refusal of a token whose header names no trusted key. `trusted`: keys by each of their names.

    For operators, in the log: a key has two names, its RFC 7638 thumbprint and libtrust's fingerprint.
    """
    names: dict[int, list[str]] = {}
    for name, key in trusted.items():
        names.setdefault(id(key), []).append(name)
    keys = [" or ".join(of_one) for of_one in names.values()]
    more = f", and {len(keys) - MAX_SHOWN_KEYS} more" if len(keys) > MAX_SHOWN_KEYS else ""
    known = f"trusted keys: {', '.join(keys[:MAX_SHOWN_KEYS])}{more}" if keys else "no key is trusted"
    if kid is None:
        return UntrustedKey(f"the token's header names no key (kid); {known}")
    return UntrustedKey(f"kid {excerpt(repr(kid), MAX_KID)} is not trusted; {known}")


class BadSignature(InvalidToken):
    """The signature does not match."""


class WrongClaim(InvalidToken):
    """A claim or header shows that the token is from another issuer, for another audience, or of another kind."""


class OutOfTime(InvalidToken):
    """Not yet valid."""


class Revoked(InvalidToken):
    """Issued to its subject before the time of a revocation."""


@dataclass(frozen=True, slots=True)
class Jws:
    """A token taken apart; nothing in it is verified."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes  # the bytes that the signature covers
    signature: bytes


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token's claims must say. `leeway_s`: by how much clocks may differ."""

    issuer: str
    audience: str
    leeway_s: float


def parse_jws(text: str) -> Jws:
    """Take a token apart. Raises MalformedToken."""
    match = _COMPACT.fullmatch(text) if len(text) <= MAX_TOKEN_LENGTH else None
    if match is None:
        raise MalformedToken("not a token in compact form")
    header = _load_object(match[1])
    if "crit" in header:  # RFC 7515 §4.1.11: extensions that must be understood; we know none
        raise MalformedToken("the header has crit")
    return Jws(header, _load_object(match[2]), f"{match[1]}.{match[2]}".encode(), _decode(match[3]))


def encode_segment(content: Mapping[str, Any]) -> bytes:
    """A header or claims, encoded as a segment of a token."""
    return to_base64url(to_json(content).encode())


def seal(header: bytes, claims: bytes, sign: Callable[[bytes], bytes]) -> str:
    """A token of an encoded header, claims as JSON, and the signature of `sign` over both."""
    signed = header + b"." + to_base64url(claims)
    return (signed + b"." + to_base64url(sign(signed))).decode("ascii")


def to_base64url(content: bytes) -> bytes:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def check_claims(claims: Mapping[str, Any], expected: Expected, now: float) -> tuple[Grant, float]:
    """What verified claims grant, and until when (seconds since 1970, leeway included).

    RFC 7519 §4.1. Raises WrongClaim, OutOfTime, MalformedToken if a claim has the wrong type, and ExpiredToken if the
    token is expired and otherwise good.
    """
    if claims.get("iss") != expected.issuer:
        raise WrongClaim(f"iss is {claims.get('iss')!r}")
    audience = claims.get("aud")
    if expected.audience not in (audience if isinstance(audience, list) else [audience]):
        raise WrongClaim(f"aud is {audience!r}")
    until = _time(claims, "exp", None) + expected.leeway_s
    if now < _time(claims, "nbf", -math.inf) - expected.leeway_s:
        raise OutOfTime("not yet valid")
    subject = claims.get("sub", "")
    if not isinstance(subject, str):
        raise MalformedToken("sub is not a string")
    try:
        holder = holder_from_claim(subject, claims.get(HOLDER))
        grant = Grant(subject, from_claim(claims.get("access")), holder, _text(claims, "jti"))
    except ValueError as exc:
        raise MalformedToken(str(exc)) from exc
    if now >= until:
        raise ExpiredToken(grant)
    return grant, until


def _text(claims: Mapping[str, Any], name: str) -> str:
    """A claim that decides nothing; "" if it is missing or not a string."""
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def _time(claims: Mapping[str, Any], name: str, default: float | None) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedToken(f"{name} is missing or not a number")
    try:
        moment = float(value)
    except OverflowError:
        moment = math.inf
    if moment == math.inf:  # JSON's 1e999
        raise MalformedToken(f"{name} is not a time")
    return moment


def _load_object(segment: str) -> dict[str, Any]:
    try:
        content = json.loads(
            _decode(segment).decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as exc:
        raise MalformedToken(f"malformed JSON: {exc}") from exc
    if not isinstance(content, dict):
        raise MalformedToken("not a JSON object")
    return content


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # RFC 7515 §4, RFC 7519 §4: names must be unique, or a reader may take the last one. Two readers could differ.
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a member appears twice")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _decode(segment: str) -> bytes:
    try:
        content = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except (binascii.Error, ValueError) as exc:
        raise MalformedToken("not base64url") from exc
    if to_base64url(content).decode("ascii") != segment:  # stray bits at the end: one token in several spellings
        raise MalformedToken("not base64url in canonical form")
    return content
