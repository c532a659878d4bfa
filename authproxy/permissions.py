"""What a request may do beyond what its token says: decided where it is served, by the rules in force.

A token's scope speaks of repositories. Rules about single tags, about the first push to a repository and about moving a
tag need what only the registry knows, so it asks. In a scope without permissions there is no such rule: all is allowed.
"""

from typing import Literal, Protocol, TypeAlias

from authproxy.access import Access
from authproxy.errors import Denied
from authproxy.reference import Tag

# What is asked. `create` and `overwrite` are parts of a push: the first to a repository, one that moves a tag.
Verb: TypeAlias = Literal["pull", "push", "delete", "create", "overwrite"]

# Key in a scope.
PERMISSIONS = "authproxy.permissions"


class RefusedByRule(Exception):
    """The cause of a Denied: what was decided, and why, in the words of the policies. No client sees it."""

    def __init__(self, access: Access, tag: Tag | None, *, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.access = access
        self.tag = tag
        self.rule = rule  # file, line and name; "" where none decided


class Permissions(Protocol):
    """Those of one caller, as the rules are at the moment of asking."""

    def concern(self, verb: Verb) -> bool:
        """Whether any rule could refuse this verb in the repository that the request names; it is quick to tell."""

    def refusal(self, verb: Verb, tag: Tag | None = None) -> Denied | None:
        """Why the caller may not, in the repository that the request names; None: they may. `create` has no tag.

        Its cause is the RefusedByRule.
        """

    def shows_repository(self, name: str) -> bool:
        """Whether the caller may pull from this repository, and so see its name in the catalog."""

    def shows_tag(self, tag: str) -> bool:
        """Whether the caller may pull this tag of the repository that the request names, and so see it in a list."""
