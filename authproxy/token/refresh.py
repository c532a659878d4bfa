"""Refresh tokens, which `docker login` stores instead of a password.

Their signature is a keyed hash with a secret of the ring: no key, here or at another registry, verifies one as anything
else, and `typ` and `aud` differ from those of access tokens. They are bound to subject, service and the identity's
stamp; never to a client id, because one client uses what another one stored.
See docs/decisions/0008-refresh-tokens-and-stamps.md.
"""

import hmac
import time
from dataclasses import dataclass

from authproxy.access import InvalidToken
from authproxy.clock import Clock
from authproxy.principal import Principal
from authproxy.token.jws import BadSignature, MalformedToken, WrongClaim, encode_segment, parse_jws, seal, to_json

_HEADER = {"alg": "HS256", "typ": "authproxy-refresh"}


@dataclass(frozen=True, slots=True)
class Refresh:
    """The content of a refresh token: its user, and the stamp of their credentials when it was issued."""

    subject: str
    stamp: str
    issued_at: int  # seconds since 1970


class RenewalRefused(Exception):
    """Why a refresh token that we signed is no longer accepted. For the log and the audit log, never for clients."""

    def __init__(self, subject: str, reason: str) -> None:
        super().__init__(reason)
        self.subject = subject  # the user to whom it was issued


class RefreshTokens:
    """Signs and reads refresh tokens. `secret` is the same on every node and after every start."""

    def __init__(self, secret: bytes, *, issuer: str, service: str, now: Clock = time.time) -> None:
        self._secret = secret
        self._issuer = issuer
        self._audience = f"refresh@{service}"
        self._now = now
        self._header = encode_segment(_HEADER)
        self._start = f"{self._header.decode()}."

    def issue(self, principal: Principal, proved_at: int | None = None) -> str:
        """A refresh token for a caller whose credentials were proved at that time (None: just now).

        It does not expire by itself. A renewed one keeps the time of the first, or renewing would undo a revocation.
        """
        claims = {
            "iss": self._issuer,
            "sub": principal.name,
            "aud": self._audience,
            "iat": int(self._now()) if proved_at is None else proved_at,
            "stamp": principal.stamp,
        }
        return seal(self._header, to_json(claims).encode(), self._sign)

    def read(self, token: str) -> Refresh:
        """The content of one of our tokens. The caller checks that the user still has this stamp.

        Raises InvalidToken.
        """
        jws = parse_jws(token)
        if jws.header != _HEADER:
            raise WrongClaim("not a refresh token")
        if not hmac.compare_digest(jws.signature, self._sign(jws.signed)):
            raise BadSignature("the signature does not match")
        if (jws.claims.get("iss"), jws.claims.get("aud")) != (self._issuer, self._audience):
            raise WrongClaim("a refresh token of another issuer or service")
        match jws.claims:
            case {"sub": str(subject), "stamp": str(stamp), "iat": int(issued_at)} if subject:
                return Refresh(subject, stamp, issued_at)
            case _:
                raise MalformedToken("a refresh token without its claims")

    def is_ours(self, text: str) -> bool:
        """Whether we signed this token, valid or not."""
        if not text.startswith(self._start):  # any other text is recognized without work
            return False
        try:
            self.read(text)
        except InvalidToken:
            return False
        return True

    def _sign(self, content: bytes) -> bytes:
        return hmac.digest(self._secret, content, "sha256")
