"""A connection and its certificate, before the first request: how to make it, and why it fails."""

import asyncio
import datetime as dt
import ssl
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from cryptography import x509

from authproxy.certificates import names_in
from authproxy.doctor.unverified_tls import unverified_tls
from authproxy.http.client import unreachable

TIMEOUT_S = 10.0
# Certificates that are renewed by hand get a warning below this.
SOON = dt.timedelta(days=14)

# What X.509 verification found (X509_verify_cert_error_string(3)).
_NOT_YET_VALID, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64

# Alerts of servers that require a client certificate: TLS 1.3 has one for it, older servers use the others.
_CERTIFICATE_ALERTS = ("CERTIFICATE_REQUIRED", "ALERT_BAD_CERTIFICATE", "ALERT_HANDSHAKE_FAILURE", "ALERT_UNKNOWN_CA")


class CertificateFault(Enum):
    """Why a certificate does not verify."""

    EXPIRED = "expired"
    NOT_YET = "not yet"
    OTHER_NAME = "other name"
    UNKNOWN_AUTHORITY = "unknown authority"


@dataclass(frozen=True, slots=True)
class RefusedCertificate:
    """A certificate that does not verify, and the sentence about it."""

    why: CertificateFault
    what: str


async def find_peer(host: str, port: int) -> str:
    """The address that accepts connections there. Raises OSError, TimeoutError."""
    async with asyncio.timeout(TIMEOUT_S):
        _, writer = await asyncio.open_connection(host, port)
    found: str = writer.get_extra_info("peername")[0]
    await _close(writer)
    return found


async def handshake(host: str, port: int, tls: ssl.SSLContext, name: str) -> x509.Certificate:
    """The certificate that the server presents for this name. Raises OSError (including ssl's), TimeoutError."""
    async with asyncio.timeout(TIMEOUT_S):
        _, writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname=name)
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    await _close(writer)
    return x509.load_der_x509_certificate(certificate)


async def read_certificate(host: str, port: int, name: str) -> x509.Certificate | None:
    """The certificate without verification, to report what is in it; the connection is closed at once."""
    with suppress(OSError, TimeoutError):
        return await handshake(host, port, unverified_tls(), name)
    return None


def judge_refusal(
    error: ssl.SSLCertVerificationError, whose: str, name: str, seen: x509.Certificate | None, trust: str
) -> RefusedCertificate:
    """`whose`: "the certificate of https://…"; `name`: the requested name; `trust`: whose CAs do not verify it."""
    if error.verify_code == _EXPIRED:
        ended = "" if seen is None else f" on {seen.not_valid_after_utc:%Y-%m-%d}"
        return RefusedCertificate(CertificateFault.EXPIRED, f"{whose} has expired{ended}")
    if error.verify_code == _NOT_YET_VALID:
        begins = "" if seen is None else f": from {seen.not_valid_before_utc:%Y-%m-%d}"
        return RefusedCertificate(CertificateFault.NOT_YET, f"{whose} is not valid yet{begins}")
    if error.verify_code in (_OTHER_NAME, _OTHER_ADDRESS):
        names = ", ".join(names_in(seen) if seen else ()) or "no name"
        return RefusedCertificate(CertificateFault.OTHER_NAME, f"{whose} is for {names}, and not for {name}")
    issuer = "" if seen is None else f", {seen.issuer.rfc4514_string()},"
    return RefusedCertificate(
        CertificateFault.UNKNOWN_AUTHORITY, f"{whose} is from a CA{issuer} that {trust} does not know"
    )


def left_of(certificate: x509.Certificate, now: float) -> dt.timedelta:
    """How long a certificate is still valid. `now`: seconds since 1970."""
    return certificate.not_valid_after_utc - dt.datetime.fromtimestamp(now, dt.UTC)


def wants_certificate(error: BaseException) -> bool:
    """Whether the server refused the connection for lack of a client certificate."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError) and any(word in str(seen) for word in _CERTIFICATE_ALERTS):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def why_unreachable(error: Exception) -> str:
    """A failure to connect, in words."""
    if isinstance(error, TimeoutError):
        return f"no response within {TIMEOUT_S:.0f} s"
    return unreachable.why_unreachable(error)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError, TimeoutError):
        await writer.wait_closed()
