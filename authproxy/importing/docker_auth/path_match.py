r"""Globs of Go's `path.Match`, which docker_auth's patterns are.

    *          any text without a slash, including none; `**` means the same
    ?          one character except a slash
    [a-z]      one character of a class, `[^a-z]` one outside it, even a slash
    \c         the character c
    other      itself

A glob matches a whole text. A malformed one matches nothing; `path.Match` reports it only when it is evaluated.
"""

from collections.abc import Iterator

from authproxy.importing.shapes import OneOf, Shape, Token, Wild, join


class Malformed(ValueError):
    """A malformed glob, which matches nothing. The text says why."""


def parse_path_match(text: str) -> Shape:
    """Read a glob. Raises Malformed."""
    return join(_tokens(text))


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        match text[at]:
            case "*":
                yield Wild.STAR
                at += 1
            case "?":
                yield Wild.CHARACTER
                at += 1
            case "[":
                regex, at = _character_class(text, at + 1)
                yield OneOf(regex)
            case "\\":
                if at + 1 == len(text):
                    raise Malformed("it ends in a backslash")
                yield text[at + 1]
                at += 2
            case character:
                yield character
                at += 1


def _character_class(text: str, at: int) -> tuple[str, int]:
    """The character class after its bracket as a regular expression, and its end."""
    is_negated = text[at : at + 1] == "^"
    at += is_negated
    ranges: list[str] = []
    while not (ranges and text[at : at + 1] == "]"):
        low, at = _class_character(text, at)
        high = low
        if text[at : at + 1] == "-":
            high, at = _class_character(text, at + 1)
        # An inverted range is empty; RE2 would refuse it.
        if low <= high:
            ranges.append(f"\\x{{{ord(low):x}}}-\\x{{{ord(high):x}}}" if low != high else f"\\x{{{ord(low):x}}}")
        else:
            ranges.append("")
    inside = "".join(ranges)
    if not inside:
        return ("(?s:.)" if is_negated else r"[^\x00-\x{10FFFF}]"), at + 1
    return f"[{'^' if is_negated else ''}{inside}]", at + 1


def _class_character(text: str, at: int) -> tuple[str, int]:
    if at < len(text) and text[at] not in "-]":
        if text[at] != "\\":
            return text[at], at + 1
        if at + 1 < len(text):
            return text[at + 1], at + 2
    raise Malformed("a [ is not closed, or has an empty part")
