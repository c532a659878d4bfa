"""The versions of CNCF Distribution that verify tokens differently (`registry/auth/token/`)."""

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from authproxy.token.jwk import ALGORITHMS, PublicKey, libtrust_fingerprint, thumbprint


@dataclass(frozen=True, slots=True)
class Version:
    """A version. `name_in_bundle` is the `kid` by which it finds the key of a certificate in the bundle.

    It is None for a key that it never finds by name.
    """

    name: str
    is_3: bool  # has jwks, signingalgorithms and autoredirectpath, and needs no rootcertbundle beside jwks
    algorithms: frozenset[str]
    name_in_bundle: Callable[[PublicKey], str | None]


def _rsa_only(key: PublicKey) -> str | None:
    # 3.0 computes the name of an EC key from the curve alone, so no token has it (distribution#4683).
    return thumbprint(key) if isinstance(key, rsa.RSAPublicKey) else None


def _rsa_and_ec(key: PublicKey) -> str | None:
    # It computes the name of an Ed25519 key from other members than RFC 8037.
    return thumbprint(key) if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) else None


VERSIONS = (
    # libtrust verifies neither PS* nor EdDSA.
    Version(
        "2.8",
        is_3=False,
        algorithms=frozenset(name for name in ALGORITHMS if name[:2] in ("RS", "ES")),
        name_in_bundle=libtrust_fingerprint,
    ),
    Version("3.0", is_3=True, algorithms=frozenset(ALGORITHMS), name_in_bundle=_rsa_only),
    Version("3.1", is_3=True, algorithms=frozenset(ALGORITHMS), name_in_bundle=_rsa_and_ec),
)
# Keys below auth.token that only 3.x reads: a configuration with one is for 3.x.
KEYS_OF_3 = ("jwks", "jwksrefreshinterval", "signingalgorithms", "autoredirectpath")
