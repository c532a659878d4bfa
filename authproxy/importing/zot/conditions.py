"""Translates zot's conditions, CEL over `req`, to our variables if they mean the same."""

import re

from authproxy.importing.docker_auth.pattern import Inexpressible
from authproxy.policy.condition import Condition, ConditionInvalid

_NAMES = {
    "req.time": "time",
    "req.repository": "resource.repository",
    "req.user.username": "identity.name",
    "req.user.groups": "identity.groups",
}
# Quoted strings are kept; a name is matched as far as it goes, without method calls.
_WORD = re.compile(
    r"""(?P<text>[rR]?\"(?:[^"\\]|\\.)*\"|[rR]?'(?:[^'\\]|\\.)*')|(?P<name>\breq(?:\.[A-Za-z_]\w*(?!\w*\s*\())*)"""
)


def translate(expression: str) -> str:
    """The translated condition. Raises Inexpressible."""

    def word(found: re.Match[str]) -> str:
        if found["text"] is not None:
            return found[0]
        if found[0] not in _NAMES:
            raise Inexpressible(f"the condition {expression} reads {found[0]}")
        return _NAMES[found[0]]

    if '"""' in expression or "'''" in expression:
        raise Inexpressible(f"the condition {expression} has texts in three quotes")
    ours = " ".join(_WORD.sub(word, expression).split("\n")).strip()
    try:
        Condition.parse(ours)
    except ConditionInvalid as exc:
        raise Inexpressible(f"the condition {expression}: {exc}") from None
    return ours
