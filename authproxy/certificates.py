"""Issues certificates: our own authority and the certificates of the embedded default, and those of signing keys."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from authproxy.files.atomic import write_private
from authproxy.files.owner_rights import rights_at

CA_VALID_FOR = dt.timedelta(days=3650)
# The longest lifetime that Apple's clients accept for a certificate of an authority that the user added.
SERVER_VALID_FOR = dt.timedelta(days=825)
# Clients' clocks differ: for none of them may a new certificate be "not yet valid".
BACKDATED_BY = dt.timedelta(hours=1)
OWN_CA = "authproxy own CA"


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that signs certificates of servers."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, now: dt.datetime) -> "Authority":
        """A new one, with a name of its own, so that those of two installations can't be confused."""
        key = new_key()
        return cls(certify_authority(key, OWN_CA, now), key)

    def renewed(self, now: dt.datetime) -> "Authority":
        """The same with a later end. Name and key stay: who trusts the old certificate trusts what this one signs."""
        return Authority(_certify_authority(self.key, self.certificate.subject, now), self.key)

    def certify_server(
        self, public_key: ec.EllipticCurvePublicKey, names: Sequence[str], now: dt.datetime
    ) -> x509.Certificate:
        """The certificate of a server with these host names and addresses."""
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]))
            .issuer_name(self.certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED_BY)
            .not_valid_after(now + SERVER_VALID_FOR)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_alternative_name(name) for name in names]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )


def make_certificates(folder: Path, names: Sequence[str], *, now: dt.datetime, keys: Path | None = None) -> None:
    """Write `ca.pem`, `ca.crt` (the same) and `server.pem` into a folder, and `ca.key` and `server.key` into `keys`.

    Without `keys` all is in one folder. Only their owner can read private keys. `server.pem` is written last, so that
    it exists only if the whole set does.
    """
    with rights_at(folder) as place:
        place.path.mkdir(parents=True, exist_ok=True)
    authority, server_key = Authority.make(now), new_key()
    server = authority.certify_server(server_key.public_key(), names, now)
    write_private((keys or folder) / "ca.key", to_pem(authority.key))
    for name in ("ca.pem", "ca.crt"):
        write_private(folder / name, to_pem(authority.certificate), mode=0o644)
    write_private((keys or folder) / "server.key", to_pem(server_key))
    write_private(folder / "server.pem", to_pem(server), mode=0o644)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key for a CA or a server."""
    return ec.generate_private_key(ec.SECP256R1())


def certify_authority(key: ec.EllipticCurvePrivateKey, title: str, now: dt.datetime) -> x509.Certificate:
    """The certificate of an authority that signs certificates of servers or keys, but not of other authorities."""
    # A unique name for every authority, so that those of two installations can't be confused.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{title} {x509.random_serial_number() % 10**8}")])
    return _certify_authority(key, name, now)


def _certify_authority(key: ec.EllipticCurvePrivateKey, name: x509.Name, now: dt.datetime) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED_BY)
        .not_valid_after(now + CA_VALID_FOR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    """The usage of a key: digital signatures, and with `sign_certificates` also those of certificates and CRLs."""
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def names_in(certificate: x509.Certificate) -> list[str]:
    """The host names and addresses that a certificate is for, in its order; host names in lower case."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    kinds = (x509.DNSName, x509.IPAddress)
    return [str(name.value).lower() for name in extension.value if isinstance(name, kinds)]


def has_issued(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether a CA, which may be the certificate itself, has signed it under its name. Ignores times and usages."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):  # another name, kind of key, or key
        return False
    return True


def covers(names: Sequence[str], host: str) -> bool:
    """Whether a certificate with these names is for a host; `*.lan` is for one label in front (RFC 9525 §6.3)."""
    _, dot, parent = host.partition(".")
    return host in names or (bool(dot) and f"*.{parent}" in names)


def _alternative_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def to_pem(item: x509.Certificate | ec.EllipticCurvePrivateKey) -> bytes:
    """A certificate or a key as PEM, the key without a password."""
    if isinstance(item, x509.Certificate):
        return item.public_bytes(serialization.Encoding.PEM)
    return item.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
