"""The content of a backend, read without HTTP: one interface for our own core and for an upstream registry.

Tag protection and the merged catalog use it. `registry/content.py` implements it for the core, `proxy/content.py` for
an upstream. See docs/decisions/0058-ask-any-backend-for-its-content.md.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from typing import Protocol, TypeAlias

from authproxy.asgi import Scope
from authproxy.digest import Digest
from authproxy.reference import Tag

Reference: TypeAlias = Tag | Digest


class Content(Protocol):
    """The content of one backend. Every method raises the RegistryError of a backend that cannot answer."""

    async def has_repository(self, repository: str) -> bool:
        """Whether the repository exists."""

    async def find_names(self, repository: str, tag: Tag) -> Collection[Digest] | None:
        """The known digests of the manifest that a tag points at. None: there is no such tag.

        Empty if the tag exists, but the registry does not state the digest.
        """

    def tagged(self, repository: str) -> AsyncGenerator[Sequence[tuple[Tag, Reference]], None]:
        """All tags, in batches, each with a reference to its manifest.

        The reference is the digest if the backend knows it without another request, else the tag itself.
        """

    def read_manifests(
        self, repository: str, references: Iterable[Reference]
    ) -> AsyncGenerator[tuple[Reference, bytes], None]:
        """The bytes of each manifest, in order; empty for a missing one. Only a few are in memory at a time."""

    def repositories(self, after: str = "") -> AsyncGenerator[Sequence[str], None]:
        """The names of all repositories in bytewise order, in batches that are not empty.

        Contains every name greater than `after`; the first batch may contain smaller ones too.
        """


# The content of a backend, read on behalf of the client whose request has this scope.
ContentFor: TypeAlias = Callable[[Scope], Content]
