"""Signatures that PyJWT, as every verifier reads them, takes for its own."""

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from authproxy.token.signature import PrivateKey, sign

RSA = rsa.generate_private_key(65537, 2048)
KEYS: dict[str, PrivateKey] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "RS256": RSA,
    "RS384": RSA,
    "RS512": RSA,
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_signature_verifies_for_what_was_signed_alone(algorithm: str) -> None:
    key = KEYS[algorithm]
    verifier = jwt.get_algorithm_by_name(algorithm)
    for number in range(20):  # the numbers of a signature by a curve are shorter now and then
        content = b"%d" % number
        signature = sign(key, algorithm, content)
        assert verifier.verify(content, key.public_key(), signature)
        assert not verifier.verify(content + b"0", key.public_key(), signature)
