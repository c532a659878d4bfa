"""Verifies tokens. A `TrustedKeys` decides which keys are trusted; everything else is the same for all issuers."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jwt

from authproxy.access import Grant
from authproxy.authorization import Bearer
from authproxy.clock import Clock
from authproxy.token.jwk import PublicKey
from authproxy.token.jws import BadSignature, Expected, Revoked, UntrustedKey, WrongClaim, check_claims, parse_jws
from authproxy.token.revocations import NobodyRevoked, Revocations

# Nodes that share a key ring usually share a clock source; a larger difference is a fault that should be noticed.
OWN_LEEWAY_S = 10.0
# CNCF Distribution's.
FOREIGN_LEEWAY_S = 60.0
MAX_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key and its accepted algorithms; it is trusted `until` then (seconds since 1970)."""

    public: PublicKey
    algorithms: frozenset[str]
    until: float = math.inf


class TrustedKeys(Protocol):
    """The keys whose tokens are accepted."""

    @property
    def version(self) -> object:
        """A different object whenever the set of keys has changed."""

    def select(self, header: Mapping[str, Any], now: float) -> TrustedKey:
        """The trusted key that a header names. Raises UntrustedKey. Never fetches anything that a header names."""


class Verifier:
    """Verifies bearer tokens, and caches valid ones until they expire, or keys or revocations change.

    `types`: the accepted values of the header `typ`; None is a header without it.
    """

    def __init__(
        self,
        keys: TrustedKeys,
        *,
        expected: Expected,
        types: frozenset[str | None],
        now: Clock,
        revocations: Revocations | None = None,
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._keys = keys
        self._revocations = revocations or NobodyRevoked()
        self._expected = expected
        self._types = types
        self._now = now
        self._max_remembered = max_remembered
        self._remembered: dict[bytes, tuple[Grant, float]] = {}  # by the hash of a token's text; the oldest first
        self._versions = keys.version, self._revocations.version

    def verify(self, bearer: Bearer) -> Grant:
        """What the token grants. Raises InvalidToken, whose text is only for the log."""
        now = self._now()
        keys, revoked = self._versions
        if self._keys.version is not keys or self._revocations.version is not revoked:
            self._remembered.clear()
            self._versions = self._keys.version, self._revocations.version
        name = bearer.fingerprint
        if (known := self._remembered.get(name)) is not None and now < known[1]:
            return known[0]
        grant, until = self._verify_uncached(bearer.token, now)
        self._remembered.pop(name, None)
        self._remembered[name] = (grant, until)
        if len(self._remembered) > self._max_remembered:
            del self._remembered[next(iter(self._remembered))]
        return grant

    def _verify_uncached(self, token: str, now: float) -> tuple[Grant, float]:
        jws = parse_jws(token)
        kind = jws.header.get("typ")
        if not isinstance(kind, str | None) or kind not in self._types:
            raise WrongClaim(f"typ is {kind!r}")
        key = self._keys.select(jws.header, now)
        name = jws.header.get("alg")
        # The key decides which algorithm is used; the header may only agree (RFC 8725 §3.1).
        if not isinstance(name, str) or name not in key.algorithms:
            raise UntrustedKey(f"alg is {name!r}, which is not this key's")
        if not jwt.get_algorithm_by_name(name).verify(jws.signed, key.public, jws.signature):
            raise BadSignature("the signature does not match")
        self._check_revocations(jws.claims)  # first: an expired token may still be accepted for its upload session
        grant, until = check_claims(jws.claims, self._expected, now)
        return grant, min(until, key.until)

    def _check_revocations(self, claims: Mapping[str, Any]) -> None:
        subject, issued_at = claims.get("sub", ""), claims.get("iat")
        if not isinstance(subject, str):
            return  # malformed: `check_claims` refuses it
        if not isinstance(issued_at, int | float):
            issued_at = -math.inf  # older than anything: without its time of issue a token proves nothing
        if self._revocations.refuses(subject, issued_at):
            raise Revoked(f"tokens issued to {subject} at that time are revoked")


def own_verifier(
    keys: TrustedKeys, *, issuer: str, service: str, revocations: Revocations | None = None, now: Clock = time.time
) -> Verifier:
    """A verifier of tokens that our own issuer signed."""
    return Verifier(
        keys,
        expected=Expected(issuer, service, OWN_LEEWAY_S),
        types=frozenset({"JWT"}),
        now=now,
        revocations=revocations,
    )


def foreign_verifier(keys: TrustedKeys, *, issuer: str, service: str, now: Clock = time.time) -> Verifier:
    """A verifier of another token server's tokens, as CNCF Distribution accepts them; `at+jwt` is RFC 9068's."""
    return Verifier(
        keys,
        expected=Expected(issuer, service, FOREIGN_LEEWAY_S),
        types=frozenset({None, "JWT", "jwt", "at+jwt"}),
        now=now,
    )
