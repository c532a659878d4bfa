"""The server's certificate: does it fit its key, is it valid, has it the names that clients use, who trusts it."""

import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from authproxy.certificates import has_issued, names_in, to_pem
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.handshake import SOON, CertificateFault, judge_refusal, left_of
from authproxy.doctor.machine.files import find_read_fault
from authproxy.doctor.machine.installation import Installation, name_of
from authproxy.errors import StartError
from authproxy.registry_client.errors import RegistryClientError
from authproxy.registry_client.trust import Trust, authority_files, tls_context, tls_context_of
from authproxy.server.tls_context import load_tls
from authproxy.this_machine import is_loopback

# More flights than a handshake has.
MAX_FLIGHTS = 10


def check_certificate(installation: Installation) -> Iterator[Finding]:
    """The certificate of `http.tls`, or why there is none."""
    tls = installation.settings.http.tls
    if tls is None:
        yield _judge_plain(installation)
        return
    named = {"http.tls.certificate": tls.certificate, "http.tls.key": tls.key}
    if any(find_read_fault(installation, key, path) is not None for key, path in named.items()):
        return  # reported with the other files
    try:
        chain = x509.load_pem_x509_certificates(tls.certificate.read_bytes())
    except (OSError, ValueError):
        chain = []  # `load_tls` says what is wrong with the file
    if chain and (misplaced := _find_misplaced(installation, chain, tls.key)):
        yield misplaced
        return
    try:
        served = load_tls(tls.certificate, tls.key)
    except StartError as error:
        what, _, fix = str(error).partition("; ")
        yield Finding(
            Level.FAILED, "certificate", what, fix or f"{installation.place('http.tls.certificate')}: a valid one"
        )
        return
    yield _judge_dates(tls.certificate, chain[0], installation.now)
    yield from _judge_order(tls.certificate, chain)
    yield from _judge_names(installation, tls.certificate, chain[0], served)


def _judge_plain(installation: Installation) -> Finding:
    host = installation.settings.http.host
    if host is not None and host.startswith("https:"):
        what = f"a proxy in front of authproxy terminates TLS, since {installation.place('http.host')} is https"
        return Finding(Level.OK, "certificate", what)
    what = "the server speaks plain HTTP: passwords can be read on the way, and docker accepts it only on this machine"
    fix = f"{installation.place('http.tls')}: {{certificate: …, key: …}}; or http.host: https://NAME behind a TLS proxy"
    return Finding(Level.WARNING, "certificate", what, fix)


def _find_misplaced(installation: Installation, chain: Sequence[x509.Certificate], key: Path) -> Finding | None:
    """A finding if the key does not fit the first certificate of the file."""
    try:
        private = load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        return None
    fits = [one.public_key() == private.public_key() for one in chain]
    if fits[0]:
        return None
    file = installation.settings.http.tls
    assert file is not None, "there is a certificate"
    if any(fits):
        what = f"the certificate of {key} is number {fits.index(True) + 1} in {file.certificate}, and has to be first"
        return Finding(Level.FAILED, "certificate", what, f"put it first in {file.certificate}, followed by its CAs")
    what = f"{key} is not the key of the certificate in {file.certificate}"
    return Finding(
        Level.FAILED, "certificate", what, f"{installation.place('http.tls.key')}: the key that it was made with"
    )


def _judge_dates(file: Path, leaf: x509.Certificate, now: float) -> Finding:
    left = left_of(leaf, now)
    until = f"{leaf.not_valid_after_utc:%Y-%m-%d}"
    if leaf.not_valid_before_utc.timestamp() > now:
        what = f"{file} is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        return Finding(Level.FAILED, "certificate", what, "check the clock, or wait")
    if left < SOON:
        what = f"{file} is valid until {until}, which is soon; the server does not start with an expired one"
        return Finding(Level.WARNING, "certificate", what, "renew it; a running server reads the new one")
    return Finding(Level.OK, "certificate", f"{file} fits its key, and is valid until {until}, {left.days} days")


