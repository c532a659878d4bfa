"""Reads and makes the files of one key of a key ring.

    keys/
      <kid>.pem     the private key, PKCS #8, mode 0600
      <kid>.crt     its certificate, if there is an authority (authority.py)
      <kid>.json    {"alg", "created", "signs_from", "retired"}: times in RFC 3339; a key exists once this file does

`alg` is the algorithm of an RSA key (RS256 if it is missing); every other kind of key has only one algorithm.
A key is named by its RFC 7638 thumbprint.
"""

import datetime as dt
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from authproxy.errors import StartError
from authproxy.files.atomic import read_private, write_private
from authproxy.token.authority import certify_key, find_chain, has_authority
from authproxy.token.jwk import PublicKey, algorithms_of, libtrust_fingerprint, thumbprint
from authproxy.token.signature import PrivateKey, sign

# NIST SP 800-131A accepts 2048 bits; longer keys take several times as long to sign each token.
RSA_BITS = 2048

_CURVES: dict[str, type[ec.EllipticCurve]] = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}


@dataclass(frozen=True, slots=True)
class RingKey:
    """One key of the ring; times are seconds since 1970."""

    kid: str
    fingerprint: str  # its other name, libtrust's
    algorithm: str
    public: PublicKey
    created: float
    signs_from: float
    retired: float | None
    certificates: tuple[bytes, ...]  # its own and the authority's, in DER; empty if it has none
    private: PrivateKey = field(repr=False)

    def sign(self, content: bytes) -> bytes:
        """See `issuer.SigningKey`."""
        return sign(self.private, self.algorithm, content)

    def is_retired(self, now: float) -> bool:
        """Whether tokens that it signed are no longer accepted."""
        return self.retired is not None and now >= self.retired

    def may_sign(self, now: float) -> bool:
        """Whether its `signs_from` has passed and it is not retired."""
        return self.signs_from <= now and not self.is_retired(now)


def metadata_files(folder: Path) -> list[Path]:
    """The metadata files of a ring, one for each key."""
    return sorted(folder.glob("[!.]*.json"))


def make_key(folder: Path, algorithm: str, *, created: float, signs_from: float) -> RingKey:
    """Add a key, with a certificate if there is an authority. Raises StartError, OSError.

    The caller holds the ring's lock.
    """
    private, kid = _generate(algorithm)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if has_authority(folder):
        certify_key(folder, kid, private.public_key(), created)
    write_private(folder / f"{kid}.pem", pem)
    metadata = {"alg": algorithm, "created": _write_moment(created), "signs_from": _write_moment(signs_from)}
    _write_metadata(folder / f"{kid}.json", {**metadata, "retired": None})
    return read_key(folder / f"{kid}.json")


def write_retired(folder: Path, kid: str, moment: float) -> None:
    """Set when a key is retired. Raises OSError. The caller holds the ring's lock, and has read the key."""
    path = folder / f"{kid}.json"
    _write_metadata(path, {**json.loads(read_private(path)), "retired": _write_moment(moment)})


def read_key(metadata: Path) -> RingKey:
    """Read the key of a metadata file. Raises StartError with the file and the fix, and OSError."""
    pem = metadata.with_suffix(".pem")
    try:
        content = json.loads(read_private(metadata))
        signs_from, retired = _read_moment(content["signs_from"]), content["retired"]
        created = _read_moment(content["created"])
        retired_at = None if retired is None else _read_moment(retired)
    except (ValueError, TypeError, KeyError) as exc:
        raise StartError(
            f'token.keys: {metadata} must be {{"created", "signs_from", "retired"}} with RFC 3339 times ({exc!r})'
        ) from exc
    private = _read_private(metadata, pem)
    public = private.public_key()
    algorithms = algorithms_of(public)
    if not algorithms:
        raise StartError(
            f"token.keys: {pem} is too small or on another curve; use P-256, P-384, P-521 or RSA from 2048"
        )
    algorithm = content.get("alg", algorithms[0])
    if algorithm not in algorithms:
        raise StartError(f"token.keys: {metadata}: alg is {algorithm!r}; this key can do {', '.join(algorithms)}")
    if (kid := thumbprint(public)) != pem.stem:
        raise StartError(f"token.keys: {pem} must be named after its key: {kid}.pem")
    return RingKey(
        kid=kid,
        fingerprint=libtrust_fingerprint(public),
        algorithm=algorithm,
        public=public,
        created=created,
        signs_from=signs_from,
        retired=retired_at,
        certificates=find_chain(metadata.parent, kid, public),
        private=private,
    )


def _generate(algorithm: str) -> tuple[PrivateKey, str]:
    """A key and its name, which never begins with a dash: a command would take that for an option."""
    while True:
        if algorithm in _CURVES:
            private: PrivateKey = ec.generate_private_key(_CURVES[algorithm]())
        elif algorithm == "EdDSA":
            private = ed25519.Ed25519PrivateKey.generate()
        else:
            private = rsa.generate_private_key(65537, RSA_BITS)
        kid = thumbprint(private.public_key())
        if not kid.startswith("-"):
            return private, kid


def _read_private(metadata: Path, pem: Path) -> PrivateKey:
    try:
        private = load_pem_private_key(read_private(pem), password=None)
    except (ValueError, TypeError) as exc:
        raise StartError(f"token.keys: {pem} is not an unencrypted private key in PEM: {exc}") from exc
    except FileNotFoundError as exc:
        raise StartError(f"token.keys: {metadata} has no {pem.name} beside it; put it back or remove both") from exc
    if not isinstance(private, PrivateKey):
        raise StartError(f"token.keys: {pem} is a kind of key that cannot sign tokens; use P-256, RSA or Ed25519")
    return private


def _write_metadata(path: Path, metadata: dict[str, Any]) -> None:
    write_private(path, json.dumps(metadata, indent=2).encode() + b"\n")


def format_moment(moment: float) -> str:
    """RFC 3339, in whole seconds of UTC."""
    return dt.datetime.fromtimestamp(int(moment), dt.UTC).isoformat().replace("+00:00", "Z")


def _write_moment(moment: float) -> str:
    return format_moment(math.ceil(moment))  # never earlier than intended: a wait must not become shorter


def _read_moment(text: str) -> float:
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment.timestamp()
