"""Public keys: their algorithms, their names, and their form in a key set (RFC 7517, RFC 7638)."""

import base64
import hashlib
import json
from typing import Any, TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

PublicKey: TypeAlias = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
PUBLIC_KEYS = (ec.EllipticCurvePublicKey, rsa.RSAPublicKey, ed25519.Ed25519PublicKey)

# RFC 7518 §3.3: smaller RSA keys must not be used.
MIN_RSA_BITS = 2048

_BY_CURVE = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
ALGORITHMS = (*_RSA, *_BY_CURVE.values(), "EdDSA")


def algorithms_of(key: object) -> tuple[str, ...]:
    """The algorithms that a key may be used with, the usual one first; empty if it cannot be used for tokens."""
    match key:
        case ec.EllipticCurvePublicKey() if key.curve.name in _BY_CURVE:
            return (_BY_CURVE[key.curve.name],)
        case rsa.RSAPublicKey() if key.key_size >= MIN_RSA_BITS:
            return _RSA
        case ed25519.Ed25519PublicKey():
            return ("EdDSA",)
        case _:
            return ()


def to_jwk(key: PublicKey) -> dict[str, Any]:
    """The members that define the key: `{"kty", …}`."""
    match key:
        case ec.EllipticCurvePublicKey():
            content = ECAlgorithm.to_jwk(key, as_dict=True)
        case rsa.RSAPublicKey():
            content = RSAAlgorithm.to_jwk(key, as_dict=True)
        case _:
            content = OKPAlgorithm.to_jwk(key, as_dict=True)
    return {member: content[member] for member in ("crv", "e", "kty", "n", "x", "y") if member in content}


def from_jwk(content: object) -> PublicKey | None:
    """The public key of a member of a key set, or None if it cannot be used for signatures.

    Symmetric keys are not used: a verifier could also sign with one. Raises ValueError if it is malformed.
    """
    if not isinstance(content, dict):
        raise ValueError("a key is a JSON object")  # noqa: TRY004 - one kind of error for everything malformed
    if content.get("use", "sig") != "sig":
        return None
    public = {name: value for name, value in content.items() if name != "d"}
    try:
        match content.get("kty"):
            case "EC":
                key: object = ECAlgorithm.from_jwk(public)
            case "RSA":
                key = RSAAlgorithm.from_jwk(public)
            case "OKP":
                key = OKPAlgorithm.from_jwk(public)
            case _:
                return None
    except (jwt.InvalidKeyError, TypeError) as exc:
        raise ValueError(str(exc)) from exc
    return key if isinstance(key, PUBLIC_KEYS) and algorithms_of(key) else None


def thumbprint(key: PublicKey) -> str:
    """The name of a key by RFC 7638, as CNCF Distribution 3.x and we use it."""
    text = json.dumps(to_jwk(key), separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def libtrust_fingerprint(key: PublicKey) -> str:
    """The name of a key in CNCF Distribution 2.8: twelve groups of four letters, `ABCD:…`."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(text[at : at + 4] for at in range(0, len(text), 4))