def _judge_order(file: Path, chain: Sequence[x509.Certificate]) -> Iterator[Finding]:
    for number, (one, issuer) in enumerate(pairwise(chain), 2):
        if not has_issued(issuer, one):
            what = (
                f"certificate {number} in {file}, {issuer.subject.rfc4514_string()}, has not signed the one before it"
            )
            fix = "order: the server's own, then its issuer's, and so on; leave out what does not belong to them"
            yield Finding(Level.FAILED, "chain", what, fix)
            return


def _judge_names(
    installation: Installation, file: Path, leaf: x509.Certificate, served: ssl.SSLContext
) -> Iterator[Finding]:
    if not installation.hosts:
        what = f"{file} is for {', '.join(names_in(leaf)) or 'no name'}; which names clients use is unknown"
        yield Finding(Level.WARNING, "names", what, "--host NAME[:PORT], or http.host in the configuration")
    for host in installation.hosts:
        name = name_of(host)
        # A context that trusts the certificate itself, so only its names and dates are checked.
        known = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        known.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        known.load_verify_locations(cadata=to_pem(leaf).decode())
        error = _find_refusal(served, known, name)
        if error is None:
            yield Finding(Level.OK, "names", f"{file} is for {name}")
            yield from _judge_trust(installation, file, host, leaf, served)
        else:
            refused = judge_refusal(error, str(file), name, leaf, "its own key")
            is_name = refused.why is CertificateFault.OTHER_NAME
            fix = (
                f"get one that is also for {name}" if is_name else "get one for servers (TLS Web Server Authentication)"
            )
            yield Finding(Level.FAILED, "names", refused.what if is_name else f"{file}: {error.verify_message}", fix)


def _judge_trust(
    installation: Installation, file: Path, host: str, leaf: x509.Certificate, served: ssl.SSLContext
) -> Iterator[Finding]:
    """Whether docker on this machine trusts it for this host."""
    trust = Trust(certificates=installation.certificates)
    name, folder = name_of(host), installation.certificates / host
    issuer = leaf.issuer.rfc4514_string()
    try:
        if _find_refusal(served, tls_context_of(host, Trust(certificates=Path("/nowhere")), ()), name) is None:
            yield Finding(Level.OK, "docker", f"this machine trusts {issuer}, which issued the certificate")
            return
        files = authority_files(host, trust)
        if files and _find_refusal(served, tls_context(host, trust), name) is None:
            yield Finding(Level.OK, "docker", f"docker on this machine trusts it for {host}, by {folder}")
            return
    except RegistryClientError as error:
        yield Finding(Level.FAILED, "docker", str(error), f"keep only PEM files of CAs in {folder}")
        return
    copy = f"mkdir -p {folder} && cp {_ca_beside(file)} {folder}/ca.crt, on each machine that pulls"
    if files:
        what = f"the CAs in {folder} did not issue the certificate: {issuer} did"
        yield Finding(Level.FAILED, "docker", what, copy)
    elif is_loopback(host):
        what = f"no system trusts {issuer}; docker trusts every certificate on localhost, other clients need that CA"
        yield Finding(Level.OK, "docker", what)
    else:
        yield Finding(Level.WARNING, "docker", f"docker on this machine does not trust {issuer}, for {host}", copy)


def _ca_beside(file: Path) -> Path:
    """The certificate of the CA: ca.pem beside ours if authproxy has issued both."""
    own = file.with_name("ca.pem")
    return own if own.exists() else Path("THE-CA.pem")


def _find_refusal(served: ssl.SSLContext, client: ssl.SSLContext, name: str) -> ssl.SSLCertVerificationError | None:
    """Why a client would refuse it: a handshake in memory, between the two contexts."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = served.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, server_hostname=name)
    try:
        for _ in range(MAX_FLIGHTS):
            for side in (theirs, ours):
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
    except ssl.SSLCertVerificationError as error:
        return error
    return None
