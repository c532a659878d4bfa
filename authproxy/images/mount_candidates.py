"""Where in one registry blobs are known to be, so that a repository beside gets them without a transfer."""

import asyncio
from collections import defaultdict

from authproxy.digest import Digest


class MountCandidates:
    """What the images of one command have taught about a registry's repositories."""

    def __init__(self) -> None:
        self._places: dict[Digest, str] = {}
        self._locks: defaultdict[Digest, asyncio.Lock] = defaultdict(asyncio.Lock)

    def learn(self, digest: Digest, repository: str) -> None:
        """A repository has a blob."""
        self._places.setdefault(digest, repository)

    def find(self, digest: Digest) -> str | None:
        """A repository that has it."""
        return self._places.get(digest)

    def lock(self, digest: Digest) -> asyncio.Lock:
        """See MountingDestination."""
        return self._locks[digest]
