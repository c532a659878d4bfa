"""Signatures in the form that tokens have them (RFC 7518 §3.3, §3.4; RFC 8037 §3.1).

PyJWT verifies tokens, but does not sign them: half the time of its `sign` goes into checks of a key that was checked
when it was loaded, and a token costs little more than its signature.
"""

from typing import TypeAlias, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

_HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_ECDSA = {f"ES{bits}": ec.ECDSA(algorithm) for bits, algorithm in _HASHES.items()}
_RSA = {f"RS{bits}": algorithm for bits, algorithm in _HASHES.items()}
_PADDING = PKCS1v15()

# RFC 7518 §3.4: each of the two numbers of a signature has the curve's length, in bytes.
_LENGTHS = {"ES256": 32, "ES384": 48, "ES512": 66}


def sign(key: PrivateKey, algorithm: str, content: bytes) -> bytes:
    """The signature over `content`. `algorithm` must be one of the key's: see `jwk.algorithms_of`."""
    # Chosen by the algorithm: isinstance() with an abstract class takes a tenth of the time of a signature.
    if algorithm in _ECDSA:
        length = _LENGTHS[algorithm]
        der = cast("ec.EllipticCurvePrivateKey", key).sign(content, _ECDSA[algorithm])
        first, second = decode_dss_signature(der)
        return first.to_bytes(length, "big") + second.to_bytes(length, "big")
    if algorithm in _RSA:
        return cast("rsa.RSAPrivateKey", key).sign(content, _PADDING, _RSA[algorithm])
    return cast("ed25519.Ed25519PrivateKey", key).sign(content)
