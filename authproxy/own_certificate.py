"""The certificate of the embedded default, kept as its server needs it: made, extended by names, renewed.

    certs/ca.pem       the certificate of our CA: what clients trust; ca.crt is the same, as docker and podman call it
    certs/server.pem   the server's certificate
    data/ca.key        the key of the CA
    data/server.key    the key of the server's certificate

Clients trust the CA, so a new certificate of the same CA changes nothing for them. An operator may put another
certificate in the place of ours: certs/server.pem with its key certs/server.key. That pair is left alone. Keys of ours
that an earlier version has put into certs/ are moved: there docker's `--cert-dir` takes a `.key` for a client's.
"""

import datetime as dt
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from authproxy.certificates import OWN_CA, Authority, covers, has_issued, make_certificates, names_in, new_key, to_pem
from authproxy.config.embedded import Layout
from authproxy.files.atomic import locked_folder, make_private_folder, read_private, sync_folder, write_private
from authproxy.files.owner_rights import rights_at
from authproxy.this_machine import LOOPBACK, host_names

# A start renews a certificate if less than this part of its lifetime is left.
RENEWED_WITHIN = 1 / 3


def keep_certificate(layout: Layout, hosts: Sequence[str], *, now: dt.datetime) -> None:
    """Make the certificates that are missing, and renew ours if it ends soon or lacks a name.

    `hosts` are names beside those of this machine. Raises OSError if a file cannot be written that has to be.
    """
    make_private_folder(layout.data)
    with rights_at(layout.certs) as place:
        place.path.mkdir(parents=True, exist_ok=True)
    with locked_folder(layout.certificate):
        _move_keys(layout)
        authority = _find_authority(layout)
        if not layout.certificate.exists():
            _make(layout, authority, hosts, now)
            return
        if authority is not None:
            with suppress(OSError):  # what is there still serves, and `find_lacking` says which names it lacks
                _renew(layout, authority, hosts, now)


def given_hosts(layout: Layout) -> list[str]:
    """The names that starts were given beside those of this machine, from our certificate: they come first in it."""
    leaf = _find_own_leaf(layout)
    names = names_in(leaf) if leaf is not None else []
    return names[: names.index(LOOPBACK[0])] if LOOPBACK[0] in names else []


def find_lacking(certificate: Path, hosts: Sequence[str]) -> list[str]:
    """Which of these hosts a certificate is not for; none if it cannot be read."""
    leaf = _find_certificate(certificate)
    names = names_in(leaf) if leaf is not None else list(hosts)
    return [host for host in hosts if not covers(names, host)]


def _make(layout: Layout, authority: Authority | None, hosts: Sequence[str], now: dt.datetime) -> None:
    names = list(dict.fromkeys([*hosts, *host_names()]))
    if authority is None and not os.path.lexists(layout.foreign_key):
        make_certificates(layout.certs, names, now=now, keys=layout.data)
        return
    if authority is None:
        authority = Authority.make(now)
        write_private(layout.authority_key, to_pem(authority.key))
    _write_authority(layout, authority)
    _certify(layout, authority, names, now)
    _move_keys(layout)


def _renew(layout: Layout, authority: Authority, hosts: Sequence[str], now: dt.datetime) -> None:
    if _ends_soon(authority.certificate, now):
        authority = authority.renewed(now)
        _write_authority(layout, authority)
    elif not _is_copied(layout):
        _write_authority(layout, authority)
    leaf = _find_own_leaf(layout)
    if leaf is None:
        return
    # Names stay that an earlier start was given. An address that this machine no longer has does not.
    names = list(dict.fromkeys([*given_hosts(layout), *hosts, *host_names()]))
    has_all = all(name in names_in(leaf) for name in names)
    if not has_all or _ends_soon(leaf, now) or not _fits(leaf, _find_key(layout.key)):
        _certify(layout, authority, names, now)


def _certify(layout: Layout, authority: Authority, names: Sequence[str], now: dt.datetime) -> None:
    """Write a new certificate for the server's key: one file, so that a running server reads a pair at any moment."""
    key = _find_key(layout.key)
    if key is None:
        key = new_key()
        write_private(layout.own_key, to_pem(key))
    write_private(layout.certificate, to_pem(authority.certify_server(key.public_key(), names, now)), mode=0o644)


def _move_keys(layout: Layout) -> None:
    """Move keys of ours from certs/ to data/; a crash on the way leaves them in both, and the next start goes on."""
    authority, leaf = _find_own_authority(layout), _find_own_leaf(layout)
    for old, new, certificate in (
        (layout.certs / "ca.key", layout.authority_key, authority),
        (layout.foreign_key, layout.own_key, leaf),
    ):
        if certificate is None or old.is_symlink() or not _fits(certificate, _find_key(old)):
            continue
        write_private(new, read_private(old))
        with rights_at(old) as place:
            place.path.unlink()
            sync_folder(place.path.parent)


def _write_authority(layout: Layout, authority: Authority) -> None:
    for path in (layout.authority, layout.authority_copy):
        write_private(path, to_pem(authority.certificate), mode=0o644)


def _is_copied(layout: Layout) -> bool:
    try:
        return read_private(layout.authority_copy) == read_private(layout.authority)
    except OSError:
        return False


def _find_authority(layout: Layout) -> Authority | None:
    """Our CA, if its key is here."""
    certificate, key = _find_own_authority(layout), _find_key(layout.authority_key)
    if certificate is None or key is None or not _fits(certificate, key):
        return None
    return Authority(certificate, key)


def _find_own_authority(layout: Layout) -> x509.Certificate | None:
    certificate = _find_certificate(layout.authority)
    if certificate is None:
        return None
    title = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    is_own = bool(title) and str(title[0].value).startswith(OWN_CA) and has_issued(certificate, certificate)
    return certificate if is_own else None


def _find_own_leaf(layout: Layout) -> x509.Certificate | None:
    """The server's certificate, if our CA has issued it."""
    authority, leaf = _find_own_authority(layout), _find_certificate(layout.certificate)
    return leaf if authority is not None and leaf is not None and has_issued(authority, leaf) else None


def _find_certificate(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificates(read_private(path))[0]
    except (OSError, ValueError):
        return None


def _find_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    """A key of the kind that we make."""
    try:
        key = load_pem_private_key(read_private(path), None)
    except (OSError, ValueError, TypeError):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _fits(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | None) -> bool:
    return key is not None and certificate.public_key() == key.public_key()


def _ends_soon(certificate: x509.Certificate, now: dt.datetime) -> bool:
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return certificate.not_valid_after_utc - now < lifetime * RENEWED_WITHIN
