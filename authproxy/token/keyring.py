"""The key ring: a folder of signing keys that every node and worker shares.

    keys/
      <kid>.pem, .crt, .json   a key: see keyfiles.py
      ca.pem, ca.key           the CA of the certificates, if they are used: see authority.py
      secret                   keys of keyed hashes are derived from it; in hex

The newest key whose `signs_from` has passed signs; one whose retirement is set signs only if there is no other. Every
key that is not retired verifies. A name in a token is only ever looked up among these keys.
"""

import hmac
import math
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import structlog

from authproxy.clock import Clock
from authproxy.errors import StartError, Unavailable
from authproxy.files.atomic import locked, make_private_folder, read_private, write_private
from authproxy.files.reload import Reloaded
from authproxy.token.authority import certify_key, find_chain, make_authority
from authproxy.token.jose_header import PLAIN, HeaderStyle
from authproxy.token.jwk import to_jwk
from authproxy.token.jws import unknown_key
from authproxy.token.keyfiles import RingKey, make_key, metadata_files, read_key
from authproxy.token.verifier import TrustedKey

log = structlog.get_logger(__name__)

SECRET = "secret"  # noqa: S105 - the name of the file
MIN_SECRET_BYTES = 32
# The default: its tokens are small, quick to sign, and accepted by every registry.
DEFAULT_ALGORITHM = "ES256"
# How long verifiers may cache the key set; an added key signs only after this time and more (rotation.py).
JWKS_MAX_AGE_S = 300


class KeyRing(Reloaded[Mapping[str, RingKey]]):
    """The keys of a folder by kid, read again when it changes; the secret is read only at the start. See `open`."""

    part: ClassVar = "keys"
    takes_access_away: ClassVar = True

    def __init__(self, folder: Path, style: HeaderStyle, now: Clock) -> None:
        self.folder = folder
        self._style = style
        self._now = now
        super().__init__(folder, pattern="[!.]*")  # locks, and .revocations, which changes more often
        self._secret = _read_secret(folder / SECRET)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        algorithm: str = DEFAULT_ALGORITHM,
        style: HeaderStyle = PLAIN,
        now: Clock = time.time,
    ) -> "KeyRing":
        """Open the ring of a folder. If it has no key yet, make one that signs at once; if it has no secret, make it.

        If `style` puts certificates into headers, make an authority and certificates too.

        Several processes may open it at once: one makes what is missing. Raises StartError if a file cannot be read,
        written or parsed.
        """
        try:
            make_private_folder(folder)
            if not (folder / SECRET).exists() or not metadata_files(folder):
                with locked(folder / SECRET):
                    if not metadata_files(folder):
                        make_key(folder, algorithm, created=int(now()), signs_from=int(now()))
                    if not (folder / SECRET).exists():
                        write_private(folder / SECRET, secrets.token_hex(MIN_SECRET_BYTES).encode())
            return cls(folder, style, now)
        except OSError as exc:
            raise StartError(
                f"token.keys: cannot use the folder {folder}: {exc.strerror} ({exc.filename}); check its permissions"
            ) from exc

    def __repr__(self) -> str:
        return f"KeyRing({str(self.folder)!r}, {', '.join(self.current)})"

    @property
    def version(self) -> object:
        """See TrustedKeys."""
        return self.current

    def signing(self) -> RingKey:
        """The key that signs now. Raises Unavailable if the last one is retired."""
        now = self._now()
        key = find_signing(self.current, now)
        if key is None:
            raise Unavailable("no key signs tokens now")
        return key

    def select(self, header: Mapping[str, Any], now: float) -> TrustedKey:
        """See TrustedKeys. Uses only `kid`, which may be either name of a key."""
        kid = header.get("kid")
        key = self._by_name.get(kid) if isinstance(kid, str) else None
        if key is None or key.is_retired(now):
            raise unknown_key(kid, {name: key for name, key in self._by_name.items() if not key.is_retired(now)})
        return TrustedKey(key.public, frozenset({key.algorithm}), float("inf") if key.retired is None else key.retired)

    def jwks(self) -> dict[str, Any]:
        """The public keys that verify, as a key set (RFC 7517 §5), including those that will sign later."""
        return key_set(self.current, self._now(), self._style)

    def settled_s(self) -> float:
        """Seconds until the next change that is already set: a key begins to sign, or is retired."""
        now = self._now()
        moments = [moment for key in self.current.values() for moment in (key.signs_from, key.retired) if moment]
        return min((moment - now for moment in moments if moment > now), default=math.inf)

    def secret(self, purpose: str) -> bytes:
        """32 bytes for one purpose, the same on every node and after every start (RFC 5869 §2.3, HKDF-Expand)."""
        return _derive(self._secret, purpose)

    def _load(self) -> Mapping[str, RingKey]:
        now = self._now()
        keys = read_ring(self.folder, now)
        if self._style.has_certificates:
            keys = certified_ring(self.folder, keys, now)
        self._by_name = _by_name(keys)  # before the keys are in force: a key that signs must also verify
        return keys

    def _changed(self) -> None:
        log.info("keys reloaded", folder=str(self.folder), keys=len(self.current))


