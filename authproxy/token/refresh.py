"""Refresh tokens: what `docker login` keeps in the place of a password.

Keyed hashes with a secret of the ring, in the form of a token: nobody holds a key that would verify one as anything
else, here or at a foreign registry, and its `typ` and `aud` are no access token's. Bound to subject, service and the
identity's stamp; never to a client id, for what one client stored another one uses.
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
    """What a refresh token says: it was given to this user, when the credentials had this stamp."""

    subject: str
    stamp: str
    issued_at: int  # seconds since 1970


class RefreshTokens:
    """Signs and reads them. `secret` is the same on every node and after every start."""

    def __init__(self, secret: bytes, *, issuer: str, service: str, now: Clock = time.time) -> None:
        self._secret = secret
        self._issuer = issuer
        self._audience = f"refresh@{service}"
        self._now = now
        self._header = encode_segment(_HEADER)
        self._start = f"{self._header.decode()}."

    def issue(self, principal: Principal, proved_at: int | None = None) -> str:
        """A refresh token for a caller whose credentials were proved at that time (None: just now).

        It does not expire by itself. One that is given out for another one keeps the other's time, or a revocation
        could be outrun by renewing.
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
        """What a token of ours says. Whether the user is still the same is for the caller to ask.

        Raises InvalidToken.
        """
        jws = parse_jws(token)
        if jws.header != _HEADER:
            raise WrongClaim("not a refresh token")
        if not hmac.compare_digest(jws.signature, self._sign(jws.signed)):
            raise BadSignature("the signature does not fit")
        if (jws.claims.get("iss"), jws.claims.get("aud")) != (self._issuer, self._audience):
            raise WrongClaim("a refresh token of another issuer or service")
        match jws.claims:
            case {"sub": str(subject), "stamp": str(stamp), "iat": int(issued_at)} if subject:
                return Refresh(subject, stamp, issued_at)
            case _:
                raise MalformedToken("a refresh token without its claims")

    def is_ours(self, text: str) -> bool:
        """Whether this is a token that we signed, be it good or not."""
        if not text.startswith(self._start):  # every other text is recognized without work
            return False
        try:
            self.read(text)
        except InvalidToken:
            return False
        return True

    def _sign(self, content: bytes) -> bytes:
        return hmac.digest(self._secret, content, "sha256")
