"""How a token's header names the key that signed it: verifiers differ in what they look for.

CNCF Distribution looks at `x5c` first, then `kid`. 2.8 names keys by libtrust's fingerprint, 3.x and all others by the
RFC 7638 thumbprint. A verifier with a bundle of certificates needs `x5c` (RFC 7515 §4.1.6); a verifier with only a key
set (3.x with `jwks`) refuses every token that has it.
"""

import base64
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

KidStyle: TypeAlias = Literal["rfc7638", "libtrust"]
X5cStyle: TypeAlias = Literal["none", "leaf", "chain"]

_CERTIFICATES: dict[X5cStyle, int] = {"none": 0, "leaf": 1, "chain": 2}


class NamedKey(Protocol):
    """A signing key, with all its names."""

    @property
    def kid(self) -> str:
        """Its RFC 7638 thumbprint."""

    @property
    def fingerprint(self) -> str:
        """Its libtrust fingerprint."""

    @property
    def algorithm(self) -> str:
        """The JWS algorithm that it signs with."""

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """Its certificate and the authority's, in DER; empty if it has none."""


@dataclass(frozen=True, slots=True)
class HeaderStyle:
    """How headers name the key (`token.kid`), and which certificates they have (`token.x5c`)."""

    kid: KidStyle = "rfc7638"
    x5c: X5cStyle = "none"

    @property
    def has_certificates(self) -> bool:
        """Whether every signing key needs a certificate."""
        return self.x5c != "none"

    def header_of(self, key: NamedKey) -> dict[str, Any]:
        """The header of the tokens that a key signs."""
        header: dict[str, Any] = {
            "alg": key.algorithm,
            "typ": "JWT",
            "kid": key.fingerprint if self.kid == "libtrust" else key.kid,
        }
        if self.has_certificates:
            chain = key.certificates[: _CERTIFICATES[self.x5c]]
            assert chain, "the ring gives every key a certificate if the header has one"
            header["x5c"] = [base64.b64encode(certificate).decode("ascii") for certificate in chain]
        return header


# The smallest header; every verifier that uses our key set accepts it.
PLAIN = HeaderStyle()
