"""Certificates: an own authority and a server certificate for a first start, and the TLS context made of such files.

TLS 1.2 is the least that is spoken, with forward secrecy and authenticated encryption alone; HTTP/1.1 is the only
protocol offered (ALPN).
"""

import datetime as dt
import ipaddress
import os
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from authproxy.errors import StartError
from authproxy.files.atomic import write_private
from authproxy.files.owner_rights import rights_at
from authproxy.files.pem import Wanted, find_fault
from authproxy.files.text import FileIsUtf16, without_mark

CA_VALID_FOR = dt.timedelta(days=3650)
# The longest that Apple's clients take of a certificate from an authority that the user added.
SERVER_VALID_FOR = dt.timedelta(days=825)
# Clocks of clients differ: a certificate made this minute must not be "not yet valid" there.
BACKDATED_BY = dt.timedelta(hours=1)
# RFC 9325 §4.2: ephemeral keys and AEAD alone, where OpenSSL's own list still has CBC. Those of TLS 1.3 are all good.
TLS12_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
# A chain and its key are a few thousand bytes; what is longer is the wrong file.
MAX_FILE_BYTES = 1024 * 1024


def make_certificates(folder: Path, names: Sequence[str], *, now: dt.datetime) -> None:
    """Write `ca.pem`, `ca.key`, `server.pem` and `server.key` for these host names and addresses into a folder.

    Private keys are readable by their owner alone. The server's files are written last, so that they exist only
    where the whole set does.
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


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate chain and its key as two files held them, not yet looked at. Neither shows in a `repr`."""

    certificate_file: Path
    key_file: Path
    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)


def load_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's TLS context of a certificate chain and its key. Raises StartError in one sentence."""
    pair = read_pair(certificate, key)
    check_not_expired(pair, dt.datetime.now(dt.UTC))
    return make_tls(pair)


def read_pair(certificate: Path, key: Path) -> KeyPair:
    """What two files hold. Raises StartError where one cannot be read."""
    return KeyPair(certificate, key, _read("http.tls.certificate", certificate), _read("http.tls.key", key))


def read_leaf(pair: KeyPair) -> x509.Certificate:
    """The server's own certificate, the first of the chain. Raises StartError where there is none."""
    try:
        return x509.load_pem_x509_certificate(pair.certificate)
    except ValueError as exc:
        fault = find_fault(pair.certificate, Wanted.CERTIFICATES) or f"is not a PEM certificate: {exc}"
        raise StartError(f"http.tls.certificate: {pair.certificate_file} {fault}") from exc


def check_not_expired(pair: KeyPair, now: dt.datetime) -> None:
    """Raises StartError where the certificate has expired, or the file holds none."""
    leaf = read_leaf(pair)
    if leaf.not_valid_after_utc < now:
        raise StartError(
            f"http.tls.certificate: {pair.certificate_file} expired on {leaf.not_valid_after_utc:%Y-%m-%d}; renew it"
            " (delete it and its key where authproxy made them: they are made again)"
        )


def make_tls(pair: KeyPair) -> ssl.SSLContext:
    """A server's TLS context, of what was read once: files that change meanwhile can't mix. Raises StartError."""
    certificate, key = pair.certificate_file, pair.key_file

    def refuse_pass_phrase() -> str:  # without it the library would ask on the terminal
        raise StartError(f"http.tls.key: {key} is encrypted; decrypt it: openssl pkey -in {key} -out server.key")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(TLS12_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    try:
        with _in_memory(pair.certificate) as chain, _in_memory(pair.key) as private:
            context.load_cert_chain(chain, private, password=refuse_pass_phrase)
    except ssl.SSLError as exc:  # not named as the cause: it is an OSError, and the system is not at fault
        if exc.reason == "KEY_VALUES_MISMATCH":
            raise StartError(
                f"http.tls.key: {key} does not fit the certificate {certificate}: name the key it was made with"
            ) from None
        if (fault := find_fault(pair.key, Wanted.PRIVATE_KEY)) is not None:
            raise StartError(f"http.tls.key: {key} {fault}") from None
        raise StartError(
            f"http.tls: {certificate} and {key} must be a PEM certificate and its PEM key ({exc})"
        ) from None
    return context


def _read(setting: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return without_mark(file.read(MAX_FILE_BYTES), str(path))
    except FileIsUtf16 as exc:
        raise StartError(f"{setting}: {exc}") from None
    except OSError as exc:
        raise StartError(f"{setting}: cannot read {path}: {exc.strerror}; check the path and its permissions") from exc


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """The path of a file that exists in memory alone, for the length of a block: OpenSSL reads keys from paths."""
    with os.fdopen(os.memfd_create("pem"), "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


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
