"""Makes the TLS context of the server from a certificate chain and its key.

TLS 1.2 is the oldest accepted version, only with forward secrecy and authenticated encryption; HTTP/1.1 is the only
protocol offered (ALPN).
"""

import datetime as dt
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from authproxy.errors import StartError
from authproxy.files.pem import PemContent, find_fault
from authproxy.files.text import FileIsUtf16, without_mark

# RFC 9325 §4.2: only ephemeral keys and AEAD; OpenSSL's own list still has CBC. Those of TLS 1.3 are all good.
TLS12_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
# A chain and its key are a few thousand bytes; a longer file is the wrong one.
MAX_FILE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate chain and its key, read from two files and not yet checked. A `repr` shows neither."""

    certificate_file: Path
    key_file: Path
    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)


def load_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's TLS context for a certificate chain and its key. Raises StartError."""
    pair = read_pair(certificate, key)
    check_not_expired(pair, dt.datetime.now(dt.UTC))
    return make_tls(pair)


def read_pair(certificate: Path, key: Path) -> KeyPair:
    """Read two files. Raises StartError if one cannot be read."""
    return KeyPair(certificate, key, _read("http.tls.certificate", certificate), _read("http.tls.key", key))


def read_leaf(pair: KeyPair) -> x509.Certificate:
    """The server's own certificate, the first of the chain. Raises StartError if there is none."""
    try:
        return x509.load_pem_x509_certificate(pair.certificate)
    except ValueError as exc:
        fault = find_fault(pair.certificate, PemContent.CERTIFICATES) or f"is not a PEM certificate: {exc}"
        raise StartError(f"http.tls.certificate: {pair.certificate_file} {fault}") from exc


def check_not_expired(pair: KeyPair, now: dt.datetime) -> None:
    """Raise StartError if the certificate has expired, or the file has none."""
    leaf = read_leaf(pair)
    if leaf.not_valid_after_utc < now:
        raise StartError(
            f"http.tls.certificate: {pair.certificate_file} expired on {leaf.not_valid_after_utc:%Y-%m-%d}; renew it"
            " (if authproxy made it, delete it and its key: both are made again)"
        )


def make_tls(pair: KeyPair) -> ssl.SSLContext:
    """A server's TLS context, from memory: files that change meanwhile can't get mixed. Raises StartError."""
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
                f"http.tls.key: {key} does not match the certificate {certificate}: name the key of that certificate"
            ) from None
        if (fault := find_fault(pair.key, PemContent.PRIVATE_KEY)) is not None:
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
    """The path of a file that exists only in memory, for the length of a block: OpenSSL reads keys from paths."""
    with os.fdopen(os.memfd_create("pem"), "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"
