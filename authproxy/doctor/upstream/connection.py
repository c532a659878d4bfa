"""Before the first request: does an address accept connections, and does its certificate verify."""

import ssl

from cryptography import x509

from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.handshake import (
    SOON,
    CertificateFault,
    find_peer,
    handshake,
    judge_refusal,
    left_of,
    read_certificate,
    wants_certificate,
    why_unreachable,
)
from authproxy.doctor.upstream.site import Site
from authproxy.errors import StartError
from authproxy.http.client.address import Address
from authproxy.http.client.tls import TlsFiles, open_tls, speaks_no_tls


def trust(site: Site) -> ssl.SSLContext | Finding | None:
    """The TLS context of the proxy, None for http; or what is wrong with our files."""
    section = site.section
    files = TlsFiles(section.ca, section.certificate, section.key, section.servername)
    try:
        return open_tls(site.addresses[0].scheme, files)
    except StartError as exc:
        fix = f"{site.origin}: a PEM file that the account of authproxy may read"
        return Finding(Level.FAILED, "tls", str(exc), fix)


async def check_address(site: Site, address: Address) -> Finding:
    """Whether something listens there."""
    try:
        found = await find_peer(address.host, address.port)
    except (OSError, TimeoutError) as exc:
        fix = f"start it, or {site.place('url')}: where it is"
        return Finding(Level.FAILED, "address", f"{address.url} cannot be reached: {why_unreachable(exc)}", fix)
    what = address.url if found == address.host else f"{address.url} ({found})"
    return Finding(Level.OK, "address", f"{what} accepts connections")


async def check_certificate(site: Site, address: Address, tls: ssl.SSLContext, now: float) -> Finding:
    """Whether the certificate verifies, and for how long. `now`: seconds since 1970."""
    try:
        certificate = await handshake(address.host, address.port, tls, site.server_name(address))
    except ssl.SSLCertVerificationError as exc:
        seen = await read_certificate(address.host, address.port, site.server_name(address))
        return _judge_refusal(site, address, exc, seen)
    except ssl.SSLError as exc:
        return _judge_alert(site, address, exc)
    except (OSError, TimeoutError) as exc:
        what = f"{address.url} broke off the TLS handshake: {why_unreachable(exc)}"
        return Finding(Level.FAILED, "tls", what, f"see its log, or {site.place('url')}: its address without TLS")
    return _judge_certificate(address, certificate, now)


def no_client_certificate(site: Site, address: Address) -> Finding:
    """The server refuses clients without a certificate that it knows."""
    ours = site.section.certificate
    if ours is None:
        what = f"{address.url} requires a client certificate, and gets none"
        fix = f"{site.place('certificate')} and key: one that it knows (http.tls.clientcas of CNCF Distribution)"
    else:
        what = f"{address.url} does not accept {ours}, the certificate that it gets"
        fix = f"{site.place('certificate')}: one from a CA that it knows, and not expired"
    return Finding(Level.FAILED, "tls", what, fix)


def _judge_certificate(address: Address, certificate: x509.Certificate, now: float) -> Finding:
    until = certificate.not_valid_after_utc
    if left_of(certificate, now) < SOON:
        what = f"the certificate of {address.url} verifies, and expires soon: on {until:%Y-%m-%d}"
        return Finding(Level.WARNING, "tls", what, "renew it there: once it has expired, every request fails")
    return Finding(Level.OK, "tls", f"the certificate of {address.url} verifies, and is valid until {until:%Y-%m-%d}")


def _judge_refusal(
    site: Site, address: Address, error: ssl.SSLCertVerificationError, seen: x509.Certificate | None
) -> Finding:
    authorities = "this machine" if site.section.ca is None else str(site.section.ca)
    name = site.server_name(address)
    refused = judge_refusal(error, f"the certificate of {address.url}", name, seen, authorities)
    fixes = {
        CertificateFault.EXPIRED: "renew it there",
        CertificateFault.NOT_YET: "check both clocks",
        CertificateFault.OTHER_NAME: f"{site.place('servername')}: the name in it, if that is right",
        CertificateFault.UNKNOWN_AUTHORITY: f"{site.place('ca')}: a PEM file with the certificate of that CA",
    }
    return Finding(Level.FAILED, "tls", refused.what, fixes[refused.why])


def _judge_alert(site: Site, address: Address, error: ssl.SSLError) -> Finding:
    if wants_certificate(error):
        return no_client_certificate(site, address)
    if speaks_no_tls(error):
        plain = f"http://{address.url.partition('://')[2]}"
        return Finding(Level.FAILED, "tls", f"{address.url} speaks no TLS", f"{site.place('url')}: {plain}")
    return Finding(Level.FAILED, "tls", f"{address.url} refuses TLS: {error.reason or error}", "see its log")
