"""Patterns of docker_auth: over accounts, names, types, services and label values.

A text that begins and ends with a slash is a regular expression, which is searched; any other text is a glob. Variables
such as `${account}` are substituted first. A pattern that our rules cannot express raises `Inexpressible`, and its
entry is not imported.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from authproxy.config.document.regex import Compiled, compile_pattern
from authproxy.importing.docker_auth.path_match import Malformed, parse_path_match
from authproxy.importing.plain_regex import parse_plain_regex
from authproxy.importing.shapes import (
    LocalPart,
    Shape,
    Token,
    Wild,
    has_placeholder,
    is_literal,
    is_placeholder,
    join,
    literal_of,
    quote,
    to_regex,
)

_PLACEHOLDER = re.compile(r"\$\{(?P<name>account|type|name|service|labels:(?P<label>[^{}]+)|[^{}]+:[0-9]+)\}")
# Letters of Unicode's private use area represent placeholders while a pattern is parsed.
_LETTERS = {"\ue000": Wild.USER, "\ue001": Wild.GROUP}
_LOCAL_PART = "\ue002"
_LETTER = re.compile("([\ue000\ue001\ue002])")
# The pattern of an account whose first group is the part before one domain.
_OF_A_DOMAIN = re.compile(r"/\^\([^()]+\)@(?P<domain>(?:[A-Za-z0-9-]|\\?\.)+)\$/")
_LEAST_REGEX = 3  # characters: `//` is a glob


class Inexpressible(ValueError):
    """Something that our rules cannot express. The text says what and why."""


@dataclass(frozen=True)
class Pattern:
    """A parsed pattern: its shapes if it is simple enough, else its regular expression."""

    text: str  # as written
    shapes: tuple[Shape, ...] | None  # a text matches if any shape does; () matches nothing
    regex: str | None  # RE2, searched; None if it contains a placeholder

    @cached_property
    def _compiled(self) -> Compiled:
        assert self.regex is not None
        return compile_pattern(self.regex)

    def matches(self, text: str) -> bool:
        """Whether a text matches. Only for a pattern without placeholders."""
        return self._compiled.search(text) is not None

    @property
    def has_placeholder(self) -> bool:
        """Whether it depends on the caller."""
        return self.regex is None

    @cached_property
    def literals(self) -> frozenset[str] | None:
        """The texts that it matches if they are finitely many; None if not."""
        if self.shapes is None:
            return None
        texts = [literal_of(shape) for shape in self.shapes]
        return None if None in texts else frozenset(text for text in texts if text is not None)

    @property
    def is_everything(self) -> bool:
        """Whether it matches every account: account names have no slash."""
        return self.shapes is not None and not {(Wild.ANY,), (Wild.STAR,)}.isdisjoint(self.shapes)

    @property
    def is_nonempty(self) -> bool:
        """Whether it matches every account except the empty one, which is the anonymous caller."""
        return self.shapes is not None and set(self.shapes) <= {(Wild.SOME,), (Wild.PLUS,)} and bool(self.shapes)

    def placed(self, placeholder: Wild, text: str) -> Self:
        """The pattern with a text in place of a placeholder; for a user name also in place of its local part."""
        if self.shapes is None or not any(map(has_placeholder, self.shapes)):
            return self

        def filled(token: Token) -> Token:
            if token is placeholder:
                return text
            if isinstance(token, LocalPart) and placeholder is Wild.USER:
                return token if (value := token.of(text)) is None else value
            return token

        shapes = tuple(join(map(filled, shape)) for shape in self.shapes)
        return type(self)(self.text, shapes, _to_search(shapes))

    def needs(self, text: str) -> bool:
        """Whether every match is certain to contain this text."""
        return self.shapes is not None and all(
            any(is_literal(token) and text in str(token) for token in shape) for shape in self.shapes
        )


def exactly(text: str) -> Pattern:
    """The pattern that matches one text."""
    return Pattern(text, ((text,),) if text else ((),), f"^{quote(text)}$")


def domain_of(account: str) -> str | None:
    """The domain of the accounts with the local part `${account:1}`: `/^(.+)@example.org$/`; None: no domain."""
    found = _OF_A_DOMAIN.fullmatch(account)
    return found["domain"].replace("\\", "") if found else None


def parse_pattern(text: str, *, known: Mapping[str, str], domain: str | None = None) -> Pattern:
    """Parse a pattern; `known` has the known values of `${type}` and `${service}`.

    `domain` is the domain of accounts whose local part is `${account:1}`, if that is what it means.

    Raises Inexpressible, and ValueError for a regular expression that docker_auth itself would refuse.
    """
    filled = _with_letters(text, known, domain)
    is_regex = len(filled) >= _LEAST_REGEX and filled[0] == filled[-1] == "/"
    if is_regex and not _LETTER.search(filled):
        compile_pattern(filled[1:-1])
        return Pattern(text, parse_plain_regex(filled[1:-1]), filled[1:-1])
    if is_regex:
        shapes = parse_plain_regex(filled[1:-1])
        if shapes is None:
            raise Inexpressible(f'"{text}" has a placeholder within a regular expression that is not simple enough')
    else:
        try:
            shapes = (parse_path_match(filled),)
        except Malformed:
            return Pattern(text, (), _NOTHING)
    shapes = tuple(_with_placeholders(shape, domain) for shape in shapes)
    wanted = len(_LETTER.findall(filled))
    if any(sum(map(is_placeholder, shape)) != wanted for shape in shapes):
        raise Inexpressible(f'"{text}" has a placeholder where only literal characters are possible')
    return Pattern(text, shapes, _to_search(shapes))


_NOTHING = r"[^\x00-\x{10FFFF}]"


def _to_search(shapes: tuple[Shape, ...]) -> str | None:
    if any(has_placeholder(shape) for shape in shapes):
        return None
    if not shapes:
        return _NOTHING
    if len(shapes) == 1:
        return f"^{to_regex(shapes[0])}$"
    return f"^(?:{'|'.join(map(to_regex, shapes))})$"


def _with_letters(text: str, known: Mapping[str, str], domain: str | None) -> str:
    """The text with known values substituted, and a special letter for each placeholder of the caller."""
    if _LETTER.search(text):
        raise Inexpressible(f'"{text}" contains a letter of Unicode\'s private use area')
    # Substituted into a regular expression, a dot of the name would match any character.
    has_local_part = domain is not None and not text.startswith("/")
    for found in _PLACEHOLDER.finditer(text):
        if text[: found.start()].endswith("\\"):
            raise Inexpressible(f'"{text}" has a backslash before a placeholder')
        if found["name"] == "account:1" and has_local_part:
            continue
        if not found["label"] and found["name"] != "account" and found["name"] not in known:
            raise Inexpressible(f'"{text}" contains {found[0]}, {_WHY.get(found["name"], _CAPTURE)}')

    def letter(found: re.Match[str]) -> str:
        if found["label"]:
            return "\ue001"
        if found["name"] == "account:1":
            return _LOCAL_PART
        return "\ue000" if found["name"] == "account" else quote(known[found["name"]])

    return _PLACEHOLDER.sub(letter, text)


_WHY = {
    "name": "the requested name",
    "service": "the service of the tokens: give it with --service",
}
_CAPTURE = "a part of what another pattern matched"


def _with_placeholders(shape: Shape, domain: str | None) -> Shape:
    letters: dict[str, Token] = {**_LETTERS} if domain is None else {**_LETTERS, _LOCAL_PART: LocalPart(domain)}
    tokens: list[Token] = []
    for token in shape:
        if is_literal(token):
            tokens += [letters.get(part, part) for part in _LETTER.split(str(token))]
        else:
            tokens.append(token)
    return join(tokens)
