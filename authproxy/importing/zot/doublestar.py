r"""Globs of zot, which uses the doublestar library (bmatcuk/doublestar, v4).

**         as a whole segment: any number of segments, including none; next to other text the same as *
*  ?       any text, one character, without a slash
[a-z]      one character of a class, [^a-z] and [!a-z] one outside of it
{a,b}      alternatives
\c         the character c
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from authproxy.config.document.regex import Compiled, compile_pattern
from authproxy.importing.docker_auth.pattern import Inexpressible
from authproxy.importing.shapes import quote
from authproxy.policy.glob import Glob, GlobInvalid
from authproxy.policy.glob_containment import is_matchable

_BRACES = re.compile(r"\{([^{}\\/*]*)\}")
# Classes that RE2 and doublestar read alike.
_CLASS = re.compile(r"\[([!^]?)((?:[A-Za-z0-9]-[A-Za-z0-9]|[A-Za-z0-9._])+-?)\]")
# A text, perhaps with stars, with a character that no repository name has, such as a capital.
_NO_NAME = re.compile(r"[^?\[\\]*[^a-z0-9._*/?\[\\-][^?\[\\]*")
_MAX_ALTERNATIVES = 50


@dataclass(frozen=True)
class ZotGlob:
    """A parsed glob. Creating one raises Inexpressible for unsupported syntax."""

    text: str
    regexes: tuple[str, ...]  # without anchors; a text matches if any of them does

    @classmethod
    def parse(cls, text: str) -> "ZotGlob":
        """Read a glob. Raises Inexpressible."""
        return cls(text, tuple(map(_to_regex, _alternatives(text))))

    @property
    def regex(self) -> str:
        """The glob as a regular expression, searched."""
        return f"^{self.regexes[0]}$" if len(self.regexes) == 1 else f"^(?:{'|'.join(self.regexes)})$"

    @cached_property
    def _compiled(self) -> Compiled:
        return compile_pattern(self.regex)

    def matches(self, repository: str) -> bool:
        """Whether a repository's name matches."""
        return self._compiled.search(repository) is not None

    @cached_property
    def globs(self) -> tuple[Glob, ...] | None:
        """Equivalent globs of ours; None if there are none."""
        globs: list[Glob] = []
        for text in _alternatives(self.text):
            if _NO_NAME.fullmatch(text) or "" in text.split("/"):
                continue
            try:
                glob = Glob.parse("/".join(map(_to_ours, text.split("/"))))
            except (GlobInvalid, Inexpressible):
                return None
            if is_matchable(glob):
                globs.append(glob)
        return tuple(globs)


def literal_head(text: str) -> str:
    """A literal prefix of every match."""
    return re.split(r"[*?\[{\\]", text, maxsplit=1)[0]


def _alternatives(text: str) -> list[str]:
    """The globs that braces expand to. Raises Inexpressible."""
    if any("{" in segment and "**" in segment for segment in text.split("/")):
        raise Inexpressible(f'"{text}" has alternatives next to **')
    texts = [text]
    while any(_BRACES.search(one) for one in texts):
        texts = [filled for one in texts for filled in _filled(one)]
        if len(texts) > _MAX_ALTERNATIVES:
            raise Inexpressible(f'"{text}" has more than {_MAX_ALTERNATIVES} alternatives')
    if any(c in one for one in texts for c in "{}"):
        raise Inexpressible(f'"{text}" has braces within braces, or with wildcards in them')
    return list(dict.fromkeys(texts))


def _filled(text: str) -> Iterator[str]:
    found = _BRACES.search(text)
    if found is None:
        yield text
        return
    for choice in found[1].split(","):
        yield text[: found.start()] + choice + text[found.end() :]


def _to_regex(text: str) -> str:
    parts = text.split("/")
    segments = [part for i, part in enumerate(parts) if part != "**" or parts[max(i - 1, 0) : i] != ["**"]]
    regex = ""
    for i, segment in enumerate(segments):
        is_last = i == len(segments) - 1
        if segment == "**" and is_last:
            regex = f"{regex.removesuffix('/')}(?:/.*)?" if i else ".*"
        elif segment == "**":
            regex += "(?:[^/]+/)*"
        else:
            regex += "".join(_segment(segment, text)) + ("" if is_last else "/")
    return regex


def _segment(segment: str, text: str) -> Iterator[str]:
    at = 0
    while at < len(segment):
        found = _CLASS.match(segment, at)
        if found is not None:
            yield f"[{'^' if found[1] else ''}{found[2]}]"
            at = found.end()
        elif segment[at] in "[\\":
            raise Inexpressible(f'"{text}" has a class or a backslash that is not supported here')
        else:
            yield {"*": "[^/]*", "?": "[^/]"}.get(segment[at], quote(segment[at]))
            at += 1


def _to_ours(segment: str) -> str:
    if segment == "**":
        return segment
    if any(c in segment for c in "?[\\"):
        raise Inexpressible(segment)
    return re.sub(r"\*+", "*", segment)
