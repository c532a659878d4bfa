"""Labels of docker_auth as groups of ours.

A user has several values for a label; here a caller is in groups. Where the ACL speaks of one label alone its values
are the groups: `labels: {group: [admins]}` is the group admins. Where it speaks of more, a group is `label:value`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from authproxy.importing.docker_auth.pattern import Pattern
from authproxy.importing.shapes import quote, to_regex


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels that an ACL speaks of."""

    used: frozenset[str]
    known: Mapping[str, frozenset[str]]  # the values that the file's own users have
    are_all_known: bool  # no other source gives any
    has_anonymous: bool  # callers without credentials have some

    @property
    def is_single(self) -> bool:
        """Whether a group is named as the value alone."""
        return len(self.used) == 1

    def group(self, label: str, value: str) -> str:
        """The group that stands for a value."""
        return value if self.is_single else f"{label}:{value}"

    def groups_of(self, labels: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
        """The groups of a user with these labels, sorted; labels that no entry asks for are none."""
        return tuple(sorted({self.group(key, value) for key in labels if key in self.used for value in labels[key]}))

    def why_unsayable(self, label: str, pattern: Pattern) -> str:
        """Why no rule can ask for it, or nothing where one can."""
        if self.has_anonymous:
            return "callers without credentials have labels there, and are in no group here"
        if pattern.has_placeholder:
            return f"{pattern.text}: a placeholder"
        if not self.is_single and ":" in label:
            return "a colon in the name of a label"
        if not self.is_single and pattern.shapes is None:
            return f"{pattern.text}: a regular expression that is no plain one, where there are several labels"
        return ""

    def group_regex(self, label: str, pattern: Pattern) -> str:
        """The regular expression, searched, that says which groups have a value that matches."""
        if self.is_single:
            assert pattern.regex is not None
            return pattern.regex
        assert pattern.shapes is not None
        choices = "|".join(map(to_regex, pattern.shapes)) if pattern.shapes else r"[^\x00-\x{10FFFF}]"
        return f"^{quote(label)}:(?:{choices})$"
