"""Deleting by retention: through the trash, only what the decision was about, and not what was pushed since."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from authproxy.digest import Digest
from authproxy.reference import Repository, Tag
from authproxy.registry import deleter
from authproxy.registry.deletions import Deletions
from authproxy.registry.history import pushes_of
from authproxy.registry.tags import Tags
from authproxy.storage.driver import Driver

# Manifests that are deleted together: the record of their deletion names all, and each push to the repository reads it.
BATCH = 1000

# Who deletes, as the trash records it.
BY = "retention"


class KnownTag(NamedTuple):
    """A tag as the decision knew it."""

    tag: Tag
    digest: Digest  # that its link holds
    stored: Digest  # under which the manifest is stored
    pushes: int  # of this manifest to this tag


class RetentionDeleter(Protocol):
    """Deletes durably, so that it can be restored."""

    async def delete_tag(self, repository: Repository, tag: KnownTag, why: str) -> bool:
        """Remove a tag. False: it points elsewhere, or it was pushed since: then it stays."""

    async def delete_manifests(
        self, repository: Repository, manifests: Sequence[deleter.UntaggedManifest]
    ) -> set[Digest]:
        """Remove manifests, each after those that name it. Returns those that are gone: others are needed."""


class StoreDeleter:
    """Deletes from the repositories of one driver."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._through = deleter.Deleter(driver, Tags(driver, max_page=1), Deletions(driver))

    async def delete_tag(self, repository: Repository, tag: KnownTag, why: str) -> bool:
        """See RetentionDeleter."""
        pushes = await pushes_of(self._driver, repository, tag.stored)
        known = [push for push in pushes if push.tag == tag.tag]
        if len(known) != tag.pushes:
            return False
        reason = deleter.Reason(BY, why)
        return await self._through.delete_tag(repository, tag.tag, reason, expected=tag.digest, known=known)

    async def delete_manifests(
        self, repository: Repository, manifests: Sequence[deleter.UntaggedManifest]
    ) -> set[Digest]:
        """See RetentionDeleter. One look is for a batch; if one of it is needed, by halves, so that the others go."""
        gone: set[Digest] = set()
        for first in range(0, len(manifests), BATCH):
            gone |= await self._delete(repository, manifests[first : first + BATCH])
        return gone

    async def _delete(self, repository: Repository, manifests: Sequence[deleter.UntaggedManifest]) -> set[Digest]:
        try:
            return await self._through.delete_untagged(repository, manifests)
        except deleter.InUse:
            if len(manifests) == 1:
                return set()
        middle = len(manifests) // 2
        gone = await self._delete(repository, manifests[:middle])
        return gone | await self._delete(repository, manifests[middle:])
