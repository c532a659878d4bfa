"""Labels of docker_auth as our groups.

A user of docker_auth has several values per label; our caller has groups. If the ACL uses only one label, its values
are the groups: `labels: {group: [admins]}` is the group admins. If it uses more, a group is `label:value`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from authproxy.importing.docker_auth.pattern import Pattern
from authproxy.importing.shapes import quote, to_regex


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels that an ACL uses."""

    used: frozenset[str]
    known: Mapping[str, frozenset[str]]  # the values of the file's own users
    are_all_known: bool  # no other source has labels
    has_anonymous: bool  # anonymous callers have labels

    @property
    def is_single(self) -> bool:
        """Whether a group is named by the value alone."""
        return len(self.used) == 1

    def group(self, label: str, value: str) -> str:
        """The group for a value."""
        return value if self.is_single else f"{label}:{value}"

    def groups_of(self, labels: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
        """The groups of a user with these labels, sorted, without labels that no entry uses."""
        return tuple(sorted({self.group(key, value) for key in labels if key in self.used for value in labels[key]}))

    def why_inexpressible(self, label: str, pattern: Pattern) -> str:
        """Why no rule can match the value; empty if one can."""
        if self.has_anonymous:
            return "callers without credentials have labels there, and are in no group here"
        if pattern.has_placeholder:
            return f"{pattern.text}: a placeholder"
        if not self.is_single and ":" in label:
            return "a colon in the name of a label"
        if not self.is_single and pattern.shapes is None:
            return f"{pattern.text}: a regular expression that is not simple enough for several labels"
        return ""

    def group_regex(self, label: str, pattern: Pattern) -> str:
        """A regular expression, searched, for the groups whose value matches."""
        if self.is_single:
            assert pattern.regex is not None
            return pattern.regex
        assert pattern.shapes is not None
        choices = "|".join(map(to_regex, pattern.shapes)) if pattern.shapes else r"[^\x00-\x{10FFFF}]"
        return f"^{quote(label)}:(?:{choices})$"
