"""The key ring: a folder of signing keys that every node and worker shares.

    keys/
      <kid>.pem     the private key, PKCS #8, mode 0600
      <kid>.json    {"created", "signs_from", "retired"}: RFC 3339; a key is there once this file is
      secret        what keyed hashes are derived from, in hex

The newest key whose `signs_from` has come signs; every key that is not retired verifies. A key is named by its
RFC 7638 thumbprint, so a name in a token can only ever be looked up among these keys.
"""

import datetime as dt
import hmac
import json
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from authproxy.clock import Clock
from authproxy.errors import StartError, Unavailable
from authproxy.private_file import locked, write_private
from authproxy.token.jwk import PublicKey, algorithms_of, thumbprint, to_jwk
from authproxy.token.jws import UntrustedKey
from authproxy.token.verifier import TrustedKey
from authproxy.watch import fingerprint

log = structlog.get_logger(__name__)

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

SECRET = "secret"  # noqa: S105 - the name of the file
MIN_SECRET_BYTES = 32
# How long verifiers may keep the key set. A key that is added may sign after this and the time of a reload.
JWKS_MAX_AGE_S = 300


@dataclass(frozen=True, slots=True)
class RingKey:
    """One key of the ring; times are seconds since 1970."""

    kid: str
    algorithm: str
    public: PublicKey
    signs_from: float
    retired: float | None
    private: PrivateKey = field(repr=False)

    def sign(self, content: bytes) -> bytes:
        """The signature, as it stands in a token (for ES256 the two numbers, not DER)."""
        return bytes(jwt.get_algorithm_by_name(self.algorithm).sign(content, self.private))

    def is_retired(self, now: float) -> bool:
        """Whether tokens that it signed are no longer believed."""
        return self.retired is not None and now >= self.retired


class KeyRing:
    """The keys of a folder, read again when it changes. Made by `open`."""

    def __init__(self, folder: Path, now: Clock) -> None:
        self.folder = folder
        self._now = now
        self._refreshing = threading.Lock()
        self._seen = fingerprint(folder)
        self._keys = _read_keys(folder, now())
        self._secret = _read_secret(folder / SECRET)

    @classmethod
    def open(cls, folder: Path, *, now: Clock = time.time) -> "KeyRing":
        """The ring of a folder. Where it has no key yet, an ES256 key that signs at once, and the secret, are made.

        Several processes may open it at once: one makes what is missing. Raises StartError where a file cannot be
        read, written or understood.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (folder / SECRET).exists() or not _metadata_files(folder):
                with locked(folder / SECRET):
                    if not _metadata_files(folder):
                        _make_key(folder, now())
                    if not (folder / SECRET).exists():
                        write_private(folder / SECRET, secrets.token_hex(MIN_SECRET_BYTES).encode())
            return cls(folder, now)
        except OSError as exc:
            raise StartError(
                f"token.keys: cannot use the folder {folder}: {exc.strerror} ({exc.filename}); check its permissions"
            ) from exc

    def __repr__(self) -> str:
        return f"KeyRing({str(self.folder)!r}, {', '.join(self._keys)})"

    @property
    def version(self) -> object:
        """See TrustedKeys."""
        return self._keys

    def signing(self) -> RingKey:
        """The key that signs now. Raises Unavailable where the last one was retired."""
        now = self._now()
        able = [key for key in self._keys.values() if key.signs_from <= now and not key.is_retired(now)]
        if not able:
            raise Unavailable("no key signs tokens now")
        return max(able, key=lambda key: (key.signs_from, key.kid))

    def select(self, header: Mapping[str, Any], now: float) -> TrustedKey:
        """See TrustedKeys. `kid` is looked up among the ring's keys; `jwk`, `jku`, `x5c`, `x5u` are not looked at."""
        kid = header.get("kid")
        key = self._keys.get(kid) if isinstance(kid, str) else None
        if key is None or key.is_retired(now):
            raise UntrustedKey(f"kid {kid!r} is not in the key ring")
        return TrustedKey(key.public, frozenset({key.algorithm}), float("inf") if key.retired is None else key.retired)

    def jwks(self) -> dict[str, Any]:
        """The public keys that verify, as a key set (RFC 7517 §5): also those that will sign later."""
        now = self._now()
        return {
            "keys": [
                {**to_jwk(key.public), "kid": key.kid, "alg": key.algorithm, "use": "sig"}
                for key in self._keys.values()
                if not key.is_retired(now)
            ]
        }

    def secret(self, purpose: str) -> bytes:
        """32 bytes for one purpose, the same on every node and after every start (RFC 5869 §2.3, HKDF-Expand)."""
        return hmac.digest(self._secret, purpose.encode() + b"\x01", "sha256")

    def refresh(self) -> None:
        """`watch.Reloadable`: read the keys again where the folder changed. The secret is read at the start alone."""
        with self._refreshing:
            seen = fingerprint(self.folder)
            if seen == self._seen:
                return
            self._seen = seen
            try:
                self._keys = _read_keys(self.folder, self._now())
            except (StartError, OSError) as exc:
                log.warning("keys not reloaded, the old ones stay in force", folder=str(self.folder), reason=str(exc))
                return
            log.info("keys reloaded", folder=str(self.folder), keys=len(self._keys))


