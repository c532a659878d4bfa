"""Certificates: an own authority and a server certificate for a first start, and the TLS context made of such files.

TLS 1.2 is the least that is spoken; HTTP/1.1 is the only protocol offered (ALPN).
"""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from authproxy.errors import StartError
from authproxy.private_file import write_private

CA_VALID_FOR = dt.timedelta(days=3650)
# The longest that Apple's clients take of a certificate from an authority that the user added.
SERVER_VALID_FOR = dt.timedelta(days=825)
# Clocks of clients differ: a certificate made this minute must not be "not yet valid" there.
BACKDATED_BY = dt.timedelta(hours=1)


def make_certificates(folder: Path, names: Sequence[str], *, now: dt.datetime) -> None:
    """Write `ca.pem`, `ca.key`, `server.pem` and `server.key` for these host names and addresses into a folder.

    Private keys are readable by their owner alone. The server's files are written last, so that they exist only
    where the whole set does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = certify_authority(ca_key, "authproxy own CA", now)
    server = _certify_server(server_key.public_key(), names, ca, ca_key, now)
    write_private(folder / "ca.key", _pem(ca_key))
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    write_private(folder / "server.key", _pem(server_key))
    (folder / "server.pem").write_bytes(server.public_bytes(serialization.Encoding.PEM))


def load_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's TLS context of a certificate chain and its key. Raises StartError in one sentence."""
    for setting, path in (("http.tls.certificate", certificate), ("http.tls.key", key)):
        try:
            path.open("rb").close()
        except OSError as exc:
            raise StartError(
                f"{setting}: cannot read {path}: {exc.strerror}; check the path and its permissions"
            ) from exc
    _check_dates(certificate)

    def refuse_pass_phrase() -> str:  # without it the library would ask on the terminal
        raise StartError(f"http.tls.key: {key} is encrypted; decrypt it: openssl pkey -in {key} -out server.key")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=refuse_pass_phrase)
    except ssl.SSLError as exc:
        if exc.reason == "KEY_VALUES_MISMATCH":
            raise StartError(
                f"http.tls.key: {key} does not fit the certificate {certificate}: name the key it was made with"
            ) from exc
        raise StartError(
            f"http.tls: {certificate} and {key} must be a PEM certificate and its PEM key ({exc})"
        ) from exc
    return context


def _check_dates(path: Path) -> None:
    try:
        leaf = x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as exc:
        raise StartError(f"http.tls.certificate: {path} is not a PEM certificate: {exc}") from exc
    now = dt.datetime.now(dt.UTC)
    if leaf.not_valid_after_utc < now:
        raise StartError(
            f"http.tls.certificate: {path} expired on {leaf.not_valid_after_utc:%Y-%m-%d}; renew it"
            " (delete it and its key where authproxy made them: they are made again)"
        )


def certify_authority(key: ec.EllipticCurvePrivateKey, title: str, now: dt.datetime) -> x509.Certificate:
    """The certificate of an authority that signs certificates of servers or keys, and none of other authorities."""
    # A name of its own for every authority: two clones' must not be taken for one another.
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
    """What a key may do besides signing what is sent: sign certificates, or nothing else."""
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
