r"""Globs as Go's `path.Match` reads them: docker_auth's patterns.

    *          any text without a slash, none included; `**` is no more than that
    ?          one character, no slash
    [a-z]      one character of a class, `[^a-z]` one outside of it: a slash too
    \c         the character c
    else       itself

A glob matches a whole text. One that is malformed matches nothing, which `path.Match` says only when it is asked.
"""

from collections.abc import Iterator

from authproxy.importing.shapes import OneOf, Shape, Token, Wild, join


class Malformed(ValueError):
    """A glob that matches nothing. The text says why."""


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
    """The class that begins behind its bracket, as a regular expression, and where it ends."""
    is_negated = text[at : at + 1] == "^"
    at += is_negated
    ranges: list[str] = []
    while not (ranges and text[at : at + 1] == "]"):
        low, at = _class_character(text, at)
        high = low
        if text[at : at + 1] == "-":
            high, at = _class_character(text, at + 1)
        # A range that runs backwards has no character in it, which RE2 would refuse.
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
