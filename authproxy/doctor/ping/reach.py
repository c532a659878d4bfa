"""Before the first request: does it listen, does it speak TLS, who vouches for its certificate."""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from authproxy.certificates import names_in
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
from authproxy.doctor.unverified_tls import unverified_tls
from authproxy.http.client.address import DEFAULT_PORTS, Address, split_authority
from authproxy.http.client.tls import speaks_no_tls
from authproxy.registry_client.errors import RegistryClientError
from authproxy.registry_client.host import authority_of
from authproxy.registry_client.trust import Trust, authority_files, tls_context, tls_context_of
from authproxy.this_machine import is_loopback

# X509_verify_cert_error_string(3): the issuer of the last certificate that was sent is unknown.
_INCOMPLETE = (20, 21)

# How much of a certificate's names is shown.
MAX_NAMES = 5


@dataclass(frozen=True, slots=True)
class Reachability:
    """The result. `tls` is for further requests, None for plain HTTP; `address` is None if none can be made."""

    findings: tuple[Finding, ...]
    address: Address | None = None
    tls: ssl.SSLContext | None = None
    is_trusted: bool = False  # clients would go on: the certificate verifies, or plain HTTP is allowed


async def reach(host: str, address: Address, trust: Trust, now: float) -> Reachability:
    """Connect to a registry over TLS; over plain HTTP if it doesn't speak TLS, as `registry_client` does.

    `address` is where TLS is expected, `now` seconds since 1970.
    """
    try:
        peer = await find_peer(address.host, address.port)
    except (OSError, TimeoutError) as error:
        plain = _plain_address(host)
        if trust.plain_http and plain.port != address.port:  # no port was named: HTTP has its own
            return await _reach_plain(host, plain)
        return _unreachable(address, error)
    reached = _accepts(address, peer)
    found = await _shake_hands(host, address, trust, now)
    return Reachability((reached, *found.findings), found.address, found.tls, found.is_trusted)


async def _reach_plain(host: str, address: Address) -> Reachability:
    try:
        peer = await find_peer(address.host, address.port)
    except (OSError, TimeoutError) as error:
        return _unreachable(address, error)
    return Reachability((_accepts(address, peer), _judge_plain(host, is_allowed=True)), address, is_trusted=True)


def _plain_address(host: str) -> Address:
    name, port = split_authority(authority_of(host), "http") or (host, DEFAULT_PORTS["http"])
    return Address("http", name, port)


def _accepts(address: Address, peer: str) -> Finding:
    shown = address.authority if peer == address.host else f"{address.authority} ({peer})"
    return Finding(Level.OK, "address", f"{shown} accepts connections")


_NO_NAME = "check its spelling; if it is right, neither DNS nor /etc/hosts has it on this machine"
_NO_ANSWER = "make sure that it runs there, and that no firewall is in the way"


def _unreachable(address: Address, error: Exception) -> Reachability:
    what = f"{address.authority} cannot be reached: {why_unreachable(error)}"
    return Reachability(
        (Finding(Level.FAILED, "address", what, _NO_NAME if isinstance(error, socket.gaierror) else _NO_ANSWER),)
    )


async def _shake_hands(host: str, address: Address, trust: Trust, now: float) -> Reachability:
    try:
        context = tls_context(host, trust)
    except RegistryClientError as error:
        return Reachability((Finding(Level.FAILED, "tls", str(error), "a PEM file of certificates that you may read"),))
    try:
        certificate = await handshake(address.host, address.port, context, address.host)
    except ssl.SSLCertVerificationError as error:
        seen = await read_certificate(address.host, address.port, address.host)
        return Reachability((_judge_refusal(host, address, trust, error, seen),), address, unverified_tls())
    except ssl.SSLError as error:
        return _judge_alert(host, address, trust, error)
    except (OSError, TimeoutError) as error:
        if trust.plain_http:
            return _go_on_plain(host, address, trust)
        what = f"{address.url} broke off the TLS handshake: {why_unreachable(error)}"
        return Reachability((Finding(Level.FAILED, "tls", what, "see its log; --plain-http if it speaks no TLS"),))
    by = await _find_voucher(host, address, trust)
    return Reachability(
        (_judge_certificate(host, address, trust, certificate, by, now),), address, context, is_trusted=True
    )