def find_signing(keys: Mapping[str, RingKey], now: float) -> RingKey | None:
    """The key that signs, or None. A key whose retirement is set is the last choice: its tokens might outlive it."""
    able = [key for key in keys.values() if key.may_sign(now)]
    return max(able, key=lambda key: (key.retired is None, key.signs_from, key.kid), default=None)


def key_set(keys: Mapping[str, RingKey], now: float, style: HeaderStyle) -> dict[str, Any]:
    """See KeyRing.jwks. If tokens name keys by libtrust's fingerprint, each key is listed under both names."""
    return {
        "keys": [
            {**to_jwk(key.public), "kid": name, "alg": key.algorithm, "use": "sig"}
            for key in keys.values()
            if not key.is_retired(now)
            for name in ((key.kid, key.fingerprint) if style.kid == "libtrust" else (key.kid,))
        ]
    }


def certified_ring(folder: Path, keys: Mapping[str, RingKey], now: float) -> Mapping[str, RingKey]:
    """The same keys, with a certificate for each that is not retired. Raises StartError, OSError."""
    lacking = [key for key in keys.values() if not key.certificates and not key.is_retired(now)]
    if not lacking:
        return keys
    with locked(folder / SECRET):
        make_authority(folder, now)
        for key in lacking:
            if not find_chain(folder, key.kid, key.public):  # another process may have been here
                certify_key(folder, key.kid, key.public, now)
    return read_ring(folder, now)


def read_ring(folder: Path, now: float) -> Mapping[str, RingKey]:
    """Read all keys of a folder, by kid. Raises StartError, also if none of them signs, and OSError."""
    keys = {path.stem: read_key(path) for path in metadata_files(folder)}
    if find_signing(keys, now) is None:
        raise StartError(
            f"token.keys: no key in {folder} signs now; one must have a signs_from in the past and not be retired"
        )
    return MappingProxyType(keys)


def read_ring_secret(folder: Path, purpose: str) -> bytes:
    """See KeyRing.secret; for a command. Raises StartError, OSError."""
    return _derive(_read_secret(folder / SECRET), purpose)


def _derive(secret: bytes, purpose: str) -> bytes:
    return hmac.digest(secret, purpose.encode() + b"\x01", "sha256")


def _by_name(keys: Mapping[str, RingKey]) -> Mapping[str, RingKey]:
    return {name: key for key in keys.values() for name in (key.kid, key.fingerprint)}


def _read_secret(path: Path) -> bytes:
    secret = read_private(path).strip()
    if len(secret) < MIN_SECRET_BYTES:
        raise StartError(f"token.keys: {path} is shorter than {MIN_SECRET_BYTES} bytes; remove it and start again")
    return secret
