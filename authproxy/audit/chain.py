"""The chain: every line has the hash of the previous one, so that a changed, missing or swapped line is detected.

    {"client":"10.0.0.7",…,"previous":"<hash of the line before>","sequence":42,…,"writer":"node-1-9f3c","hash":"…"}

`hash` is the SHA-256, in hex, of the canonical JSON of all other fields: keys sorted, no spaces, everything past ASCII
escaped. So a line still verifies if a program on its way reorders its fields. `sequence` counts the
lines of one writer from 1, and the first of them has sixty-four zeros for `previous`.
"""

import hashlib
import json
import secrets
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

GENESIS = "0" * 64

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_LINKS = ("writer", "sequence", "previous", "hash")


@dataclass(frozen=True, slots=True)
class Link:
    """The end of one writer's chain, which its next line continues."""

    writer: str
    sequence: int = 0  # of the last line; 0: no line yet
    hash: str = GENESIS


@dataclass(frozen=True, slots=True)
class Line:
    """One parsed line."""

    link: Link  # as claimed, the hash too
    previous: str
    is_sound: bool  # whether the hash fits its content
    fields: Mapping[str, Any]  # time and the fields of `event.to_fields`, without the four of the chain


class LineInvalid(ValueError):
    """A text that is not an audit line. The message is a short reason."""


def new_writer() -> str:
    """A unique name for a writer, with the name of its machine."""
    return f"{socket.gethostname()[:64]}-{secrets.token_hex(4)}"


def seal(fields: Mapping[str, Any], last: Link) -> tuple[bytes, Link]:
    """The line of these fields after `last`, with its end of line, and the new end of the chain.

    Raises TypeError or ValueError if a value is not JSON.
    """
    sequence = last.sequence + 1
    content = _encode({**fields, "writer": last.writer, "sequence": sequence, "previous": last.hash})
    digest = hashlib.sha256(content.encode("ascii")).hexdigest()
    return f'{content[:-1]},"hash":"{digest}"}}\n'.encode("ascii"), Link(last.writer, sequence, digest)


def parse_line(raw: bytes) -> Line:
    """Parse one line. Text before its first `{`, which syslog daemons add, is skipped. Raises LineInvalid."""
    start = raw.find(b"{")
    if start < 0:
        raise LineInvalid("not an audit line")
    try:
        fields = json.loads(raw[start:], object_pairs_hook=_without_duplicates)
    except RecursionError:
        raise LineInvalid("nested too deeply") from None
    except ValueError as exc:
        raise LineInvalid(f"not JSON: {exc}") from None
    match fields:
        case {"writer": str(writer), "sequence": int(sequence), "previous": str(previous), "hash": str(claimed)}:
            content = {key: value for key, value in fields.items() if key != "hash"}
        case _:
            raise LineInvalid(f"not an audit line: it lacks one of {', '.join(_LINKS)}")
    try:
        is_sound = hashlib.sha256(_encode(content).encode("ascii")).hexdigest() == claimed
    except ValueError:  # NaN, which Python accepts
        is_sound = False
    own = {key: value for key, value in content.items() if key not in _LINKS}
    return Line(Link(writer, sequence, claimed), previous, is_sound, own)


def _without_duplicates(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise LineInvalid(f"the key {key!r} appears twice")
        found[key] = value
    return found
