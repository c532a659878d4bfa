"""Access tokens: an accesses list, signed (Docker token authentication, "Token Authentication Implementation")."""

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from authproxy.access import Access, to_claim
from authproxy.bounded_cache import Bounded
from authproxy.clock import Clock
from authproxy.errors import StartError
from authproxy.principal import Principal
from authproxy.token.holder_claim import CLAIM as HOLDER
from authproxy.token.holder_claim import to_claim as holder_to_claim
from authproxy.token.jose_header import PLAIN, HeaderStyle, NamedKey
from authproxy.token.jws import encode_segment, seal, to_json

# Docker token authentication: for compatibility with older clients, a token must never be returned with less.
MIN_LIFETIME_S = 60
# A registry whose clock is a little behind must not find a fresh token "not yet valid".
EARLIER_S = 10

# RFC 7519 §4.1.7: a `jti` has to be unlike all others, not secret; asking the system for each costs more than the rest.
ID_BITS = 96
_random_bits = random.Random().getrandbits  # noqa: S311 - no secret

# What is remembered of claims, in bytes, and what an entry takes beside its text.
MAX_SAID_BYTES = 8 * 1024 * 1024
SAID_BYTES = 1000


class SigningKey(NamedKey, Protocol):
    """A private key and its names."""

    def sign(self, content: bytes) -> bytes:
        """The signature, as it stands in a token."""


class SigningKeys(Protocol):
    """The ring, as far as an issuer needs it."""

    def signing(self) -> SigningKey:
        """The key that signs now. Raises Unavailable where there is none."""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A signed token; times are seconds, `issued_at` since 1970."""

    token: str = field(repr=False)
    expires_in: int
    issued_at: int
    id: str  # its `jti`: by this a line of the audit log names it


class Issuer:
    """Signs access tokens. Raises StartError where the lifetime is shorter than the protocol allows."""

    def __init__(
        self,
        keys: SigningKeys,
        issuer: str,
        service: str,
        lifetime_s: int,
        now: Clock = time.time,
        *,
        style: HeaderStyle = PLAIN,
    ) -> None:
        if lifetime_s < MIN_LIFETIME_S:
            raise StartError(f"token.lifetime: {lifetime_s} s is too short; the least is {MIN_LIFETIME_S}s")
        self.issuer = issuer
        self.service = service
        self.lifetime_s = lifetime_s
        self._keys = keys
        self._now = now
        self._style = style
        self._header: tuple[SigningKey | None, bytes] = (None, b"")  # of the key that signed last
        # What does not change from token to token, by the holder's identity and what is granted; with the holder, so
        # that no other value takes that identity.
        self._said: Bounded[tuple[int, tuple[Access, ...]], tuple[Principal, str]] = Bounded(MAX_SAID_BYTES)

    def issue(self, holder: Principal, accesses: Iterable[Access], max_lifetime_s: int | None = None) -> IssuedToken:
        """A token for what has been granted; it tells all of its holder that this value does.

        It is good for the issuer's lifetime, or for `max_lifetime_s` where that is less (60 or more).
        """
        lifetime_s = self.lifetime_s if max_lifetime_s is None else min(self.lifetime_s, max_lifetime_s)
        key = self._keys.signing()
        now = int(self._now())
        token_id = f"{_random_bits(ID_BITS):024x}"
        said = self._say(holder, tuple(accesses))
        times = f'"exp":{now + lifetime_s},"nbf":{now - EARLIER_S},"iat":{now}'
        claims = f'{said},{times},"jti":"{token_id}"}}'.encode()
        return IssuedToken(seal(self._header_of(key), claims, key.sign), lifetime_s, now, token_id)

    def _say(self, holder: Principal, accesses: tuple[Access, ...]) -> str:
        """The claims but those of one token alone, as JSON without its last brace."""
        subject = id(holder), accesses
        if (known := self._said.get(subject)) is not None:
            return known[1]
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": holder.name,
            "aud": self.service,
            "access": to_claim(accesses),
        }
        if told := holder_to_claim(holder):
            claims[HOLDER] = told
        said = to_json(claims)[:-1]
        self._said.put(subject, (holder, said), SAID_BYTES + len(said))
        return said

    def _header_of(self, key: SigningKey) -> bytes:
        known, header = self._header
        if known is not key:
            header = encode_segment(self._style.header_of(key))
            self._header = (key, header)
        return header