async def _find_voucher(host: str, address: Address, trust: Trust) -> Path | None:
    """The file whose CA makes the certificate verify; None if the system's own do."""
    for file in (None, *authority_files(host, trust)):
        context = tls_context_of(host, trust, [] if file is None else [file])
        try:
            await handshake(address.host, address.port, context, address.host)
        except (OSError, TimeoutError):
            continue
        return file
    return None


def _judge_certificate(
    host: str, address: Address, trust: Trust, certificate: x509.Certificate, by: Path | None, now: float
) -> Finding:
    left = left_of(certificate, now)
    trusted_by = "this machine trusts it" if by is None else f"{by} vouches for it"
    about = (
        f"the certificate of {address.url} is for {_shown(names_in(certificate))}, by"
        f" {certificate.issuer.rfc4514_string()}; {trusted_by}"
    )
    until = f"valid until {certificate.not_valid_after_utc:%Y-%m-%d}, {left.days} days"
    if left < SOON:
        return Finding(Level.WARNING, "tls", f"{about}; it expires soon: {until}", "renew it there")
    if by is not None and by == trust.ca and not is_loopback(host):
        return Finding(Level.WARNING, "tls", f"{about}; {until}", f"for docker: {_for_docker(host, trust, by)}")
    return Finding(Level.OK, "tls", f"{about}; {until}")


def _judge_refusal(
    host: str, address: Address, trust: Trust, error: ssl.SSLCertVerificationError, seen: x509.Certificate | None
) -> Finding:
    files = authority_files(host, trust)
    known = "this machine" if not files else "this machine, with " + ", ".join(map(str, files)) + ","
    refused = judge_refusal(error, f"the certificate of {address.url}", address.host, seen, known)
    fixes = {
        CertificateFault.EXPIRED: "renew it there",
        CertificateFault.NOT_YET: "check both clocks",
        CertificateFault.OTHER_NAME: "use a name in it, or get one for this name",
        CertificateFault.UNKNOWN_AUTHORITY: _trust_it(host, trust, error),
    }
    return Finding(Level.FAILED, "tls", refused.what, fixes[refused.why])


def _trust_it(host: str, trust: Trust, error: ssl.SSLCertVerificationError) -> str:
    """How to make an unknown CA known."""
    own = f"if ca.pem is the certificate of that CA: {_for_docker(host, trust, Path('ca.pem'))}"
    here = f"{own}; or --ca ca.pem here" + (
        "; docker needs neither: it trusts every certificate on localhost" if is_loopback(host) else ""
    )
    if error.verify_code in _INCOMPLETE:
        return f"{here}; if it is a public CA, configure the server to send the intermediate certificates too"
    return here


def _judge_alert(host: str, address: Address, trust: Trust, error: ssl.SSLError) -> Reachability:
    if wants_certificate(error):
        return Reachability((no_client_certificate(host, address, trust),))
    if not speaks_no_tls(error):
        what = f"{address.url} refuses TLS: {error.reason or error}"
        return Reachability((Finding(Level.FAILED, "tls", what, "see its log"),))
    return _go_on_plain(host, address, trust)


def _go_on_plain(host: str, address: Address, trust: Trust) -> Reachability:
    plain = Address("http", address.host, address.port)
    is_meant = trust.plain_http or is_loopback(host)
    return Reachability((_judge_plain(host, is_allowed=trust.plain_http),), plain, is_trusted=is_meant)


def no_client_certificate(host: str, address: Address, trust: Trust) -> Finding:
    """The server refuses clients without a certificate that it knows."""
    folder = trust.certificates / host
    what = f"{address.url} requires a client certificate, and gets none that it knows"
    return Finding(Level.FAILED, "tls", what, f"put one that it knows into {folder}: client.cert and client.key")


def _judge_plain(host: str, *, is_allowed: bool) -> Finding:
    what = "it speaks plain HTTP: others on the network can read passwords and change images"
    if is_loopback(host):
        return Finding(Level.WARNING, "tls", f"{what}; docker accepts that only on this machine")
    docker = f'docker accepts it with "insecure-registries": ["{host}"] in /etc/docker/daemon.json'
    if is_allowed:
        return Finding(Level.WARNING, "tls", what, f"give it a certificate; {docker}")
    return Finding(Level.FAILED, "tls", what, f"give it a certificate; {docker}, and use --plain-http here")


def _for_docker(host: str, trust: Trust, authority: Path) -> str:
    return f"mkdir -p {trust.certificates / host} && cp {authority} {trust.certificates / host}/ca.crt"


def _shown(names: list[str]) -> str:
    rest = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {rest} more" if rest > 0 else "") or "no name"
