"""The content of an audit line: one decision with all its inputs, so that other rules can decide it again later.

It has no field for a password or a token, and leaves out the stamp of a principal.
"""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias, TypedDict

from authproxy.access import Access, format_scopes, parse_scopes
from authproxy.asgi import CLIENT_VIEW, REQUEST_ID, Scope
from authproxy.client_view import UNKNOWN, ClientView
from authproxy.log.excerpt import excerpt
from authproxy.principal import ANONYMOUS, Principal

# The text of up to this many accesses is cached: clients repeat the same requests all day.
FEW = 8


class EventKind(StrEnum):
    """The kind of a decision or change."""

    TOKEN_ISSUED = "token issued"  # noqa: S105 - with all requested accesses
    TOKEN_CUT_DOWN = "token cut down"  # noqa: S105 - with fewer than requested, or none
    LOGIN_REFUSED = "login refused"  # the principal's name is claimed, not proven
    REQUEST_DENIED = "request denied"
    ADMIN_CHANGE = "admin change"
    LINES_LOST = "lines lost"  # of the log itself: lines before this one could not be written


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision about one access, and its reason."""

    access: Access
    allowed: bool
    rule: str = ""  # file, line and name of the rule; "" if no rule decided
    reason: str = ""
    tag: str = ""  # the tag of a request; "" if it is unknown, as when a token is requested


@dataclass(frozen=True, slots=True)
class Event:
    """One decision. Fields that do not apply are empty."""

    kind: EventKind
    principal: Principal = ANONYMOUS
    client: str = ""  # the client's address, after forwarded headers from trusted peers
    scheme: str = ""  # "https" or "http", as the client spoke it
    request_id: str = ""
    asked: tuple[Access, ...] = ()
    granted: tuple[Access, ...] = ()
    token_id: str = ""  # the `jti` of the token with what was granted
    lifetime_s: int = 0  # the lifetime of that token, in seconds
    verdicts: tuple[Verdict, ...] = ()
    reason: str = ""  # if it isn't in a verdict: of a refused login, or an admin's change in a sentence
    method: str = ""  # of a denied request
    path: str = ""  # without its query


class CameFrom(TypedDict):
    """The fields about the origin of a request."""

    client: str
    scheme: str
    request_id: str


def came_from(scope: Scope) -> CameFrom:
    """The fields about the origin of a request, as the edge has determined them."""
    view: ClientView = scope.get(CLIENT_VIEW, UNKNOWN)
    return CameFrom(client=view.client, scheme=view.scheme, request_id=scope.get(REQUEST_ID, ""))


Record: TypeAlias = Callable[[Event], None]


def record_nothing(event: Event) -> None:
    """The record function if no audit log is kept."""
    del event


def to_fields(event: Event) -> dict[str, Any]:
    """The event as plain JSON values; empty fields are left out."""
    who = event.principal
    fields = {
        "kind": event.kind.value,
        "user": excerpt(who.name),
        "source": who.source,
        "groups": sorted(who.groups),
        "claims": _plain(who.claims),
        "robot": who.is_robot,
        "client": excerpt(event.client),
        "scheme": event.scheme,
        "request_id": excerpt(event.request_id),
        "asked": _scopes(event.asked),
        "granted": _scopes(event.granted),
        "jti": excerpt(event.token_id),
        "lifetime_s": event.lifetime_s,
        "decisions": _decisions(event.verdicts),
        "reason": excerpt(event.reason),
        "method": excerpt(event.method),
        "path": excerpt(event.path),
    }
    return {key: value for key, value in fields.items() if value}


def from_fields(fields: Mapping[str, Any]) -> Event:
    """The event from the fields of `to_fields`. Raises ValueError if they are not those of an audit line."""
    try:
        return Event(
            kind=EventKind(fields["kind"]),
            principal=Principal(
                _text(fields, "user"),
                groups=frozenset(_texts(fields, "groups")),
                claims=_mapping(fields, "claims"),
                source=_text(fields, "source"),
                is_robot=fields.get("robot") is True,
            ),
            client=_text(fields, "client"),
            scheme=_text(fields, "scheme"),
            request_id=_text(fields, "request_id"),
            asked=parse_scopes(_texts(fields, "asked")),
            granted=parse_scopes(_texts(fields, "granted")),
            token_id=_text(fields, "jti"),
            lifetime_s=_number(fields, "lifetime_s"),
            verdicts=tuple(map(_parse_verdict, fields.get("decisions", ()))),
            reason=_text(fields, "reason"),
            method=_text(fields, "method"),
            path=_text(fields, "path"),
        )
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"not the fields of an audit line: {exc}") from exc


def _scopes(accesses: tuple[Access, ...]) -> list[str]:
    return _known_scopes(accesses) if len(accesses) <= FEW else [excerpt(scope) for scope in format_scopes(accesses)]


def _decisions(verdicts: tuple[Verdict, ...]) -> list[dict[str, Any]]:
    return _known_decisions(verdicts) if len(verdicts) <= FEW else [_verdict_fields(verdict) for verdict in verdicts]


@functools.lru_cache(maxsize=1024)
def _known_scopes(accesses: tuple[Access, ...]) -> list[str]:
    return [excerpt(scope) for scope in format_scopes(accesses)]


@functools.lru_cache(maxsize=1024)
def _known_decisions(verdicts: tuple[Verdict, ...]) -> list[dict[str, Any]]:
    return [_verdict_fields(verdict) for verdict in verdicts]


def _verdict_fields(verdict: Verdict) -> dict[str, Any]:
    access = verdict.access
    # Shortened part by part, so that it can still be parsed as an access.
    short = Access(access.type, excerpt(access.name), excerpt(access.action))
    fields: dict[str, Any] = {"access": str(short), "allowed": verdict.allowed}
    texts = {"tag": verdict.tag, "rule": verdict.rule, "reason": excerpt(verdict.reason)}
    return fields | {key: text for key, text in texts.items() if text}


def _parse_verdict(fields: Mapping[str, Any]) -> Verdict:
    (access,) = parse_scopes([fields["access"]])
    texts = (_text(fields, key) for key in ("rule", "reason", "tag"))
    return Verdict(access, fields["allowed"] is True, *texts)


def _plain(value: Any) -> Any:
    """A value of a claim in JSON; a value that JSON does not have becomes text."""
    match value:
        case str() | bool() | int() | None:
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case set() | frozenset():
            return sorted(str(inner) for inner in value)
        case _:
            return str(value)


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key, "")
    if not isinstance(value, str):
        raise TypeError(f"{key} is not text")
    return value


def _number(fields: Mapping[str, Any], key: str) -> int:
    value = fields.get(key, 0)
    if not isinstance(value, int):
        raise TypeError(f"{key} is not a whole number")
    return value


def _texts(fields: Mapping[str, Any], key: str) -> list[str]:
    values = fields.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{key} is not a list of texts")
    return values


def _mapping(fields: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = fields.get(key, {})
    if not isinstance(value, dict):
        raise TypeError(f"{key} is not an object")
    return value
