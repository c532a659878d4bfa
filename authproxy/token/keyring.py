"""The key ring: a folder of signing keys that every node and worker shares.

    keys/
      <kid>.pem, <kid>.json   a key: see keyfiles.py
      secret                  what keyed hashes are derived from, in hex

The newest key whose `signs_from` has come signs, one that is about to be retired only where there is no other; every
key that is not retired verifies. A name in a token can only ever be looked up among these keys.
"""

import hmac
import math
import secrets
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import structlog

from authproxy.clock import Clock
from authproxy.errors import StartError, Unavailable
from authproxy.private_file import locked, write_private
from authproxy.token.jwk import to_jwk
from authproxy.token.jws import UntrustedKey
from authproxy.token.keyfiles import RingKey, make_key, metadata_files, read_key
from authproxy.token.verifier import TrustedKey
from authproxy.watch import fingerprint

log = structlog.get_logger(__name__)

SECRET = "secret"  # noqa: S105 - the name of the file
MIN_SECRET_BYTES = 32
# What signs where nothing else is configured: small tokens, quick to sign, taken by every registry.
DEFAULT_ALGORITHM = "ES256"
# How long verifiers may keep the key set; a key that is added signs only after this and more (rotation.py).
JWKS_MAX_AGE_S = 300


class KeyRing:
    """The keys of a folder, read again when it changes. Made by `open`."""

    def __init__(self, folder: Path, now: Clock) -> None:
        self.folder = folder
        self._now = now
        self._refreshing = threading.Lock()
        self._seen = fingerprint(folder)
        self._keys = read_ring(folder, now())
        self._secret = _read_secret(folder / SECRET)

    @classmethod
    def open(cls, folder: Path, *, algorithm: str = DEFAULT_ALGORITHM, now: Clock = time.time) -> "KeyRing":
        """The ring of a folder. Where it has no key yet, one that signs at once, and the secret, are made.

        Several processes may open it at once: one makes what is missing. Raises StartError where a file cannot be
        read, written or understood.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (folder / SECRET).exists() or not metadata_files(folder):
                with locked(folder / SECRET):
                    if not metadata_files(folder):
                        make_key(folder, algorithm, created=int(now()), signs_from=int(now()))
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
        key = find_signing(self._keys, now)
        if key is None:
            raise Unavailable("no key signs tokens now")
        return key

    def select(self, header: Mapping[str, Any], now: float) -> TrustedKey:
        """See TrustedKeys. `kid` is looked up among the ring's keys; `jwk`, `jku`, `x5c`, `x5u` are not looked at."""
        kid = header.get("kid")
        key = self._keys.get(kid) if isinstance(kid, str) else None
        if key is None or key.is_retired(now):
            raise UntrustedKey(f"kid {kid!r} is not in the key ring")
        return TrustedKey(key.public, frozenset({key.algorithm}), float("inf") if key.retired is None else key.retired)

    def jwks(self) -> dict[str, Any]:
        """The public keys that verify, as a key set (RFC 7517 §5): also those that will sign later."""
        return key_set(self._keys, self._now())

    def settled_s(self) -> float:
        """For how many seconds from now nothing changes by itself: no key begins to sign, none is retired."""
        now = self._now()
        moments = [moment for key in self._keys.values() for moment in (key.signs_from, key.retired) if moment]
        return min((moment - now for moment in moments if moment > now), default=math.inf)

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
                self._keys = read_ring(self.folder, self._now())
            except (StartError, OSError) as exc:
                log.warning("keys not reloaded, the old ones stay in force", folder=str(self.folder), reason=str(exc))
                return
            log.info("keys reloaded", folder=str(self.folder), keys=len(self._keys))


def find_signing(keys: Mapping[str, RingKey], now: float) -> RingKey | None:
    """Which key signs, or None. Tokens of a key whose end is set might outlive it, so it is the last choice."""
    able = [key for key in keys.values() if key.may_sign(now)]
    return max(able, key=lambda key: (key.retired is None, key.signs_from, key.kid), default=None)


def key_set(keys: Mapping[str, RingKey], now: float) -> dict[str, Any]:
    """See KeyRing.jwks."""
    return {
        "keys": [
            {**to_jwk(key.public), "kid": key.kid, "alg": key.algorithm, "use": "sig"}
            for key in keys.values()
            if not key.is_retired(now)
        ]
    }


def read_ring(folder: Path, now: float) -> Mapping[str, RingKey]:
    """All keys of a folder by kid. Raises StartError, also where none of them signs, and OSError."""
    keys = {path.stem: read_key(path) for path in metadata_files(folder)}
    if find_signing(keys, now) is None:
        raise StartError(
            f"token.keys: no key in {folder} signs now; one must have a signs_from that has come and not be retired"
        )
    return MappingProxyType(keys)


def _read_secret(path: Path) -> bytes:
    secret = path.read_bytes().strip()
    if len(secret) < MIN_SECRET_BYTES:
        raise StartError(f"token.keys: {path} is shorter than {MIN_SECRET_BYTES} bytes; remove it and start again")
    return secret
