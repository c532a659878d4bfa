"""Globs over repository names, with placeholders for attributes of the caller.

    *                     any text within one path segment, including none
    **                    any number of whole segments, including none: `team/**` is `team`, `team/app` and `team/a/b`
    {user}                the caller's name, within one segment
    {user@example.org}    the part before @example.org of a caller's name that ends so, within one segment
    {group}               any one of the caller's groups, within one segment
    {claims.NAME}         any one value of the caller's claim NAME, within one segment
    {claims.NAME:path}    the same for a value of several segments; must be a whole segment of the glob, only once
    other text            itself

The value of a placeholder is compared as literal text: a value with a `/`, a `*`, a capital or another character that
no segment of a repository name can have matches nothing. Matching uses no regular expressions, so no value can become
syntax, and never backtracks, so its cost is bounded by the lengths. Why so:
docs/decisions/0007-write-policies-as-rules.md.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from authproxy.policy.claims import claim_values
from authproxy.principal import Principal
from authproxy.reference import MAX_REPOSITORY_LENGTH, is_repository

PLACEHOLDERS = ("{user}", "{user@DOMAIN}", "{group}", "{claims.NAME}", "{claims.NAME:path}")

PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_KNOWN = re.compile(
    r"\{((?P<user>user)(?:@(?P<domain>[A-Za-z0-9.-]+))?|group|claims\.(?P<claim>[A-Za-z0-9_.-]+?)(?P<path>:path)?)\}"
)
_CHARACTERS = re.compile(r"[a-z0-9._*-]*")


class GlobInvalid(ValueError):
    """A glob that no repository can match, or that does not mean what it seems to. The text names the part."""


def placeable_name(name: str) -> str | None:
    """A name as a single path component of a repository name; None if it is not a valid one.

    A name with a `/`, a `*`, a capital or another character that no repository name can have matches no placeholder.
    """
    return name if "/" not in name and is_repository(name) else None


def match_pieces(pieces: Sequence[str], text: str) -> bool:
    """Whether a text consists of these pieces, two or more, with any text between them."""
    first, *middle, last = pieces
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        # The leftmost match is always right: it leaves the most text for the remaining pieces.
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


class Placeholder(NamedTuple):
    """A placeholder."""

    kind: str  # user, group, claims
    claim: str = ""  # the claim's name
    is_path: bool = False  # a value may have several segments
    domain: str = ""  # of a user: the domain after the @ of the names it applies to; "": whole names

    def values(self, caller: Principal) -> Collection[str]:
        """All values of the caller for it, placeable or not."""
        if caller.is_anonymous:
            return ()
        match self.kind:
            case "user":
                return () if (value := self.value_of(caller.name)) is None else (value,)
            case "group":
                return caller.groups
            case _:
                return claim_values(caller, self.claim)

    def value_of(self, name: str) -> str | None:
        """The value for a user of this name; None if the placeholder does not apply to such names."""
        ending = f"@{self.domain}" if self.domain else ""
        return name.removesuffix(ending) if name.endswith(ending) else None

    def name_of(self, value: str) -> str:
        """The name of the only user with this value."""
        return f"{value}@{self.domain}" if self.domain else value

    def is_placeable(self, caller: Principal) -> bool:
        """Whether any repository name can contain one of the values."""
        return any(is_repository(value) and (self.is_path or "/" not in value) for value in self.values(caller))

    def __str__(self) -> str:
        if self.claim:
            return f"{{claims.{self.claim}{':path' if self.is_path else ''}}}"
        return f"{{{self.kind}@{self.domain}}}" if self.domain else f"{{{self.kind}}}"


@dataclass(frozen=True, slots=True)
class _Segment:
    """One path segment of a glob: literal texts separated by stars, or by the one placeholder."""

    pieces: tuple[str, ...]  # one piece without stars and placeholder
    placeholder: Placeholder | None = None  # then there are two pieces

    def matches(self, text: str, caller: Principal) -> bool:
        if len(self.pieces) == 1:
            return text == self.pieces[0]
        if not match_pieces(self.pieces, text):
            return False
        if self.placeholder is None:
            return True
        value = text[len(self.pieces[0]) : len(text) - len(self.pieces[-1])]
        return value in self.placeholder.values(caller) and placeable_name(value) is not None


@dataclass(frozen=True, slots=True)
class Glob:
    """A parsed and validated pattern over repository names."""

    text: str
    _blocks: tuple[tuple[_Segment, ...], ...]  # runs of segments, separated by `**`
    placeholders: tuple[Placeholder, ...] = ()
    literal_head: str | None = None  # the first segment of every matching name; None: it varies
    literal_tail: str | None = None  # the last one, the same

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
        placeholders = tuple(segment.placeholder for block in blocks for segment in block if segment.placeholder)
        if sum(placeholder.is_path for placeholder in placeholders) > 1:
            raise GlobInvalid(f'"{text}" has two placeholders of several segments; allowed: one')
        head, tail = _literal(blocks[0][:1]), _literal(blocks[-1][-1:])
        return cls(text, tuple(map(tuple, blocks)), placeholders, head, tail)

    def for_user(self, name: str) -> "Glob | None":
        """The glob with the placeholder replaced for the user of this name; None if it matches nothing then."""
        users = [placeholder for placeholder in self.placeholders if placeholder.kind == "user"]
        text = self.text
        for placeholder in users:
            value = placeholder.value_of(name)
            if value is None or placeable_name(value) is None:
                return None
            text = text.replace(str(placeholder), value)
        if not users:
            return self
        return Glob.parse(text) if len(text) <= MAX_REPOSITORY_LENGTH else None

    def matches(self, repository: Sequence[str], caller: Principal) -> bool:
        """Whether a repository name, given as its segments, matches for a caller."""
        if not self.placeholders:
            return _match(self._blocks, repository, caller)
        if caller.is_anonymous:
            return False
        path = next((placeholder for placeholder in self.placeholders if placeholder.is_path), None)
        if path is None:
            return _match(self._blocks, repository, caller)
        # Compared as literal segments, so a value that no repository name can have matches nothing.
        return any(_match(self._with_path(value), repository, caller) for value in path.values(caller))

    def fillers(self, repository: Sequence[str]) -> Iterator[tuple[Placeholder, str]]:
        """The values that placeholders could have somewhere in this repository's name: a superset of the matches."""
        for segment in (segment for block in self._blocks for segment in block):
            if segment.placeholder is None:
                continue
            if segment.placeholder.is_path:
                ends = ((i, j) for i in range(len(repository)) for j in range(i + 1, len(repository) + 1))
                yield from ((segment.placeholder, "/".join(repository[i:j])) for i, j in ends)
            else:
                head, tail = segment.pieces
                fitting = (text for text in repository if match_pieces(segment.pieces, text))
                yield from ((segment.placeholder, text[len(head) : len(text) - len(tail)]) for text in fitting)

    def _with_path(self, value: str) -> tuple[tuple[_Segment, ...], ...]:
        literal = [_Segment((segment,)) for segment in value.split("/")]
        return tuple(
            tuple(
                placed
                for segment in block
                for placed in (literal if segment.placeholder and segment.placeholder.is_path else (segment,))
            )
            for block in self._blocks
        )

    def __str__(self) -> str:
        return self.text


