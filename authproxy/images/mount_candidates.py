"""Which repositories of a registry have which blobs, so that others can mount them without a transfer."""

import asyncio
from collections import defaultdict

from authproxy.digest import Digest


class MountCandidates:
    """Repositories of one registry by the blobs that they have, learned during one command."""

    def __init__(self) -> None:
        self._repositories: dict[Digest, str] = {}
        self._locks: defaultdict[Digest, asyncio.Lock] = defaultdict(asyncio.Lock)

    def learn(self, digest: Digest, repository: str) -> None:
        """Record that a repository has a blob."""
        self._repositories.setdefault(digest, repository)

    def find(self, digest: Digest) -> str | None:
        """A repository that has the blob, if known."""
        return self._repositories.get(digest)

    def lock(self, digest: Digest) -> asyncio.Lock:
        """See MountingDestination."""
        return self._locks[digest]
