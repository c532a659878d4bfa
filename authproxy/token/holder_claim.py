"""The claim `authproxy` of an access token: what its holder is beside a name, as far as a rule may ask it later.

    {"source": "ldap", "groups": ["devs"], "claims": {"project_path": "team/app"}, "robot": true}

Where a request is served there are rules to decide that a scope cannot say. They are about this holder, so the token
carries what they name of them, and nothing where they name nothing. `{"cut": true}` stands for a holder of whom they
name more than a token can hold: such rules cannot be decided, and allow nothing.
"""

import json
from collections.abc import Mapping
from typing import Any

import structlog

from authproxy.principal import Principal

log = structlog.get_logger(__name__)

CLAIM = "authproxy"

# The token has to fit into a header together with its scopes: see `grant.MAX_TOKEN_BYTES`.
MAX_BYTES = 2048


def to_claim(holder: Principal) -> dict[str, Any]:
    """What a token says of its holder. Empty: nothing but the name, which is its subject."""
    claim: dict[str, Any] = {}
    if holder.source:
        claim["source"] = holder.source
    if holder.groups:
        claim["groups"] = sorted(holder.groups)
    if holder.claims:
        claim["claims"] = dict(holder.claims)
    if holder.is_robot:
        claim["robot"] = True
    if claim and len(json.dumps(claim, ensure_ascii=False, default=str).encode()) > MAX_BYTES:
        log.warning("too many groups for a token", user=holder.name, groups=len(holder.groups))
        return {"cut": True}
    return claim


def from_claim(subject: str, claim: object) -> Principal | None:
    """The holder of a verified token; None where it does not say all of them that a rule may ask."""
    match claim:
        case None:
            return Principal(subject)
        case {"cut": _}:
            return None
        case dict():
            return _read(subject, claim)
        case _:
            return None


def _read(subject: str, claim: Mapping[str, Any]) -> Principal | None:
    source, groups, claims = claim.get("source", ""), claim.get("groups", []), claim.get("claims", {})
    if not (isinstance(source, str) and isinstance(groups, list) and isinstance(claims, dict)):
        return None
    if not all(isinstance(group, str) for group in groups):
        return None
    return Principal(subject, frozenset(groups), claims, source, is_robot=claim.get("robot") is True)
