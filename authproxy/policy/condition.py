"""Conditions of rules, in CEL: compiled when a policy loads, evaluated when the rest of a rule matches.

The language is Common Expression Language (cel.dev). Its variables are `facts.NAMES`, with one more function for
addresses (`network.py`). An unknown name, an expression that is not boolean and a syntax error are refused when the
file loads.

A condition is true, false or undecidable: a claim is missing or has another type than it is compared with, or there is
no request. An undecidable condition never grants anything: an `allow` needs a true condition, a `deny` is skipped only
if its condition is false. The library limits the work of one evaluation; past the limit the condition is undecidable.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

from authproxy.policy.facts import NAMES, Facts, named_in
from authproxy.policy.network import FUNCTION, NetworkInvalid, check_networks, is_in_network

# Imported lists have long ones. A `matches` takes about 10 µs, so such a condition takes 2 ms.
MAX_LENGTH = 10_000


class ConditionInvalid(ValueError):
    """An invalid condition. The text says where."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled expression."""

    text: str
    names: frozenset[str]  # of facts that the expression reads, perhaps more
    _expression: Any = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Compile an expression. Raises ConditionInvalid."""
        if len(text) > MAX_LENGTH:
            raise ConditionInvalid(f"longer than a condition may be; allowed: {MAX_LENGTH} characters")
        try:
            expression = _environment().compile(text)
        except RuntimeError as exc:
            raise ConditionInvalid(f"{_what_is_wrong(str(exc))}; allowed: CEL over {', '.join(NAMES)}") from None
        try:
            check_networks(text)
        except NetworkInvalid as exc:
            raise ConditionInvalid(str(exc)) from None
        if (kind := expression.return_type().name()) != "BOOL":
            raise ConditionInvalid(f"this is of type {kind.lower()}; allowed: an expression that is true or false")
        return cls(text, named_in(text), expression)

    def holds(self, facts: Facts) -> bool | None:
        """The value of the condition; None if it is undecidable."""
        try:
            value = self._expression.eval(data=facts.of(self.names)).plain_value()
        except Exception:  # noqa: BLE001  the library raises several errors for claims of other types; none grants anything
            return None
        # An error is a value too: its text.
        return value if isinstance(value, bool) else None

    def __str__(self) -> str:
        return " ".join(self.text.split())


@cache
def _environment() -> Any:
    # Imported for the first condition: most policies have none, and the library is large.
    from cel_expr_python import cel  # type: ignore[import-untyped]  # its stubs lack the marker that they are there

    kinds = {
        "string": cel.Type.STRING,
        "bool": cel.Type.BOOL,
        "list(string)": cel.Type.List(cel.Type.STRING),
        "map(string, dyn)": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
        "timestamp": cel.Type.TIMESTAMP,
    }
    texts = [cel.Type.STRING, cel.Type.STRING]
    in_network = cel.Overload("in_network", cel.Type.BOOL, texts, is_member=True, impl=is_in_network)
    return cel.NewEnv(
        variables={name: kinds[kind] for name, kind in NAMES.items()},
        functions=[cel.FunctionDecl(FUNCTION, [in_network])],
    )


def _what_is_wrong(message: str) -> str:
    """The first line of the library's message without its status words: `1:9: undeclared reference to 'x'`."""
    line = message.partition("\n")[0].removeprefix("INVALID_ARGUMENT: ").removeprefix("ERROR: ")
    return line.replace("<input>:", "at ").replace(" (in container '')", "").partition(" expecting {")[0]
