"""Filters for audit lines, and a line as text for people."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from authproxy.access import parse_scopes
from authproxy.audit.event import EventKind
from authproxy.audit.log import rfc3339
from authproxy.config.document.scalars import parse_duration

# Kinds of lines about a caller who got less than requested.
DENIALS = frozenset({EventKind.TOKEN_CUT_DOWN, EventKind.LOGIN_REFUSED, EventKind.REQUEST_DENIED})


@dataclass(frozen=True, slots=True)
class LineFilter:
    """The conditions on a line; None: no condition. Times as in the lines."""

    user: str | None = None  # "": callers without credentials
    repository: str | None = None  # `*` matches anything, `/` included
    client: str | None = None
    kind: EventKind | None = None
    request_id: str | None = None
    jti: str | None = None  # of a token: its issue, and denied requests with it
    since: str | None = None
    until: str | None = None  # exclusive
    is_denial: bool = False

    def includes(self, fields: Mapping[str, Any]) -> bool:
        """Whether a line with these fields meets all conditions."""
        return all(self._tests(fields))

    def _tests(self, fields: Mapping[str, Any]) -> Iterator[bool]:
        yield self.user is None or fields.get("user", "") == self.user
        yield self.client is None or fields.get("client", "") == self.client
        yield self.kind is None or fields.get("kind") == self.kind
        yield self.request_id is None or fields.get("request_id") == self.request_id
        yield self.jti is None or fields.get("jti") == self.jti
        yield not self.is_denial or fields.get("kind") in DENIALS
        yield self.since is None or str(fields.get("time", "")) >= self.since
        yield self.until is None or str(fields.get("time", "")) < self.until
        yield self.repository is None or any(fnmatchcase(name, self.repository) for name in _repositories(fields))


def parse_moment(text: str, now: float) -> str:
    """Read a time as lines have it: `2026-01-02`, `2026-01-02T03:04:05Z`, or `24h`, which means so long before `now`.

    A day begins at midnight UTC; a time without a zone is UTC. Raises ValueError.
    """
    try:
        return rfc3339(now - parse_duration(text).total_seconds())
    except ValueError:
        pass
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f'"{text}" is not a time; allowed: 2026-01-02, 2026-01-02T03:04:05Z, or how long ago, such as 90m or 24h'
        ) from None
    return rfc3339((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp())


def render(fields: Mapping[str, Any]) -> str:
    """A line as text for people: caller and kind, then indented lines with the request, the result and the reason."""
    get = fields.get
    who = get("user") or "anonymous"
    source = f" ({get('source')})" if get("source") else ""
    place = f" from {get('client')}" if get("client") else ""
    lines = [f"{get('time', '')}  {get('kind', '')}  {who}{source}{place}"]
    if get("method"):
        lines.append(f"{get('method')} {get('path', '')}")
    if get("asked"):
        lines.append(f"asked {' '.join(_texts(fields, 'asked'))}")
        lines.append(f"granted {' '.join(_texts(fields, 'granted')) or 'nothing'}")
    lines += [_denial(one) for one in _decisions(fields) if one.get("allowed") is not True]
    if get("reason"):
        lines.append(str(get("reason")))
    return "\n    ".join(map(shown, lines))


def _decisions(fields: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in _list(fields, "decisions") if isinstance(one, dict)]


def _texts(fields: Mapping[str, Any], key: str) -> list[str]:
    return list(map(str, _list(fields, key)))


def _list(fields: Mapping[str, Any], key: str) -> list[Any]:
    """The list under a key, even of a line that was changed by hand."""
    found = fields.get(key)
    return found if isinstance(found, list) else []


def _denial(decision: Mapping[str, Any]) -> str:
    tag = f" of {decision['tag']}" if decision.get("tag") else ""
    return f"denied {decision.get('access')}{tag}: {_why(decision)}"


def _why(decision: Mapping[str, Any]) -> str:
    return f"by {decision['rule']}" if decision.get("rule") else str(decision.get("reason", ""))


def _repositories(fields: Mapping[str, Any]) -> Iterator[str]:
    for access in parse_scopes(_texts(fields, "asked")):
        if access.type == "repository":
            yield access.name


def shown(text: str) -> str:
    """Escape characters that could control the reader's terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
