"""Globs over tags: `*` matches any text, including none; everything else matches itself.

OCI Distribution 1.1, "Pulling manifests", has the grammar of tags: at most 128 letters, digits, `.`, `_` and `-`, and
no leading dot or dash. Matching is case-sensitive. A tag has no slash, so `*` matches everything.
"""

import re
from dataclasses import dataclass
from typing import Self

from authproxy.policy.glob import GlobInvalid, match_pieces

MAX_LENGTH = 128

_TAG_GLOB = re.compile(r"[a-zA-Z0-9_*][a-zA-Z0-9._*-]*")


@dataclass(frozen=True, slots=True)
class TagGlob:
    """A parsed and validated pattern over tags."""

    text: str
    _pieces: tuple[str, ...]  # the literal texts between the stars

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a glob. Raises GlobInvalid."""
        if _TAG_GLOB.fullmatch(text) is None or len(text.replace("*", "")) > MAX_LENGTH:
            raise GlobInvalid(
                f'no tag can be "{text}"; allowed: up to {MAX_LENGTH} of a-z A-Z 0-9 . _ - that begin with none of'
                " . and -, and * for any text; there are no placeholders in tags"
            )
        if "**" in text:
            raise GlobInvalid(f'"{text}" has two stars together; allowed: one *, which is any text in a tag')
        return cls(text, tuple(text.split("*")))

    def matches(self, tag: str) -> bool:
        """Whether a tag matches."""
        return tag == self.text if len(self._pieces) == 1 else match_pieces(self._pieces, tag)

    def __str__(self) -> str:
        return self.text
