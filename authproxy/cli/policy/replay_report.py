"""The result of replaying a log: counted while it is read, then printed as text or JSON."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from authproxy.audit.event import Event, EventKind, Verdict
from authproxy.audit.log import rfc3339
from authproxy.audit.read import AuditEntry, parse_event
from authproxy.audit.search import shown
from authproxy.cli.output import counted
from authproxy.policy.replay import ChangedDecision, Past, Replay, Tally, Undecidable, is_all
from authproxy.policy.request import RequestFacts
from authproxy.principal import Principal

# The holders of this many of the latest tokens are kept, to find the caller of a request by its token.
MAX_HOLDERS = 100_000
HOLDER_UNKNOWN = "a request was denied whose token has no line here, so the caller's groups are not known"


@dataclass(slots=True)
class Replayed:
    """Lines of a log, decided again by `rules`."""

    rules: Replay
    lines: int = 0
    decisions: int = 0
    changes: Tally = field(default_factory=Tally)
    untold: Counter[str] = field(default_factory=Counter)  # why the new decision is unknown
    aside: Counter[str] = field(default_factory=Counter)  # kinds of lines that hold no decision of rules
    holders: dict[str, Principal] = field(default_factory=dict)  # by the `jti` of their tokens, the last at the end
    beyond: int = 0  # decisions that say less than all that these rules are about

    @property
    def is_as_it_was(self) -> bool:
        """Whether every decision could be repeated and is the same."""
        return not self.changes.count and not self.untold

    def take(self, entries: Iterable[AuditEntry]) -> Iterator[ChangedDecision]:
        """Decide all lines again and count them; yields each change as it is found."""
        for entry in entries:
            self.lines += 1
            try:
                at, event = parse_event(entry)
            except ValueError as exc:
                self.untold[f"a line cannot be read: {exc}"] += 1
                continue
            if not event.verdicts:
                self.aside[event.kind.value] += 1
            principal = self._find_principal(event)
            for verdict in event.verdicts:
                self.decisions += 1
                if principal is None:
                    self.untold[HOLDER_UNKNOWN] += 1
                    continue
                past = _past(at, event, principal, verdict)
                match self.rules.ask(past):
                    case ChangedDecision() as change:
                        self.changes.add(change)
                        yield change
                    case Undecidable() as untold:
                        self.untold[untold.why] += 1
                    case None if past.allowed and not is_all(self.rules.policies, past.access):
                        self.beyond += 1

    def _find_principal(self, event: Event) -> Principal | None:
        """All of a caller. Of one who came with a token a line has the name, and that of the token has the rest."""
        if not event.token_id:
            return event.principal
        if event.kind is not EventKind.REQUEST_DENIED:
            self.holders[event.token_id] = event.principal
            if len(self.holders) > MAX_HOLDERS:
                del self.holders[next(iter(self.holders))]
        return self.holders.get(event.token_id)


def to_lines(replayed: Replayed, *, with_groups: bool) -> Iterator[str]:
    """What an operator reads: the changes by who and what, then the counts."""
    if with_groups:
        for group in replayed.changes.by_count():
            first, last = (_when(change.past) for change in (group.first, group.last))
            often = f"{group.count} times, {first} to {last}" if group.count > 1 else f"once, {first}"
            yield f"{_who(group.last.past.principal)}  {_what(group.last.past)}  {often}"
            yield from _then_and_now(group.last)
    for reason, count in replayed.untold.most_common():
        yield f"unknown: {shown(reason)} ({count})"
    if lost := replayed.aside[EventKind.LINES_LOST]:
        often = "once" if lost == 1 else f"{lost} times"
        yield f"note: lines were lost {often} while this log was written; what was in them is not here"
    if replayed.beyond:
        beyond = counted(replayed.beyond, "decision")
        yield f"note: {beyond} left more to rules about tags, create and overwrite, not seen here"
    yield (
        f"{counted(replayed.lines, 'line')}, {counted(replayed.decisions, 'decision')}:"
        f" {replayed.changes.count} would change,"
        f" {sum(replayed.untold.values())} unknown"
    )


def change_lines(change: ChangedDecision) -> Iterator[str]:
    """One change by itself."""
    past = change.past
    place = f" from {shown(past.client)}" if past.client else ""
    yield f"{_when(past)}  {_who(past.principal)}{place}  {_what(past)}"
    yield from _then_and_now(change)


def to_json(replayed: Replayed) -> str:
    """All of it as one document."""
    content = {
        "lines": replayed.lines,
        "decisions": replayed.decisions,
        "changed": replayed.changes.count,
        "changes": [
            {
                **_fields(group.last),
                "count": group.count,
                "first": _when(group.first.past),
                "last": _when(group.last.past),
            }
            for group in replayed.changes.by_count()
        ],
        "untold": [{"reason": reason, "count": count} for reason, count in replayed.untold.most_common()],
        "aside": dict(replayed.aside),
        "beyond": replayed.beyond,
    }
    return json.dumps(content, indent=2)


def change_to_json(change: ChangedDecision) -> str:
    """One change as an object in a line."""
    past = change.past
    return json.dumps({"time": _when(past), "client": past.client, **_fields(change)})


def _past(at: float, event: Event, principal: Principal, verdict: Verdict) -> Past:
    verb = "allowed" if verdict.allowed else "denied"
    why = f"{verb} by {verdict.rule}" if verdict.rule else f"{verb}: {verdict.reason}"
    # Every line about a request has its scheme; those of older versions have not.
    request = RequestFacts(event.client, event.scheme == "https") if event.scheme else None
    tag = verdict.tag or None
    return Past(at, principal, verdict.access, verdict.allowed, why, event.client, request, tag)


def _fields(change: ChangedDecision) -> dict[str, Any]:
    past = change.past
    return {
        "user": past.principal.name,
        "source": past.principal.source,
        "access": str(past.access),
        **({"tag": past.tag} if past.tag else {}),
        "then": {"allowed": past.allowed, "why": past.why},
        "now": {"allowed": change.now.allowed, "why": change.why},
    }


def _then_and_now(change: ChangedDecision) -> Iterator[str]:
    yield f"    then {shown(change.past.why)}"
    yield f"    now  {shown(change.why)}"


def _who(principal: Principal) -> str:
    source = f" ({principal.source})" if principal.source else ""
    return shown(f"{principal.name or 'anonymous'}{source}")


def _what(past: Past) -> str:
    return shown(f"{past.access} of {past.tag}" if past.tag else str(past.access))


def _when(past: Past) -> str:
    return rfc3339(past.at)
