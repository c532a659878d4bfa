"""Key rotation: when a new key signs, and until when tokens of an old one are accepted.

No node may sign with a key that a verifier may not know yet. A new key waits until every node has read the folder, and
until every key set that a verifier fetched before that has expired. An old key stops signing as soon as its retirement
is set, and verifies until the last token that it can have signed has expired.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from authproxy.errors import StartError
from authproxy.files.atomic import locked
from authproxy.program import command
from authproxy.token.keyfiles import RingKey, format_moment, make_key, write_retired
from authproxy.token.keyring import JWKS_MAX_AGE_S, SECRET, find_signing, read_ring
from authproxy.token.verifier import OWN_LEEWAY_S

# Every node checks the folder once a second; a change is in force within twice that (files/watcher.py).
RELOADED_WITHIN_S = 2.0
# Until all of our own nodes know a change; their clocks differ by no more than the verifier's leeway.
KNOWN_TO_NODES_S = RELOADED_WITHIN_S + OWN_LEEWAY_S
# Until all readers of the key set know it too: the last node to learn of it may have served the old set until then.
KNOWN_TO_ALL_S = KNOWN_TO_NODES_S + JWKS_MAX_AGE_S


@dataclass(frozen=True, slots=True)
class Retired:
    """A key whose retirement is set, and the key that signs from now on."""

    kid: str
    moment: int  # seconds since 1970: from then on its tokens are refused
    signing: str  # the kid of the key that signs from now on


def rotate(folder: Path, algorithm: str, *, now: float, for_nodes_alone: bool = False) -> RingKey:
    """Add the key that signs next. Raises StartError, OSError.

    It signs once all verifiers can know it; `for_nodes_alone`: once our own nodes do, which is too early for verifiers
    that cache the key set.
    """
    wait_s = KNOWN_TO_NODES_S if for_nodes_alone else KNOWN_TO_ALL_S
    with locked(folder / SECRET):
        read_ring(folder, now)  # a ring that cannot be read must not grow
        return make_key(folder, algorithm, created=int(now), signs_from=now + wait_s)


def retire(folder: Path, kid: str, *, now: float, after_s: float) -> Retired:
    """Retire a key `after_s` from now (0: at once). Raises StartError, OSError."""
    with locked(folder / SECRET):
        retired = decide_retirement(read_ring(folder, now), kid, now=now, after_s=after_s)
        write_retired(folder, kid, retired.moment)
    return retired


def outlives(lifetime_s: float) -> float:
    """Seconds until all tokens of a key that stopped signing have expired, given the lifetime of tokens."""
    return KNOWN_TO_NODES_S + lifetime_s + OWN_LEEWAY_S


def decide_retirement(keys: Mapping[str, RingKey], kid: str, *, now: float, after_s: float) -> Retired:
    """Decide when a key retires. Raises StartError if it is unknown, already retired, or the only one that signs."""
    key = keys.get(kid)
    if key is None:
        raise StartError(f"there is no key {kid} in the ring; {command('key list')} shows all keys")
    moment = math.floor(now) if after_s <= 0 else math.ceil(now + after_s)
    if key.retired is not None and key.retired <= moment:
        raise StartError(f"{kid} is already retired from {format_moment(key.retired)} on")
    rest = {name: other for name, other in keys.items() if name != kid and other.retired is None}
    successor = find_signing(rest, now)
    if successor is None:
        raise StartError(_why_it_must_stay(kid, rest))
    return Retired(kid, moment, successor.kid)


def _why_it_must_stay(kid: str, rest: Mapping[str, RingKey]) -> str:
    if not rest:
        return f"{kid} is the only key that signs; add one first: {command('key rotate')}"
    moment = min(key.signs_from for key in rest.values())
    return f"{kid} is the only key that signs until {format_moment(moment)}; retire it after that"