def _literal(segment: Sequence[_Segment]) -> str | None:
    """The text of a segment that is literal; None for any other segment."""
    return segment[0].pieces[0] if segment and len(segment[0].pieces) == 1 else None


def _match(blocks: tuple[tuple[_Segment, ...], ...], repository: Sequence[str], caller: Principal) -> bool:
    first, *others = blocks
    if not others:
        return len(repository) == len(first) and _fits(first, repository, 0, caller)
    *middle, last = others
    end = len(repository) - len(last)
    if end < len(first) or not _fits(first, repository, 0, caller) or not _fits(last, repository, end, caller):
        return False
    at = len(first)
    for block in middle:
        # Leftmost again, one level up.
        places = (i for i in range(at, end - len(block) + 1) if _fits(block, repository, i, caller))
        found = next(places, None)
        if found is None:
            return False
        at = found + len(block)
    return True


def _fits(block: tuple[_Segment, ...], repository: Sequence[str], at: int, caller: Principal) -> bool:
    # A plain loop: most blocks are one segment, and this is the hot path of a decision.
    for i, segment in enumerate(block, at):  # noqa: SIM110
        if not segment.matches(repository[i], caller):
            return False
    return True


def _parse_segment(text: str) -> _Segment:
    if text == "":
        raise GlobInvalid("an empty path segment; allowed: segments with one / between each two")
    found = [_parse_placeholder(placeholder) for placeholder in PLACEHOLDER.findall(text)]
    literal = PLACEHOLDER.sub("", text)
    if _CHARACTERS.fullmatch(literal) is None:
        raise GlobInvalid(f'no repository name can contain "{text}"; allowed: a-z 0-9 . _ - / and *, **, placeholders')
    if "**" in literal:
        raise GlobInvalid(f'"{text}" has ** beside other text; allowed: ** as a whole path segment, or one *')
    if found and "*" in text:
        # Otherwise `{user}-*` would give bob the repositories of bob-smith.
        raise GlobInvalid(f'"{text}" has {found[0]} and * in one path segment; allowed: each in a segment of its own')
    if len(found) > 1:
        raise GlobInvalid(f'"{text}" has two placeholders in one path segment; allowed: one')
    if "*" not in text and placeable_name(PLACEHOLDER.sub("x", text)) is None:
        raise GlobInvalid(
            f'"{text}" is not a path segment of a repository name; '
            "allowed: letters and digits, with one . or _, two _ or any number of - between them"
        )
    if not found:
        return _Segment(tuple(text.split("*")))
    if found[0].is_path and literal:
        raise GlobInvalid(f'"{text}" has text beside {found[0]}, which can be several segments; allowed: it alone')
    return _Segment(tuple(PLACEHOLDER.split(text)), found[0])


def _parse_placeholder(text: str) -> Placeholder:
    match = _KNOWN.fullmatch(text)
    if match is None:
        raise GlobInvalid(f"{text} is not a known placeholder; allowed: {', '.join(PLACEHOLDERS)}")
    if match["claim"]:
        return Placeholder("claims", match["claim"], match["path"] is not None)
    return Placeholder("user", domain=match["domain"] or "") if match["user"] else Placeholder("group")
