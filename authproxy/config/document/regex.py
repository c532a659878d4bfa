"""Regular expressions of a configuration: RE2's, which are Go's, and run in linear time on any text."""

from typing import Annotated, Protocol, TypeAlias

import re2  # type: ignore[import-untyped] # it has no annotations, and there are no stubs for it
from pydantic import AfterValidator


class Compiled(Protocol):
    """A compiled regular expression."""

    def search(self, text: str, /) -> object | None:
        """Something true if the expression matches anywhere in the text."""


def compile_pattern(text: str) -> Compiled:
    """Compile an expression. Raises ValueError with the reason if it is malformed."""
    options = re2.Options()
    options.log_errors = False  # they would go to standard error as well
    try:
        compiled: Compiled = re2.compile(text, options)
    except re2.error as exc:
        (why,) = exc.args
        reason = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
        raise ValueError(f"not a regular expression of RE2 and Go: {reason}") from None
    return compiled


def _checked(text: str) -> str:
    compile_pattern(text)
    return text


# The text of an expression that compiles.
Pattern: TypeAlias = Annotated[str, AfterValidator(_checked)]
