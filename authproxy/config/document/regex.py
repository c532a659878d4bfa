"""Regular expressions of a configuration: RE2's, which are Go's, and run in linear time whatever text they meet."""

from typing import Annotated, Protocol, TypeAlias

import re2  # type: ignore[import-untyped] # it has no annotations, and nobody has written them elsewhere
from pydantic import AfterValidator


class Compiled(Protocol):
    """A compiled regular expression."""

    def search(self, text: str, /) -> object | None:
        """Something true where the expression matches anywhere in the text."""


def compile_pattern(text: str) -> Compiled:
    """Compile. Raises ValueError with the reason where it is none."""
    options = re2.Options()
    options.log_errors = False  # they would go to standard error as well
    try:
        compiled: Compiled = re2.compile(text, options)
    except re2.error as exc:
        (why,) = exc.args
        reason = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
        raise ValueError(f"not a regular expression as RE2 and Go read them: {reason}") from None
    return compiled


def _checked(text: str) -> str:
    compile_pattern(text)
    return text


# The text of an expression that compiles.
Pattern: TypeAlias = Annotated[str, AfterValidator(_checked)]
