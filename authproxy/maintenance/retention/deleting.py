"""Deleting by retention: through the trash, only what the decision was about, and not what was pushed since."""

from typing import Protocol

from authproxy.digest import Digest
from authproxy.reference import Repository, Tag
from authproxy.registry import deleter
from authproxy.registry.history import pushes_of
from authproxy.storage import layout
from authproxy.storage.driver import Driver

# Who deletes, as the trash records it.
BY = "retention"


class RetentionDeleter(Protocol):
    """Deletes durably, so that it can be restored."""

    async def delete_tag(self, repository: Repository, tag: Tag, expected: Digest, pushes: int, why: str) -> bool:
        """Remove a tag that points at `expected`. False: it does not, or it was pushed since: then it stays.

        `pushes`: how many pushes of this manifest to the tag the decision knew.
        """

    async def delete_manifest(self, repository: Repository, names: tuple[Digest, ...], why: str) -> bool:
        """Remove a manifest that the repository holds by these digests. False: a tag or a manifest needs it."""


class StoreDeleter:
    """Deletes from the repositories of one driver."""

    def __init__(self, driver: Driver, through: deleter.Deleter) -> None:
        self._driver = driver
        self._through = through

    async def delete_tag(self, repository: Repository, tag: Tag, expected: Digest, pushes: int, why: str) -> bool:
        """See RetentionDeleter."""
        known = [push for push in await pushes_of(self._driver, repository, expected) if push.tag == tag]
        if len(known) != pushes:
            return False
        reason = deleter.Reason(BY, why)
        return await self._through.delete_tag(repository, tag, reason, expected=expected, known=known)

    async def delete_manifest(self, repository: Repository, names: tuple[Digest, ...], why: str) -> bool:
        """See RetentionDeleter."""
        [content] = await self._driver.read([layout.blob(names[0])], fresh=True)
        if content is None:
            return False
        try:
            return await self._through.delete_manifest(
                repository, names, content, deleter.Reason(BY, why), unless_tagged=True
            )
        except deleter.InUse:
            return False
