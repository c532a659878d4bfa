r"""Regular expressions simple enough to be parsed as shapes: `^team/.*$`, `^(dev|prod)/[^/]+$`, `.+`.

    ^ $ \A \z              anchors, only at the ends; without an anchor any text may be there
    .* .+ [^/]* [^/]+      wildcards
    (a|b) (?:a|b)          alternatives, each literal
    \. \- \/               the character itself
    other                  letters, digits and characters without a special meaning

Any other expression has no shape and stays a regular expression.
"""

import re
from collections.abc import Iterator

from authproxy.importing.shapes import Shape, Token, Wild, join

# Alternatives multiply. Past this bound the expression is easier to read.
MAX_SHAPES = 24

_TOKEN = re.compile(
    r"""(?P<wild>\.\*|\.\+|\[\^/\]\*|\[\^/\]\+|\[\^\\/\]\*|\[\^\\/\]\+)
      | \((?:\?:)?(?P<alternatives>(?:[A-Za-z0-9_/@ -]|\\[^A-Za-z0-9])+(?:\|(?:[A-Za-z0-9_/@ -]|\\[^A-Za-z0-9])+)*)\)
      | (?P<literal>(?:[^\\.+*?()|\[\]{}^$]|\\[^A-Za-z0-9])+)
    """,
    re.VERBOSE,
)
_WILD = {
    ".*": Wild.ANY,
    ".+": Wild.SOME,
    "[^/]*": Wild.STAR,
    "[^/]+": Wild.PLUS,
    "[^\\/]*": Wild.STAR,
    "[^\\/]+": Wild.PLUS,
}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ALTERNATIVE = re.compile(r"(?:[^\\|]|\\.)+", re.DOTALL)


def parse_plain_regex(text: str) -> tuple[Shape, ...] | None:
    """The shapes that together match the same as an expression, which is searched; None if it is not that simple."""
    body = text.removeprefix("^") if text.startswith("^") else text.removeprefix("\\A")
    is_open_left = body == text
    is_open_right = True
    for anchor in ("$", "\\z"):
        # A backslash before the anchor makes it a literal dollar, or a backslash and a z.
        if is_open_right and body.endswith(anchor) and not _ends_escaped(body.removesuffix(anchor)):
            body, is_open_right = body.removesuffix(anchor), False
    sequences = _sequences(body)
    if sequences is None:
        return None
    left: list[Token] = [Wild.ANY] if is_open_left else []
    right: list[Token] = [Wild.ANY] if is_open_right else []
    return tuple(_merged(join([*left, *sequence, *right])) for sequence in sequences)


def _ends_escaped(text: str) -> bool:
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def _sequences(body: str) -> list[list[Token]] | None:
    sequences: list[list[Token]] = [[]]
    at = 0
    while at < len(body):
        found = _TOKEN.match(body, at)
        if found is None or body[found.end() : found.end() + 1] in ("*", "+", "?", "{"):
            # A quantifier after a literal applies to its last character only.
            return None
        at = found.end()
        choices = list(_choices(found))
        if len(sequences) * len(choices) > MAX_SHAPES:
            return None
        sequences = [[*sequence, choice] for sequence in sequences for choice in choices]
    return sequences


def _choices(found: re.Match[str]) -> Iterator[Token]:
    if found["wild"]:
        yield _WILD[found["wild"]]
    elif found["literal"]:
        yield _ESCAPED.sub(r"\1", found["literal"])
    else:
        yield from (_ESCAPED.sub(r"\1", text) for text in _ALTERNATIVE.findall(found["alternatives"]))


def _merged(shape: Shape) -> Shape:
    """Merge adjacent wildcards: two become one, of at least one character if either is."""
    merged: list[Token] = []
    for token in shape:
        before = merged[-1] if merged else None
        if token in (Wild.ANY, Wild.SOME) and before in (Wild.ANY, Wild.SOME):
            # Two of at least one character would be two or more characters, which no shape expresses.
            if token is before is Wild.SOME:
                merged.append(token)
            else:
                merged[-1] = Wild.SOME if Wild.SOME in (token, before) else Wild.ANY
        else:
            merged.append(token)
    return tuple(merged)
