"""The claim `authproxy` of an access token: attributes of its holder that a rule needs at a later request.

    {"source": "ldap", "groups": ["devs"], "claims": {"project_path": "team/app"}, "robot": true}

Some rules are decided only when a request is served, because a scope cannot express them. The token carries those
attributes of the holder that these rules name, and no claim if they name none. `{"cut": true}`: they name more than a
token can hold; such rules cannot be decided, and allow nothing.
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
    """The claim for a holder. Empty: the token has only the holder's name, as its subject."""
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
    """The holder of a verified token; None if attributes that a rule may need were cut or are malformed."""
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
