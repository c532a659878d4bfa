"""Tokens made by hand, as an attacker or another token server would, and a clock that is set."""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

START = 1_800_000_000


@dataclass
class FakeClock:
    """Seconds since 1970 that go on only when told."""

    now: float = START

    def __call__(self) -> float:
        return self.now


def segment(content: object) -> str:
    """JSON (or bytes as they are) as it stands in a token."""
    raw = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forge(header: object, claims: object, key: Any = None, *, sign_as: str | None = None) -> str:
    """A token of any header and claims, signed with any key: bytes make an HMAC, None an empty signature."""
    signed = f"{segment(header)}.{segment(claims)}"
    if key is None:
        return f"{signed}."
    if isinstance(key, bytes):
        return f"{signed}.{segment(hmac.digest(key, signed.encode(), 'sha256'))}"
    name = sign_as or (header["alg"] if isinstance(header, Mapping) else "ES256")
    return f"{signed}.{segment(bytes(jwt.get_algorithm_by_name(name).sign(signed.encode(), key)))}"


def read(token: str, part: int) -> dict[str, Any]:
    """The header (0) or the claims (1) of a token, unverified."""
    text = token.split(".")[part]
    content: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return content
