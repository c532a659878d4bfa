"""The keys of a foreign token server: `auth.token` of CNCF Distribution's configuration.

    rootcertbundle   certificates in PEM: a token has a chain to one of them (x5c), or names the key of one (kid, jwk)
    jwks             a key set: a token names one of its keys (kid, jwk)

A header is read in CNCF Distribution's order: x5c, jwk, kid; the first that is present decides. A `jwk` in a header
proves nothing by itself: the key must be one of these files' keys (CVE-2025-24976).
"""

import base64
import binascii
import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import structlog
from cryptography import x509

from authproxy.errors import StartError
from authproxy.files.pem import PemContent, find_fault
from authproxy.files.reload import Reloaded
from authproxy.files.text import read_content
from authproxy.token.certificate_chain import verify_chain
from authproxy.token.jwk import (
    ALGORITHMS,
    PUBLIC_KEYS,
    PublicKey,
    algorithms_of,
    from_jwk,
    libtrust_fingerprint,
    thumbprint,
)
from authproxy.token.jws import UntrustedKey, unknown_key
from authproxy.token.verifier import TrustedKey

log = structlog.get_logger(__name__)

# Verifying each link takes time; genuine chains have two or three certificates.
MAX_CHAIN = 8


@dataclass(frozen=True, slots=True)
class _Trusted:
    """The content of the files."""

    certificates: tuple[x509.Certificate, ...]
    by_name: Mapping[str, PublicKey]  # by the names that a `kid` may use; by RFC 7638 thumbprint always


class ForeignKeys(Reloaded[_Trusted]):
    """`TrustedKeys` of a certificate bundle, a key set, or both; read again when the files change.

    `algorithms` restricts the accepted algorithms (`auth.token.signingalgorithms`); empty: all that the keys support,
    never HS* or none. Raises StartError with the configuration key and the file.
    """

    part: ClassVar = "trusted keys"
    takes_access_away: ClassVar = True

    def __init__(
        self, *, rootcertbundle: Path | None = None, jwks: Path | None = None, algorithms: Sequence[str] = ()
    ) -> None:
        if rootcertbundle is None and jwks is None:
            raise StartError("auth.token: nothing says whose tokens to trust; set rootcertbundle or jwks")
        if unknown := [name for name in algorithms if name not in ALGORITHMS]:
            raise StartError(
                f"auth.token.signingalgorithms: {unknown[0]} is not accepted; allowed: {', '.join(ALGORITHMS)}"
            )
        self._bundle = rootcertbundle
        self._jwks = jwks
        self._allowed = frozenset(algorithms or ALGORITHMS)
        super().__init__(*(path for path in (rootcertbundle, jwks) if path is not None))

    @property
    def version(self) -> object:
        """See TrustedKeys."""
        return self.current

    def select(self, header: Mapping[str, Any], now: float) -> TrustedKey:
        """See TrustedKeys."""
        trusted = self.current
        if "x5c" in header:
            chain = _parse_chain(header["x5c"])
            until = verify_chain(chain, trusted.certificates, dt.datetime.fromtimestamp(now, dt.UTC))
            return self._use(chain[0].public_key(), until)
        key = trusted.by_name.get(_name_of_key(header))
        if key is None:
            raise unknown_key(_name_of_key(header) or header.get("kid"), trusted.by_name)
        return self._use(key, float("inf"))

    def _use(self, key: object, until: float) -> TrustedKey:
        if not isinstance(key, PUBLIC_KEYS):
            raise UntrustedKey("the certificate's key is a kind of key that cannot sign tokens")
        return TrustedKey(key, self._allowed.intersection(algorithms_of(key)), until)

    def _load(self) -> _Trusted:
        certificates = _read_bundle(self._bundle) if self._bundle else ()
        named = dict(_named_by_bundle(certificates))
        if self._jwks:
            named |= _read_jwks(self._jwks)
        return _Trusted(certificates, MappingProxyType(named))

    def _changed(self) -> None:
        log.info("trusted keys reloaded", keys=len(self.current.by_name))


def _name_of_key(header: Mapping[str, Any]) -> str:
    """The name to look up: the thumbprint of the key in the header, or its `kid`."""
    if "jwk" not in header:
        kid = header.get("kid")
        return kid if isinstance(kid, str) else ""
    try:
        key = from_jwk(header["jwk"])
    except ValueError as exc:
        raise UntrustedKey(f"the header's jwk is malformed: {exc}") from exc
    if key is None:
        raise UntrustedKey("the header's jwk cannot be used for signatures")
    return thumbprint(key)


def _parse_chain(value: object) -> list[x509.Certificate]:
    """RFC 7515 §4.1.6: base64 (not base64url) of DER, the signer's certificate first. Raises UntrustedKey."""
    if not isinstance(value, list) or not 0 < len(value) <= MAX_CHAIN:
        raise UntrustedKey(f"x5c is not a list of 1 to {MAX_CHAIN} certificates")
    try:
        return [x509.load_der_x509_certificate(base64.b64decode(item, validate=True)) for item in value]
    except (ValueError, TypeError, binascii.Error) as exc:
        raise UntrustedKey(f"x5c has an item that is not a certificate: {exc}") from exc


def _read_bundle(path: Path) -> tuple[x509.Certificate, ...]:
    content = _read("rootcertbundle", path)
    try:
        return tuple(x509.load_pem_x509_certificates(content))
    except ValueError as exc:
        fault = find_fault(content, PemContent.CERTIFICATES) or f"is not a bundle of PEM certificates: {exc}"
        raise StartError(f"auth.token.rootcertbundle: {path} {fault}") from exc


def _named_by_bundle(certificates: Iterable[x509.Certificate]) -> Iterable[tuple[str, PublicKey]]:
    for certificate in certificates:
        key = certificate.public_key()
        if isinstance(key, PUBLIC_KEYS) and algorithms_of(key):
            yield libtrust_fingerprint(key), key
            yield thumbprint(key), key


def _read_jwks(path: Path) -> dict[str, PublicKey]:
    read = _read("jwks", path)
    if (fault := find_fault(read, PemContent.KEY_SET)) is not None:
        raise StartError(f"auth.token.jwks: {path} {fault}")
    try:
        content = json.loads(read)
        members = content["keys"]
        found = [(member.get("kid"), key) for member in members if (key := from_jwk(member)) is not None]
    except (ValueError, TypeError, KeyError) as exc:
        raise StartError(f'auth.token.jwks: {path} must be a key set, {{"keys": […]}}: {exc}') from exc
    if not found:
        raise StartError(f"auth.token.jwks: {path} has no public key for signatures (EC, RSA from 2048 bits, Ed25519)")
    named = {thumbprint(key): key for _, key in found}
    return named | {kid: key for kid, key in found if isinstance(kid, str) and kid}


def _read(key: str, path: Path) -> bytes:
    try:
        return read_content(path)
    except OSError as exc:
        raise StartError(f"auth.token.{key}: cannot read {path}: {exc.strerror}; check the path") from exc
