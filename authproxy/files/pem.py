"""Describes files of keys or certificates, and checks that a setting can use them: one wording for all callers."""

import json
import re
import ssl
from enum import Enum
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

if TYPE_CHECKING:
    from collections.abc import Callable

# A few thousand bytes are usual; the machine's whole list of CAs is 250 KB.
MAX_BYTES = 4 * 1024 * 1024

_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")

# RFC 7468, and the labels that OpenSSL and OpenSSH write in addition.
_KINDS = {
    "CERTIFICATE": "a certificate",
    "X509 CERTIFICATE": "a certificate",
    "TRUSTED CERTIFICATE": "a certificate in OpenSSL's own form",
    "CERTIFICATE REQUEST": "a certificate request, which no authority has signed",
    "NEW CERTIFICATE REQUEST": "a certificate request, which no authority has signed",
    "PUBLIC KEY": "a bare public key",
    "RSA PUBLIC KEY": "a bare public key",
    "ENCRYPTED PRIVATE KEY": "an encrypted private key",
    "OPENSSH PRIVATE KEY": "a private key of OpenSSH",
    "PKCS7": "a PKCS #7 container",
    "X509 CRL": "a list of revoked certificates",
}


class PemContent(Enum):
    """The content that a setting needs."""

    CERTIFICATES = "certificates in PEM (-----BEGIN CERTIFICATE-----)"
    PRIVATE_KEY = "a private key in PEM without a password (-----BEGIN PRIVATE KEY-----)"
    KEY_SET = 'a key set in JSON ({"keys": […]})'


def find_fault(content: bytes, wanted: PemContent) -> str | None:
    """What is wrong with a file's content, as the end of a sentence that begins with its path; None if it is right."""
    found = describe(content)
    if _CHECKS[wanted](content):
        return None
    if found in _RIGHT[wanted]:
        found += " that is damaged or only half written"
    fix = _FIXES.get((wanted, found))
    return f"contains {found}, expected {wanted.value}{f'; {fix}' if fix else ''}"


def describe(content: bytes) -> str:
    """The kind of a file's content, in a few words."""
    if not content.strip():
        return "nothing"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text in UTF-16"
    if labels := [label.decode() for label in _LABEL.findall(content)]:
        return _KINDS.get(labels[0], "a private key" if labels[0].endswith("PRIVATE KEY") else f"PEM of {labels[0]}")
    if content.startswith(b"0"):  # a DER SEQUENCE
        return _describe_der(content)
    return _describe_text(content)


def _describe_text(content: bytes) -> str:
    if content.startswith((b"ssh-", b"ecdsa-")):
        return "a public key of OpenSSH"
    if content.lstrip().startswith(b"{"):
        return "a key set in JSON" if b'"keys"' in content else "JSON"
    return "neither PEM nor DER"


def _describe_der(content: bytes) -> str:
    readers: list[tuple[str, Callable[[bytes], object]]] = [
        ("a certificate in DER", x509.load_der_x509_certificate),
        ("a private key in DER", lambda der: load_der_private_key(der, None)),
        ("a bare public key in DER", load_der_public_key),
    ]
    for what, read in readers:
        try:
            read(content)
        except (ValueError, TypeError):
            continue
        except Exception as exc:  # noqa: BLE001 - a kind of key that the library doesn't know is still a key
            return f"{what} ({type(exc).__name__})"
        return what
    return "neither PEM nor DER"


def _are_certificates(content: bytes) -> bool:
    try:
        return bool(x509.load_pem_x509_certificates(content))
    except ValueError:
        pass
    try:  # OpenSSL, which verifies TLS, is less strict: old authorities have odd serial numbers
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError):
        return False
    return True


def _is_private_key(content: bytes) -> bool:
    """Only the label is checked: a fault in the key shows when it is loaded together with its certificate."""
    return describe(content) == "a private key" or (b"PRIVATE KEY-----" in content and b"ENCRYPTED" not in content)


def _is_key_set(content: bytes) -> bool:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and isinstance(found.get("keys"), list)


_CHECKS = {
    PemContent.CERTIFICATES: _are_certificates,
    PemContent.PRIVATE_KEY: _is_private_key,
    PemContent.KEY_SET: _is_key_set,
}
_RIGHT = {
    PemContent.CERTIFICATES: ("a certificate",),
    PemContent.PRIVATE_KEY: ("a private key",),
    PemContent.KEY_SET: ("a key set in JSON", "JSON"),
}
_FIXES = {
    (PemContent.CERTIFICATES, "a certificate in DER"): "convert it: openssl x509 -inform der -in FILE -out FILE.pem",
    (PemContent.CERTIFICATES, "a bare public key"): "name the certificate of that key, which says whose the key is",
    (PemContent.CERTIFICATES, "a private key"): "name the certificate of that key, and keep the key private",
    (PemContent.CERTIFICATES, "a PKCS #7 container"): "extract them: openssl pkcs7 -print_certs -in FILE -out FILE.pem",
    (PemContent.CERTIFICATES, "a key set in JSON"): "auth.token.jwks is for key sets",
    (PemContent.PRIVATE_KEY, "an encrypted private key"): "decrypt it: openssl pkey -in FILE -out server.key",
    (PemContent.PRIVATE_KEY, "a private key in DER"): "convert it: openssl pkey -inform der -in FILE -out FILE.pem",
    (PemContent.PRIVATE_KEY, "a certificate"): "certificate and key are two settings: are they swapped?",
    (PemContent.KEY_SET, "a certificate"): "auth.token.rootcertbundle is for certificates",
}
