"""What a request may do beyond its token: decided when it is served, by the current rules.

A token's scope names repositories. Rules about single tags, about the first push to a repository and about moving a tag
need facts that only the registry knows, so the registry asks for the decision. An ASGI scope without permissions has no
such rule: everything is allowed.
"""

from typing import Literal, Protocol, TypeAlias

from authproxy.access import Access
from authproxy.errors import Denied
from authproxy.reference import Tag

# The requested action. `create` and `overwrite` are parts of a push: the first to a repository, one that moves a tag.
Verb: TypeAlias = Literal["pull", "push", "delete", "create", "overwrite"]

# Key in a scope.
PERMISSIONS = "authproxy.permissions"


class RefusedByRule(Exception):
    """The cause of a Denied: the decision and the policies' reason. Clients never see it."""

    def __init__(self, access: Access, tag: Tag | None, *, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.access = access
        self.tag = tag
        self.rule = rule  # file, line and name; "" if no rule decided


class Permissions(Protocol):
    """The permissions of one caller, by the rules at the moment of the call."""

    def concern(self, verb: Verb) -> bool:
        """Whether any rule could refuse this verb in the request's repository. Cheap."""

    def refusal(self, verb: Verb, tag: Tag | None = None) -> Denied | None:
        """The error if the caller may not do this in the request's repository; None if they may. `create` has no tag.

        The cause of the error is a RefusedByRule.
        """

    def shows_repository(self, name: str) -> bool:
        """Whether the caller may pull from this repository, and so may see its name in the catalog."""

    def shows_tag(self, tag: str) -> bool:
        """Whether the caller may pull this tag of the request's repository, and so may see it in a list."""

    def shows_every_tag(self) -> bool:
        """Whether that holds for each tag that there may be: nothing in the repository is hidden from the caller."""
