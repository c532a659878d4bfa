"""Containment and overlap of globs and of subject keys. Sound, not complete.

`covers` is True only if it is certain that the outer glob matches everything that the inner one does, for every caller.
`may_meet` is False only if it is certain that no repository matches both for one caller. Tools use these to compare
rules; decisions never do.

Globs are compared as texts, segment by segment. A star or placeholder of the inner glob is a special letter that only a
star, or the same placeholder, matches: what is true of it is true of all its values.
"""

from functools import cache

from authproxy.policy.glob import PLACEHOLDER, Glob, match_pieces, placeable_name
from authproxy.policy.model import ANONYMOUS, ANY_ROBOT, EVERYONE, SIGNED_IN, SubjectKey

# The kinds of subject keys with one name.
NAMED = ("user", "robot")

_ANY_SEGMENTS = "**"
_STAR_LETTER = "\0"
_PRIVATE = 0xE000  # Unicode's private use area: no glob can contain it


def covers(outer: Glob, inner: Glob) -> bool:
    """Whether `outer` matches everything that `inner` does, for every caller."""
    wide, narrow = _segments(outer), _segments(inner)
    if not any(map(_is_several, wide)):
        return len(wide) == len(narrow) and all(map(text_covers, wide, narrow))

    @cache
    def rest_covers(i: int, j: int) -> bool:
        if i == len(wide):
            return j == len(narrow)
        if wide[i] == _ANY_SEGMENTS:
            return rest_covers(i + 1, j) or (j < len(narrow) and rest_covers(i, j + 1))
        return j < len(narrow) and text_covers(wide[i], narrow[j]) and rest_covers(i + 1, j + 1)

    return rest_covers(0, 0)


def may_meet(one: Glob, other: Glob) -> bool:
    """Whether some repository could match both for one caller."""
    left, right = _segments(one), _segments(other)
    if not any(map(_is_several, left)) and not any(map(_is_several, right)):
        return len(left) == len(right) and all(map(texts_may_meet, left, right))

    @cache
    def rest_meets(i: int, j: int) -> bool:
        if i < len(left) and _is_several(left[i]):
            return rest_meets(i + 1, j) or (j < len(right) and rest_meets(i, j + 1))
        if j < len(right) and _is_several(right[j]):
            return rest_meets(i, j + 1) or (i < len(left) and rest_meets(i + 1, j))
        if i == len(left) or j == len(right):
            return i == len(left) and j == len(right)
        return texts_may_meet(left[i], right[j]) and rest_meets(i + 1, j + 1)

    return rest_meets(0, 0)


def text_covers(outer: str, inner: str) -> bool:
    """The same for single path segments, or for globs over tags."""
    if _is_several(inner):
        return inner == outer
    pieces = _opaque(outer).split("*")
    text = _opaque(inner).replace("*", _STAR_LETTER)
    return text == pieces[0] if len(pieces) == 1 else match_pieces(pieces, text)


def texts_may_meet(one: str, other: str) -> bool:
    """The same for single path segments, or for globs over tags."""
    left, right = (PLACEHOLDER.sub("*", segment) for segment in (one, other))
    if "*" not in left and "*" not in right:
        return left == right
    head, other_head = left.partition("*")[0], right.partition("*")[0]
    tail, other_tail = left.rpartition("*")[2], right.rpartition("*")[2]
    return (head.startswith(other_head) or other_head.startswith(head)) and (
        tail.endswith(other_tail) or other_tail.endswith(tail)
    )


def key_covers(outer: SubjectKey, inner: SubjectKey) -> bool:
    """Whether every caller with `inner` has `outer` too."""
    if outer in (inner, EVERYONE):
        return True
    if inner.kind == "robot" and outer in (ANY_ROBOT, SubjectKey("user", inner.name)):
        return True
    return outer == SIGNED_IN and inner not in (ANONYMOUS, EVERYONE)


def keys_may_meet(one: SubjectKey, other: SubjectKey) -> bool:
    """Whether a caller could have both."""
    if one.kind in NAMED and other.kind in NAMED:
        return one.name == other.name
    pair = {one, other}
    return not (ANONYMOUS in pair and not pair <= {ANONYMOUS, EVERYONE})


def glob_for(glob: Glob, key: SubjectKey) -> Glob | None:
    """The glob for the callers of a key, with a user's name filled in; None if it matches nothing."""
    if key == ANONYMOUS and glob.placeholders:
        return None
    return glob.for_user(key.name) if key.kind in NAMED else glob


def is_matchable(glob: Glob) -> bool:
    """Whether any repository name can match: none can match a segment such as `.*`."""
    # The letter x fits between any two texts where anything fits.
    plain = (PLACEHOLDER.sub("x", segment).replace("*", "x") for segment in _segments(glob) if segment != _ANY_SEGMENTS)
    return all(placeable_name(segment) is not None for segment in plain)


def _is_several(segment: str) -> bool:
    """Whether it can match several segments: `**`, or a path placeholder."""
    return segment == _ANY_SEGMENTS or segment.endswith(":path}")


def _segments(glob: Glob) -> tuple[str, ...]:
    return tuple(glob.text.split("/"))


def _opaque(segment: str) -> str:
    # A letter of a placeholder's name must never count as the same letter of a text.
    return PLACEHOLDER.sub(lambda match: "".join(chr(_PRIVATE + ord(c)) for c in match[0]), segment)
