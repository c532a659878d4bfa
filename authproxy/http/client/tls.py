"""TLS to the upstream: trusted certificates, our own certificate, and the server name."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from authproxy.errors import StartError
from authproxy.files.pem import PemContent, find_fault
from authproxy.files.text import read_content

# OpenSSL's errors for a response that is not TLS.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "UNEXPECTED_MESSAGE", "RECORD_LAYER_FAILURE")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. `ca` replaces the machine's list; `certificate` and `key` are our own, both or neither.

    `server_name` is the name in the upstream's certificate, also sent to it (SNI), if it differs from the URL's host.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None


def open_tls(scheme: str, files: TlsFiles) -> ssl.SSLContext | None:
    """The TLS context for connections; None for http. Raises StartError for an unusable file, or one without https."""
    if scheme != "https":
        if files != TlsFiles():
            raise StartError(
                "upstream.ca, certificate, key and servername are for an upstream.url that begins with https://; "
                "remove them or change it"
            )
        return None
    if files.ca is None:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _load_ca(context, files.ca)
    context.set_alpn_protocols(["http/1.1"])
    if files.certificate is not None and files.key is not None:
        _load_certificate(context, files.certificate, files.key)
    return context


def open_storage_tls(files: TlsFiles) -> ssl.SSLContext:
    """The TLS context for the upstream's storage: it trusts the machine's list and `ca`, and sends no certificate.

    Raises StartError if `ca` cannot be used.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if files.ca is not None:
        _load_ca(context, files.ca)
    return context


def _load_ca(context: ssl.SSLContext, ca: Path) -> None:
    try:
        read_content(ca)  # OpenSSL ignores a byte order mark, and reports UTF-16 as an empty file
        context.load_verify_locations(ca)
    except ssl.SSLError as exc:
        fault = find_fault(ca.read_bytes(), PemContent.CERTIFICATES)
        fault = fault or f"holds no certificate in PEM form: {exc.reason or exc}"
        raise StartError(f"upstream.ca: {ca} {fault}") from exc
    except OSError as exc:
        raise StartError(f"upstream.ca: cannot read {ca}: {exc.strerror}") from exc


def _load_certificate(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    for name, path in (("certificate", certificate), ("key", key)):
        try:
            read_content(path)
        except OSError as exc:
            raise StartError(f"upstream.{name}: cannot read {path}: {exc.strerror}") from exc
    try:
        # Without a password OpenSSL would ask for that of an encrypted key on the terminal; with an empty one it fails.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as exc:
        for name, path, wanted in (
            ("certificate", certificate, PemContent.CERTIFICATES),
            ("key", key, PemContent.PRIVATE_KEY),
        ):
            if (fault := find_fault(path.read_bytes(), wanted)) is not None:
                raise StartError(f"upstream.{name}: {path} {fault}") from exc
        raise StartError(
            f"upstream.certificate, upstream.key: {certificate} and {key} are not a pair in PEM form, or the key is "
            f"encrypted: {exc.reason or exc}"
        ) from exc


def speaks_no_tls(error: BaseException) -> bool:
    """Whether a handshake failed because the response was not TLS."""
    return any(word in str(error) for word in _NOT_TLS)
