"""The variables of conditions, and their values in one decision."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from authproxy.policy.request import RequestFacts
from authproxy.principal import Principal

# Each with its CEL type.
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "identity.name": "string",
        "identity.groups": "list(string)",
        "identity.claims": "map(string, dyn)",
        "identity.source": "string",
        "identity.robot": "bool",
        "request.address": "string",
        "request.tls": "bool",
        "resource.repository": "string",
        "resource.action": "string",
        "time": "timestamp",
    }
)


class Question(NamedTuple):
    """The target and circumstances of one decision."""

    caller: Principal
    repository: str  # "" for the catalog
    action: str
    now: float | None = None  # in seconds since 1970; None: unknown
    request: RequestFacts | None = None  # None: no request, as when an operator asks


class Facts:
    """The facts of one decision, each computed when the first condition reads it: most conditions read few."""

    __slots__ = ("_known", "_question")

    def __init__(self, question: Question) -> None:
        self._question = question
        self._known: dict[str, Any] = {}

    def of(self, names: Iterable[str]) -> dict[str, Any]:
        """The known facts among `names`, by name."""
        return {name: fact for name in names if (fact := self._find(name)) is not None}

    def _find(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = _READ[name](self._question)
        return self._known[name]


def named_in(text: str) -> frozenset[str]:
    """The names whose last word occurs in an expression: all that it reads, perhaps more."""
    return frozenset(name for name in NAMES if name.rpartition(".")[2] in text)


# None: unknown.
_READ: Mapping[str, Callable[[Question], Any]] = MappingProxyType(
    {
        "identity.name": lambda question: question.caller.name,
        "identity.groups": lambda question: sorted(question.caller.groups),
        "identity.claims": lambda question: {} if question.caller.is_anonymous else _to_cel(question.caller.claims),
        "identity.source": lambda question: question.caller.source,
        "identity.robot": lambda question: question.caller.is_robot,
        "request.address": lambda question: (question.request and question.request.address) or None,
        "request.tls": lambda question: question.request and question.request.tls,
        "resource.repository": lambda question: question.repository,
        "resource.action": lambda question: str(question.action),
        "time": lambda question: None if question.now is None else dt.datetime.fromtimestamp(question.now, dt.UTC),
    }
)


def _to_cel(value: object) -> Any:
    """A claim with JSON's types only, as the library needs it; a value of another type becomes null."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {key: _to_cel(entry) for key, entry in value.items() if isinstance(key, str)}
        case Sequence() | set() | frozenset():
            return [_to_cel(entry) for entry in value]
        case _:
            return None
