"""Access tokens: a signed list of accesses (Docker token authentication, "Token Authentication Implementation")."""

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

# Docker token authentication: for compatibility with older clients, no token may have a shorter lifetime.
MIN_LIFETIME_S = 60
# So that a registry whose clock is a little behind does not find a fresh token "not yet valid".
EARLIER_S = 10

# RFC 7519 §4.1.7: a `jti` has to be unique, not secret; to ask the system for each costs more than everything else.
ID_BITS = 96
_random_bits = random.Random().getrandbits  # noqa: S311 - no secret

# The size of the cache of encoded claims, in bytes, and of an entry without its text.
MAX_CACHED_BYTES = 8 * 1024 * 1024
ENTRY_BYTES = 1000


class SigningKey(NamedKey, Protocol):
    """A private key and its names."""

    def sign(self, content: bytes) -> bytes:
        """The signature, in the form that a token has it."""


class SigningKeys(Protocol):
    """The ring, as far as an issuer needs it."""

    def signing(self) -> SigningKey:
        """The key that signs now. Raises Unavailable if there is none."""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A signed token; times are seconds, `issued_at` since 1970."""

    token: str = field(repr=False)
    expires_in: int
    issued_at: int
    id: str  # its `jti`, which the audit log names it by


class Issuer:
    """Signs access tokens. Raises StartError if the lifetime is shorter than the protocol allows."""

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
            raise StartError(f"token.lifetime: {lifetime_s} s is too short; the minimum is {MIN_LIFETIME_S}s")
        self.issuer = issuer
        self.service = service
        self.lifetime_s = lifetime_s
        self._keys = keys
        self._now = now
        self._style = style
        self._header: tuple[SigningKey | None, bytes] = (None, b"")  # of the key that signed last
        # The claims that do not change from token to token, by the holder's id() and the accesses; with the holder, so
        # that no other object gets that id().
        self._cached: Bounded[tuple[int, tuple[Access, ...]], tuple[Principal, str]] = Bounded(MAX_CACHED_BYTES)

    def issue(self, holder: Principal, accesses: Iterable[Access], max_lifetime_s: int | None = None) -> IssuedToken:
        """A token for the granted accesses, with all attributes of `holder`.

        It is valid for the issuer's lifetime, or for `max_lifetime_s` (60 or more) if that is less.
        """
        lifetime_s = self.lifetime_s if max_lifetime_s is None else min(self.lifetime_s, max_lifetime_s)
        key = self._keys.signing()
        now = int(self._now())
        token_id = f"{_random_bits(ID_BITS):024x}"
        lasting = self._lasting_claims(holder, tuple(accesses))
        times = f'"exp":{now + lifetime_s},"nbf":{now - EARLIER_S},"iat":{now}'
        claims = f'{lasting},{times},"jti":"{token_id}"}}'.encode()
        return IssuedToken(seal(self._header_of(key), claims, key.sign), lifetime_s, now, token_id)

    def _lasting_claims(self, holder: Principal, accesses: tuple[Access, ...]) -> str:
        """The claims that do not change from token to token, as JSON without its last brace."""
        key = id(holder), accesses
        if (known := self._cached.get(key)) is not None:
            return known[1]
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": holder.name,
            "aud": self.service,
            "access": to_claim(accesses),
        }
        if attributes := holder_to_claim(holder):
            claims[HOLDER] = attributes
        encoded = to_json(claims)[:-1]
        self._cached.put(key, (holder, encoded), ENTRY_BYTES + len(encoded))
        return encoded

    def _header_of(self, key: SigningKey) -> bytes:
        known, header = self._header
        if known is not key:
            header = encode_segment(self._style.header_of(key))
            self._header = (key, header)
        return header
