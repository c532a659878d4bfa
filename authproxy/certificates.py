"""Issues certificates: our own authority and a server certificate for a first start, and those of signing keys."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
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


def make_certificates(folder: Path, names: Sequence[str], *, now: dt.datetime) -> None:
    """Write `ca.pem`, `ca.key`, `server.pem` and `server.key` for these host names and addresses into a folder.

    Only their owner can read private keys. The server's files are written last, so that they exist only if the whole
    set does.
    """
    with rights_at(folder) as place:
        place.path.mkdir(parents=True, exist_ok=True)
    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = certify_authority(ca_key, "authproxy own CA", now)
    server = _certify_server(server_key.public_key(), names, ca, ca_key, now)
    write_private(folder / "ca.key", _pem(ca_key))
    write_private(folder / "ca.pem", ca.public_bytes(serialization.Encoding.PEM), mode=0o644)
    write_private(folder / "server.key", _pem(server_key))
    write_private(folder / "server.pem", server.public_bytes(serialization.Encoding.PEM), mode=0o644)


def certify_authority(key: ec.EllipticCurvePrivateKey, title: str, now: dt.datetime) -> x509.Certificate:
    """The certificate of an authority that signs certificates of servers or keys, but not of other authorities."""
    # A unique name for every authority, so that those of two installations can't be confused.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{title} {x509.random_serial_number() % 10**8}")])
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


def _certify_server(
    public_key: ec.EllipticCurvePublicKey,
    names: Sequence[str],
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]))
        .issuer_name(ca.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED_BY)
        .not_valid_after(now + SERVER_VALID_FOR)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_alternative_name(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
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


def _alternative_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
