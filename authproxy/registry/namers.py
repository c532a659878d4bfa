"""The manifests of a repository that name a digest: what they need can't be deleted.

There is no index of names, so the manifests are read. Which of them are indexes is remembered for the repository of the
last deletion: a cleanup deletes one manifest after the other, and most manifests are images, which name no manifest.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from collections.abc import Set as AbstractSet

from authproxy.digest import HEX_LENGTH, Digest, parse_names
from authproxy.oci.dependencies import Dependencies, read_dependencies
from authproxy.reference import Repository
from authproxy.registry.links import each_manifest
from authproxy.storage import layout
from authproxy.storage.driver import Driver, list_all

# Manifests that are looked up together.
BATCH = 64


class Namers:
    """Finds the manifests that name others, or blobs, past every cache that could hide a new one."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._repository: Repository | None = None
        self._images: set[str] = set()  # hex digits of this repository's manifests that name no manifest

    async def of_manifest(self, repository: Repository, names: Collection[Digest]) -> Digest | None:
        """An index that names a manifest, given all its digests. None: there is none."""
        if repository != self._repository:
            self._repository, self._images = repository, set()
        images = self._images
        async for digest, content in self._contents(repository, self._revisions(repository, but=images)):
            named = read_dependencies(content).manifests if _may_be_index(content) else frozenset()
            if digest not in names and not named.isdisjoint(names):
                return digest
            if not named:
                images.add(digest.hex)
        return None

    async def of_blob(self, repository: Repository, names: Collection[Digest]) -> Digest | None:
        """A manifest that needs a blob, given all its digests. None: there is none.

        An index that names the blob among its manifests counts too: BuildKit keeps its cache so.
        """
        async for digest, content in self._contents(repository, self._revisions(repository)):
            if _may_name(content, names) and _names(read_dependencies(content), names):
                return digest
        return None

    async def _contents(
        self, repository: Repository, revisions: AsyncIterator[Sequence[Digest]]
    ) -> AsyncIterator[tuple[Digest, bytes]]:
        async for batch in revisions:
            for first in range(0, len(batch), BATCH):
                async for found in each_manifest(self._driver, repository, batch[first : first + BATCH], fresh=True):
                    yield found

    async def _revisions(
        self, repository: Repository, but: AbstractSet[str] = frozenset()
    ) -> AsyncIterator[Sequence[Digest]]:
        """All but those with these hex digits, in batches."""
        for algorithm in HEX_LENGTH:
            async for names in list_all(self._driver, layout.revisions(repository, algorithm)):
                yield parse_names(algorithm, set(names) - but)
                await asyncio.sleep(0)  # lists from memory don't suspend


def _may_be_index(content: bytes) -> bool:
    """Whether parsing is worth while: the key is there as it is, or something is written with escapes."""
    return b'"manifests"' in content or b"\\" in content


def _may_name(content: bytes, names: Collection[Digest]) -> bool:
    """Whether parsing is worth while: the digits are there as they are, or something is written with escapes."""
    return b"\\" in content or any(name.hex.encode() in content for name in names)


def _names(needs: Dependencies, names: Collection[Digest]) -> bool:
    return not needs.blobs.isdisjoint(names) or not needs.manifests.isdisjoint(names)
