"""Does an address accept connections, and does its certificate hold: what happens before the first request."""

import asyncio
import datetime as dt
import socket
import ssl
from contextlib import suppress

from cryptography import x509

from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.upstream.site import Site
from authproxy.errors import StartError
from authproxy.proxy.address import Address
from authproxy.proxy.tls import TlsFiles, open_tls

TIMEOUT_S = 10.0
# Less than this is left to whoever renews certificates by hand.
SOON = dt.timedelta(days=14)

# What X.509 verification found (X509_verify_cert_error_string(3)).
_NOT_YET_VALID, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64
_OF_ANOTHER_NAME = (_OTHER_NAME, _OTHER_ADDRESS)

# How servers say that they want a certificate of the client: TLS 1.3 has a word for it, others use these.
_ABOUT_OURS = ("CERTIFICATE_REQUIRED", "ALERT_BAD_CERTIFICATE", "ALERT_HANDSHAKE_FAILURE", "ALERT_UNKNOWN_CA")
# How OpenSSL says that what came was no TLS at all.
_NO_TLS = ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "UNEXPECTED_MESSAGE", "RECORD_LAYER_FAILURE")


def trust(site: Site) -> ssl.SSLContext | Finding | None:
    """What the proxy makes connections with, None for http; or what is wrong with our files."""
    section = site.section
    files = TlsFiles(section.ca, section.certificate, section.key, section.servername)
    try:
        return open_tls(site.addresses[0].scheme, files)
    except StartError as exc:
        fix = f"{site.origin}: a PEM file that the account of authproxy may read"
        return Finding(Level.WRONG, "tls", str(exc), fix)


async def check_address(site: Site, address: Address) -> Finding:
    """Whether anybody listens there."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            _, writer = await asyncio.open_connection(address.host, address.port)
    except (OSError, TimeoutError) as exc:
        fix = f"start it, or {site.place('url')}: where it is"
        return Finding(Level.WRONG, "address", f"{address.url} cannot be reached: {_why_unreachable(exc)}", fix)
    found = writer.get_extra_info("peername")[0]
    await _close(writer)
    what = address.url if found == address.host else f"{address.url} ({found})"
    return Finding(Level.OK, "address", f"{what} accepts connections")


async def check_certificate(site: Site, address: Address, tls: ssl.SSLContext, now: float) -> Finding:
    """Whether the certificate verifies, and for how long. `now`: seconds since 1970."""
    try:
        certificate = await _handshake(address, tls, site.server_name(address))
    except ssl.SSLCertVerificationError as exc:
        return _judge_refusal(site, address, exc, await _look(site, address))
    except ssl.SSLError as exc:
        return _judge_alert(site, address, exc)
    except (OSError, TimeoutError) as exc:
        what = f"{address.url} broke off in the handshake of TLS: {_why_unreachable(exc)}"
        return Finding(Level.WRONG, "tls", what, f"see its log, or {site.place('url')}: its address without TLS")
    return _judge_certificate(address, certificate, now)


def wants_certificate(error: BaseException) -> bool:
    """Whether a failure comes of a server that wants a certificate of its clients."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError) and any(word in str(seen) for word in _ABOUT_OURS):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def no_client_certificate(site: Site, address: Address) -> Finding:
    """A server that lets nobody in who shows no certificate, or not the one that it wants."""
    ours = site.section.certificate
    if ours is None:
        what = f"{address.url} wants a certificate of its clients, and none is shown to it"
        fix = f"{site.place('certificate')} and key: one that it knows (http.tls.clientcas of CNCF Distribution)"
    else:
        what = f"{address.url} does not take {ours}, the certificate that is shown to it"
        fix = f"{site.place('certificate')}: one of an authority that it knows, and whose time is not over"
    return Finding(Level.WRONG, "tls", what, fix)


def _judge_certificate(address: Address, certificate: x509.Certificate, now: float) -> Finding:
    until = certificate.not_valid_after_utc
    if until - dt.datetime.fromtimestamp(now, dt.UTC) < SOON:
        what = f"the certificate of {address.url} verifies, and ends soon: on {until:%Y-%m-%d}"
        return Finding(Level.NOTE, "tls", what, "renew it there; afterwards every request fails")
    return Finding(Level.OK, "tls", f"the certificate of {address.url} verifies, and is good until {until:%Y-%m-%d}")


def _judge_refusal(
    site: Site, address: Address, error: ssl.SSLCertVerificationError, seen: x509.Certificate | None
) -> Finding:
    whose = f"the certificate of {address.url}"
    if error.verify_code == _EXPIRED:
        ended = "" if seen is None else f" on {seen.not_valid_after_utc:%Y-%m-%d}"
        return Finding(Level.WRONG, "tls", f"{whose} has ended{ended}", "renew it there")
    if error.verify_code == _NOT_YET_VALID:
        begins = "" if seen is None else f": on {seen.not_valid_before_utc:%Y-%m-%d}"
        return Finding(Level.WRONG, "tls", f"{whose} is not good yet{begins}", "see that both clocks are right")
    if error.verify_code in _OF_ANOTHER_NAME:
        names = ", ".join(_names(seen)) or "nobody"
        what = f"{whose} is for {names}, and not for {site.server_name(address)}"
        return Finding(Level.WRONG, "tls", what, f"{site.place('servername')}: the name in it, where that is right")
    known = "this machine does" if site.section.ca is None else f"{site.section.ca} does"
    issuer = "" if seen is None else f", {seen.issuer.rfc4514_string()},"
    return Finding(
        Level.WRONG,
        "tls",
        f"{whose} is of an authority{issuer} that {known} not know",
        f"{site.place('ca')}: a PEM file with the certificate of that authority",
    )


def _judge_alert(site: Site, address: Address, error: ssl.SSLError) -> Finding:
    if wants_certificate(error):
        return no_client_certificate(site, address)
    if any(word in str(error) for word in _NO_TLS):
        plain = f"http://{address.url.partition('://')[2]}"
        return Finding(Level.WRONG, "tls", f"{address.url} speaks no TLS", f"{site.place('url')}: {plain}")
    return Finding(Level.WRONG, "tls", f"{address.url} refuses TLS: {error.reason or error}", "see its log")


async def _look(site: Site, address: Address) -> x509.Certificate | None:
    """The certificate as it is, verified by nobody: it is only told of, and the connection is closed at once."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    with suppress(OSError, TimeoutError):
        return await _handshake(address, tls, site.server_name(address))
    return None


async def _handshake(address: Address, tls: ssl.SSLContext, name: str) -> x509.Certificate:
    async with asyncio.timeout(TIMEOUT_S):
        _, writer = await asyncio.open_connection(address.host, address.port, ssl=tls, server_hostname=name)
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    await _close(writer)
    return x509.load_der_x509_certificate(certificate)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError, TimeoutError):
        await writer.wait_closed()


def _names(certificate: x509.Certificate | None) -> list[str]:
    if certificate is None:
        return []
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = [str(address) for address in found.get_values_for_type(x509.IPAddress)]
    return [*found.get_values_for_type(x509.DNSName), *addresses]


def _why_unreachable(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing within {TIMEOUT_S:.0f} s"
    if isinstance(error, socket.gaierror):
        return "nobody knows this name"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    return str(error.__cause__ or error)
