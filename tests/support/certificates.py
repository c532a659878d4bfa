"""Certificates that tests make, and the one that a server shows."""

import datetime as dt
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from authproxy.certificates import make_certificates

NAMES = ["localhost", "127.0.0.1"]


@dataclass(frozen=True)
class Made:
    """A certificate and its key in PEM, and the authority that signed it."""

    certificate: bytes
    key: bytes
    authority: bytes

    @property
    def serial(self) -> int:
        """What tells it from all others."""
        return x509.load_pem_x509_certificate(self.certificate).serial_number

    def install(self, folder: Path, certificate: str = "server.pem", key: str = "server.key") -> None:
        """Write both files as `install` does: certificate first, each under another name and then renamed."""
        for name, content in ((certificate, self.certificate), (key, self.key)):
            beside = folder / f".{name}.new"
            beside.write_bytes(content)
            beside.replace(folder / name)


def make(folder: Path, *, made_ago: dt.timedelta = dt.timedelta(0)) -> Made:
    """A certificate for localhost, of an authority of its own, as authproxy makes them. `folder` is for its files."""
    make_certificates(folder, NAMES, now=dt.datetime.now(dt.UTC) - made_ago)
    return Made(*((folder / name).read_bytes() for name in ("server.pem", "server.key", "ca.pem")))


def make_chain() -> Made:
    """A certificate for localhost, of an intermediate authority that follows it in the file."""
    now = dt.datetime.now(dt.UTC)
    root_key, between_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root = _certify("root", root_key.public_key(), "root", root_key, now, is_authority=True)
    between = _certify("between", between_key.public_key(), "root", root_key, now, is_authority=True)
    leaf = _certify("localhost", key.public_key(), "between", between_key, now, is_authority=False)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Made(_pem(leaf) + _pem(between), private, _pem(root))


def shown_by(port: int, *, context: ssl.SSLContext | None = None) -> x509.Certificate:
    """The certificate of one new handshake with 127.0.0.1, believed by nobody unless `context` does."""
    context = context or unverifying()
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    with plain, context.wrap_socket(plain, server_hostname="localhost") as connection:
        certificate = connection.getpeercert(binary_form=True)
    assert certificate is not None
    return x509.load_der_x509_certificate(certificate)


def unverifying() -> ssl.SSLContext:
    """TLS that believes whatever it is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _certify(
    name: str,
    public: ec.EllipticCurvePublicKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
    *,
    is_authority: bool,
) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(signer, hashes.SHA256())
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
