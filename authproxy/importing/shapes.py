"""Shapes: parsed globs and simple regular expressions of other systems.

A shape is a sequence of tokens, each a literal text or a wildcard. It can be written as a regular expression and often
as one of our globs, which is easier to read. `path_match.py` and `plain_regex.py` parse their notations into shapes.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from authproxy.policy.glob import Glob, GlobInvalid, placeable_name


class Wild(StrEnum):
    """A wildcard."""

    CHARACTER = "one character, no slash"
    STAR = "any text without a slash, none included"
    PLUS = "any text without a slash, of one character or more"
    ANY = "any text, none included"
    SOME = "any text of one character or more"
    USER = "the caller's name"
    GROUP = "one of the caller's groups"


@dataclass(frozen=True, slots=True)
class OneOf:
    """One character of a class, in the notation of regular expressions: `[a-z]`."""

    regex: str


@dataclass(frozen=True, slots=True)
class LocalPart:
    """The part before `@domain` of the caller's name; matches nothing for names that end otherwise."""

    domain: str

    def of(self, name: str) -> str | None:
        """The local part of this name if it is a valid segment of a repository name."""
        value = name.removesuffix(f"@{self.domain}")
        return value if value != name and placeable_name(value) is not None else None


Token: TypeAlias = str | Wild | OneOf | LocalPart
Shape: TypeAlias = tuple[Token, ...]

_PLACEHOLDERS = (Wild.USER, Wild.GROUP)

# Texts have no line ends, so a dot matches any character.
_REGEX = {
    Wild.CHARACTER: "[^/]",
    Wild.STAR: "[^/]*",
    Wild.PLUS: "[^/]+",
    Wild.ANY: ".*",
    Wild.SOME: ".+",
}
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


def join(tokens: Iterable[Token]) -> Shape:
    """A shape of these tokens, with adjacent literals and adjacent stars merged."""
    shape: list[Token] = []
    for token in tokens:
        if token == "":
            continue
        before = shape[-1] if shape else None
        if is_literal(token) and is_literal(before):
            shape[-1] = f"{before}{token}"
        elif not (token is Wild.STAR and before is Wild.STAR):
            shape.append(token)
    return tuple(shape)


def is_literal(token: object) -> bool:
    """Whether a token is a literal text."""
    return isinstance(token, str) and not isinstance(token, Wild)


def literal_of(shape: Shape) -> str | None:
    """The only text that a shape matches; None if there are several."""
    return "".join(str(token) for token in shape) if all(map(is_literal, shape)) else None


def is_placeholder(token: Token) -> bool:
    """Whether a token depends on the caller."""
    return token in _PLACEHOLDERS or isinstance(token, LocalPart)


def has_placeholder(shape: Shape) -> bool:
    """Whether a shape depends on the caller."""
    return any(map(is_placeholder, shape))


def quote(text: str) -> str:
    """An RE2 regular expression for a literal text."""
    return _SPECIAL.sub(lambda found: "\\" + found[0], text)


def to_regex(shape: Sequence[Token]) -> str:
    """A shape without placeholders as a regular expression without anchors."""
    return "".join(_token_regex(token) for token in shape)


def _token_regex(token: Token) -> str:
    match token:
        case OneOf():
            return token.regex
        case Wild():
            return _REGEX[token]
        case str():
            return quote(token)
        case LocalPart():
            raise AssertionError("a placeholder is not a regular expression")


def to_glob(shape: Shape) -> str | None:
    """An equivalent glob of ours; None if none is known.

    Repository names have no empty segments, so a wildcard for a whole segment matches at least one character.
    """
    text = _glob_text(shape)
    if text is None:
        return None
    try:
        return Glob.parse(text).text
    except GlobInvalid:
        return None


def _glob_text(shape: Shape) -> str | None:
    if shape in ((Wild.ANY,), (Wild.SOME,)):
        return "**"
    parts: list[str] = []
    for i, token in enumerate(shape):
        before, after = _neighbour(shape, i - 1), _neighbour(shape, i + 1)
        if token in (Wild.ANY, Wild.SOME):
            is_first, is_last = i == 0, i == len(shape) - 1
            part = _at_an_end(token, is_first=is_first, touching=after if is_first else before)
            part = part if is_first or is_last else None
        else:
            part = _within_segments(token, is_whole=before[-1:] in ("", "/") and after[:1] in ("", "/"))
        if part is None:
            return None
        parts.append(part)
    return "".join(parts)


def _within_segments(token: Token, *, is_whole: bool) -> str | None:  # noqa: PLR0911 - a row for each kind of token
    """Tokens that match no slash beyond their literals; `is_whole` says whether they fill a segment."""
    match token:
        case Wild.STAR:
            return "*"
        case Wild.PLUS:
            return "*" if is_whole else None
        # Next to other text a placeholder means something else: a name such as "-x" can end a segment, but not be one.
        case Wild.USER if is_whole:
            return "{user}"
        case Wild.GROUP if is_whole:
            return "{group}"
        case LocalPart() if is_whole:
            return f"{{user@{token.domain}}}"
        case OneOf() | Wild() | LocalPart():
            return None
        case _:
            return None if any(c in "*{}" for c in token) else token


def _neighbour(shape: Shape, at: int) -> str:
    """The literal text next to a token; "" at an end of the shape, "*" for a wildcard."""
    if not 0 <= at < len(shape):
        return ""
    token = shape[at]
    return str(token) if is_literal(token) else "*"


def _at_an_end(token: Token, *, is_first: bool, touching: str) -> str | None:
    """Any text at the beginning or the end of a name: `team/.*`, `team.*`, `.*/app`, `.*app`."""
    if touching == "*":
        return None
    if touching[: 1 if is_first else None][-1:] == "/":
        return "**/*" if is_first else "*/**"
    if token is Wild.SOME:
        return None
    return "**/*" if is_first else "*/**"
