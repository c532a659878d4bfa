"""Globs over repository names, with `{user}` for the caller's own name.

    *        any text within one path segment, none included
    **       any number of whole segments, none included: `team/**` is `team`, `team/app` and `team/a/b`
    {user}   the caller's name, as literal text
    else     itself

A glob is matched without regular expressions: nothing that a rule or a user's name holds can become syntax, and
matching never goes back over a choice, so its cost is bounded by the two lengths. Why these meanings:
docs/decisions/0007-write-policies-as-rules.md.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from authproxy.errors import NameInvalid
from authproxy.reference import MAX_REPOSITORY_LENGTH, parse_repository

USER = "{user}"
PLACEHOLDERS = (USER,)

PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_CHARACTERS = re.compile(r"[a-z0-9._*-]*")


class GlobInvalid(ValueError):
    """A glob that no repository could match, or that is not what its author means. The text says which part."""


def placeable_name(name: str) -> str | None:
    """A caller's name as `{user}` places it: a single valid path component of a repository name, or else None.

    A name with a `/`, a `*`, a capital or whatever else no repository can hold has no place in any glob.
    """
    try:
        parse_repository(name)
    except NameInvalid:
        return None
    return None if "/" in name else name


def match_pieces(pieces: Sequence[str], text: str) -> bool:
    """Whether a text is these pieces, two or more, with any text between each two of them."""
    first, *middle, last = pieces
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        # The leftmost place is always right: what a later one leaves for the rest, this one leaves too.
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


@dataclass(frozen=True, slots=True)
class _Segment:
    """One path segment of a glob: literal texts, and a star between each two of them."""

    pieces: tuple[str, ...]  # a single one where there is no star
    has_user: bool = False  # then there is no star

    def matches(self, text: str, user: str) -> bool:
        if len(self.pieces) == 1:
            literal = self.pieces[0]
            return text == (literal.replace(USER, user) if self.has_user else literal)
        return match_pieces(self.pieces, text)


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern over repository names, checked and taken apart once."""

    text: str
    _blocks: tuple[tuple[_Segment, ...], ...]  # runs of segments, and a `**` between each two of them

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a glob. Raises GlobInvalid."""
        blocks: list[list[_Segment]] = [[]]
        if len(text) > MAX_REPOSITORY_LENGTH:
            raise GlobInvalid(f"too long for a repository name; allowed: {MAX_REPOSITORY_LENGTH} characters")
        for segment in text.split("/"):
            if segment == "**":
                blocks.append([])
            else:
                blocks[-1].append(_parse_segment(segment))
        return cls(text, tuple(tuple(block) for block in blocks))

    @property
    def has_user(self) -> bool:
        """Whether `{user}` stands in it: then nobody without a placeable name matches."""
        return any(segment.has_user for block in self._blocks for segment in block)

    @property
    def literal_head(self) -> str | None:
        """The first segment of everything that matches, or None where names with different ones do."""
        if not self._blocks[0] or self._blocks[0][0].has_user or len(self._blocks[0][0].pieces) > 1:
            return None
        return self._blocks[0][0].pieces[0]

    def matches(self, repository: Sequence[str], user: str | None) -> bool:
        """Whether the name of a repository, given as its segments, matches for a caller.

        `user` is what `placeable_name` makes of the caller's name.
        """
        if user is None:
            if self.has_user:
                return False
            user = ""
        first, *others = self._blocks
        if not others:
            return len(repository) == len(first) and _fits(first, repository, 0, user)
        *middle, last = others
        end = len(repository) - len(last)
        if end < len(first) or not _fits(first, repository, 0, user) or not _fits(last, repository, end, user):
            return False
        at = len(first)
        for block in middle:
            # Leftmost again, one level up.
            places = (i for i in range(at, end - len(block) + 1) if _fits(block, repository, i, user))
            found = next(places, None)
            if found is None:
                return False
            at = found + len(block)
        return True

    def __str__(self) -> str:
        return self.text


def _fits(block: tuple[_Segment, ...], repository: Sequence[str], at: int, user: str) -> bool:
    return all(segment.matches(repository[at + i], user) for i, segment in enumerate(block))


def _parse_segment(text: str) -> _Segment:
    if text == "":
        raise GlobInvalid("an empty path segment; allowed: segments with one / between each two")
    placeholders = PLACEHOLDER.findall(text)
    if unknown := [placeholder for placeholder in placeholders if placeholder not in PLACEHOLDERS]:
        raise GlobInvalid(f"{unknown[0]} is no known placeholder; allowed: {', '.join(PLACEHOLDERS)}")
    literal = text.replace(USER, "")
    if _CHARACTERS.fullmatch(literal) is None:
        raise GlobInvalid(f'no repository name can hold "{text}"; allowed: a-z 0-9 . _ - / and *, **, {USER}')
    if "**" in literal:
        raise GlobInvalid(f'"{text}" has ** beside other text; allowed: ** as a whole path segment, or one *')
    if placeholders and "*" in text:
        # Else `{user}-*` would give bob what is bob-smith's.
        raise GlobInvalid(f'"{text}" has {USER} and * in one path segment; allowed: each in a segment of its own')
    if len(placeholders) > 1:
        raise GlobInvalid(f'"{text}" has two placeholders in one path segment; allowed: one')
    if "*" not in text and placeable_name(text.replace(USER, "x")) is None:
        raise GlobInvalid(
            f'"{text}" is no path segment of a repository name; '
            "allowed: letters and digits, with one . or _, two _ or any number of - between them"
        )
    return _Segment(tuple(text.split("*")), has_user=bool(placeholders))
