"""The versions of CNCF Distribution, as far as they verify tokens differently (`registry/auth/token/`)."""

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from authproxy.token.jwk import ALGORITHMS, PublicKey, libtrust_fingerprint, thumbprint


@dataclass(frozen=True, slots=True)
class Version:
    """One of them. `name_in_bundle` is the name by which a token's `kid` finds the key of a certificate in the bundle.

    It is None for a key that no name finds there.
    """

    name: str
    is_3: bool  # has jwks, signingalgorithms and autoredirectpath, and needs no rootcertbundle beside jwks
    algorithms: frozenset[str]
    name_in_bundle: Callable[[PublicKey], str | None]


def _rsa_alone(key: PublicKey) -> str | None:
    # 3.0 computes the name of an EC key from the curve and not from the key, so no token has it (distribution#4683).
    return thumbprint(key) if isinstance(key, rsa.RSAPublicKey) else None


def _rsa_and_ec(key: PublicKey) -> str | None:
    # The name of an Ed25519 key is computed there from other members than RFC 8037 has.
    return thumbprint(key) if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) else None


VERSIONS = (
    # libtrust verifies neither PS* nor EdDSA.
    Version(
        "2.8",
        is_3=False,
        algorithms=frozenset(name for name in ALGORITHMS if name[:2] in ("RS", "ES")),
        name_in_bundle=libtrust_fingerprint,
    ),
    Version("3.0", is_3=True, algorithms=frozenset(ALGORITHMS), name_in_bundle=_rsa_alone),
    Version("3.1", is_3=True, algorithms=frozenset(ALGORITHMS), name_in_bundle=_rsa_and_ec),
)
# Keys below auth.token that only 3.x reads: a configuration with one is of a 3.x.
KEYS_OF_3 = ("jwks", "jwksrefreshinterval", "signingalgorithms", "autoredirectpath")
