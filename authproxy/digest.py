"""Content digests: `algorithm:hex`, parsed once (OCI Image 1.1, "Digests")."""

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, Self

from authproxy.errors import DigestInvalid

# The specification registers these two; the lower-case hex length is fixed for each.
HEX_LENGTH = {"sha256": 64, "sha512": 128}
_DIGEST = re.compile(r"(sha256|sha512):([0-9a-f]{64,128})")


class Hasher(Protocol):
    """A hash object of `hashlib`. It releases the interpreter lock while it hashes a large piece."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Hash the next piece."""

    def hexdigest(self) -> str:
        """The lower-case hex digest of everything so far."""

    def copy(self) -> Self:
        """An independent copy with the same state."""


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A digest of a registered algorithm with the right number of hex digits: safe in a path, a URL or a header."""

    algorithm: str
    hex: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> Self:
        """The digest of bytes in memory."""
        return cls(algorithm, hashlib.new(algorithm, content).hexdigest())


def parse_digest(text: str) -> Digest:
    """Read `sha256:…` or `sha512:…`. Raises DigestInvalid if it is malformed or uses another algorithm."""
    match = _DIGEST.fullmatch(text)
    if match is None or len(match[2]) != HEX_LENGTH[match[1]]:
        raise DigestInvalid(
            "a digest is sha256:<64 hex digits> or sha512:<128 hex digits>", detail={"digest": text[:200]}
        )
    return Digest(match[1], match[2])


def parse_names(algorithm: str, names: Iterable[str]) -> list[Digest]:
    """The digests with these hex digits; other names are not ours, and skipped."""
    found: list[Digest] = []
    for name in names:
        with suppress(DigestInvalid):
            found.append(parse_digest(f"{algorithm}:{name}"))
    return found


def new_hasher(algorithm: str) -> Hasher:
    """A running hash of a registered algorithm."""
    return hashlib.new(algorithm)
