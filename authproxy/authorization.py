"""The `Authorization` header, parsed once, and the parts that all challenges share (RFC 9110 §11, RFC 7617)."""

import base64
import binascii
import functools
import hashlib
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Basic:
    """A name and a password, as sent."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Bearer:
    """A token, unverified."""

    token: str = field(repr=False)

    @functools.cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of the token: recognises the token without storing it."""
        return hashlib.sha256(self.token.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class Malformed:
    """An unreadable or unknown credential. It never counts as anonymous."""


Credentials: TypeAlias = Basic | Bearer | Malformed | None

# The path of the token server, which challenges name as the realm.
TOKEN_PATH = "/token"  # noqa: S105 - a path, no secret


def quoted_string(value: str) -> str:
    """A quoted-string of RFC 9110 §5.6.4."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def basic_challenge(realm: str) -> str:
    """`Basic realm="…", charset="UTF-8"` (RFC 7617 §2.1)."""
    return f'Basic realm={quoted_string(realm)}, charset="UTF-8"'


def parse_authorization(value: str | None) -> Credentials:
    """Read the header's value. None if there is no header, or if Basic has neither a name nor a password.

    `Basic Og==` (both empty) is what some clients send for "anonymous". The name ends at the first colon; both are
    UTF-8, or Latin-1 if they are not valid UTF-8 (RFC 7617 §2.1 leaves it open).
    """
    if value is None:
        return None
    scheme, _, rest = value.strip().partition(" ")
    rest = rest.strip()
    match scheme.lower():
        case "bearer" if rest:
            return Bearer(rest)
        case "basic":
            return _parse_basic(rest)
        case _:
            return Malformed()


def _parse_basic(encoded: str) -> Basic | Malformed | None:
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return Malformed()
    try:
        text = decoded.decode("utf-8")
    except UnicodeDecodeError:
        text = decoded.decode("latin-1")
    user, colon, password = text.partition(":")
    if not colon:
        return Malformed()
    if not user and not password:
        return None
    return Basic(user, password)
