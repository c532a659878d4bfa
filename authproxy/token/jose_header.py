"""What a token's header says about the key that signed it: every verifier looks for something else.

CNCF Distribution looks at `x5c` first, then `kid`. 2.8 names keys by libtrust's fingerprint, 3.x and everybody else by
the RFC 7638 thumbprint. Who verifies by a bundle of certificates needs `x5c` (RFC 7515 §4.1.6); who verifies by a key
set alone (3.x with `jwks`) refuses every token that has it.
"""

import base64
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

KidStyle: TypeAlias = Literal["rfc7638", "libtrust"]
X5cStyle: TypeAlias = Literal["none", "leaf", "chain"]

_CERTIFICATES: dict[X5cStyle, int] = {"none": 0, "leaf": 1, "chain": 2}


class NamedKey(Protocol):
    """A signing key and everything that it can be known by."""

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
        """Its certificate and the authority's, in DER; empty where it has none."""


@dataclass(frozen=True, slots=True)
class HeaderStyle:
    """How the header names the key (`token.kid`), and which certificates it has (`token.x5c`)."""

    kid: KidStyle = "rfc7638"
    x5c: X5cStyle = "none"

    @property
    def has_certificates(self) -> bool:
        """Whether every key that signs needs a certificate."""
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
            assert chain, "the ring gives every key a certificate where the header has one"
            header["x5c"] = [base64.b64encode(certificate).decode("ascii") for certificate in chain]
        return header


# The smallest header, which every verifier takes that goes by our key set.
PLAIN = HeaderStyle()