def _metadata_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("[!.]*.json"))


def _make_key(folder: Path, now: float) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    kid = thumbprint(key.public_key())
    write_private(folder / f"{kid}.pem", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    moment = dt.datetime.fromtimestamp(int(now), dt.UTC).isoformat().replace("+00:00", "Z")
    metadata = {"created": moment, "signs_from": moment, "retired": None}
    write_private(folder / f"{kid}.json", json.dumps(metadata, indent=2).encode() + b"\n")


def _read_keys(folder: Path, now: float) -> Mapping[str, RingKey]:
    keys = {path.stem: _read_key(path) for path in _metadata_files(folder)}
    if not any(key.signs_from <= now and not key.is_retired(now) for key in keys.values()):
        raise StartError(
            f"token.keys: no key in {folder} signs now; one must have a signs_from that has come and not be retired"
        )
    return MappingProxyType(keys)


def _read_key(metadata: Path) -> RingKey:
    pem = metadata.with_suffix(".pem")
    try:
        content = json.loads(metadata.read_bytes())
        signs_from, retired = _moment(content["signs_from"]), content["retired"]
        retired_at = None if retired is None else _moment(retired)
    except (ValueError, TypeError, KeyError) as exc:
        raise StartError(
            f'token.keys: {metadata} must be {{"created", "signs_from", "retired"}} with RFC 3339 times ({exc!r})'
        ) from exc
    try:
        private = load_pem_private_key(pem.read_bytes(), password=None)
    except (ValueError, TypeError) as exc:
        raise StartError(f"token.keys: {pem} is not an unencrypted private key in PEM: {exc}") from exc
    except FileNotFoundError as exc:
        raise StartError(f"token.keys: {metadata} has no {pem.name} beside it; put it back or remove both") from exc
    if not isinstance(private, PrivateKey):
        raise StartError(f"token.keys: {pem} is of a kind that signs no tokens; use P-256, RSA or Ed25519")
    public = private.public_key()
    algorithms = algorithms_of(public)
    if not algorithms:
        raise StartError(
            f"token.keys: {pem} is too small or on another curve; use P-256, P-384, P-521 or RSA from 2048"
        )
    if (kid := thumbprint(public)) != pem.stem:
        raise StartError(f"token.keys: {pem} must be named after its key: {kid}.pem")
    return RingKey(kid, algorithms[0], public, signs_from, retired_at, private)


def _moment(text: str) -> float:
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment.timestamp()


def _read_secret(path: Path) -> bytes:
    secret = path.read_bytes().strip()
    if len(secret) < MIN_SECRET_BYTES:
        raise StartError(f"token.keys: {path} is shorter than {MIN_SECRET_BYTES} bytes; remove it and start again")
    return secret
