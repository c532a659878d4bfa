"""Repair: links to content that is there, notes of referrers, and content that another registry still has.

It removes nothing, and links nothing that a record says was deleted. Fetched content is compared with its digest before
it takes the place of anything.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID, uuid4

from authproxy.digest import Digest
from authproxy.errors import ManifestInvalid, Unavailable
from authproxy.maintenance.verify.contents import Sound, check_content, reason_of
from authproxy.maintenance.verify.findings import Finding, Kind, shown
from authproxy.maintenance.verify.hit import MAX_DEPTH, Hit, find_hit
from authproxy.maintenance.verify.repository import read_manifest
from authproxy.maintenance.verify.throttle import Throttle
from authproxy.maintenance.verify.verification import Verified
from authproxy.reference import Repository
from authproxy.registry.deletions import Deletions
from authproxy.registry.links import stored_manifests, to_link
from authproxy.registry.promises import Promises
from authproxy.registry.quarantine import release
from authproxy.registry.referrers import make_entry, to_note
from authproxy.registry.trash import Trash
from authproxy.storage import layout
from authproxy.storage.driver import Driver
from authproxy.storage.layout import StorePath

CONTENT = frozenset({Kind.CONTENT_DAMAGED, Kind.CONTENT_MISSING})
LINKS = frozenset({Kind.LINK_MISSING, Kind.LINK_DAMAGED, Kind.REFERRER_UNLISTED})


class NotRepaired(Exception):
    """Why a finding stays: one clause."""


class Source(Protocol):
    """Another registry."""

    def content(self, repository: str, digest: Digest, size: int | None) -> AsyncGenerator[bytes, None]:
        """The bytes of a manifest (`size` None), or of a blob of `size` bytes. Raises NotRepaired."""


class DeletedContent(Protocol):
    """What was deleted, and must not come back by itself."""

    async def __call__(self, repository: Repository, digest: Digest) -> bool:
        """Whether a record says that this was deleted from the repository, or is being deleted."""


class DeletionRecords:
    """See DeletedContent: by the trash, and by the deletions that are under way."""

    def __init__(self, driver: Driver) -> None:
        self._deletions = Deletions(driver)
        self._trash = Trash(driver)

    async def __call__(self, repository: Repository, digest: Digest) -> bool:
        """See DeletedContent. Raises RecordUnreadable: then nothing is known."""
        if await self._deletions.is_under_way(repository, digest):
            return True
        async for deleted in self._trash.of(repository):
            links = deleted.links
            # A deleted manifest's blobs are in its record too; a kept manifest still needs them.
            if digest in links.revisions or (digest in links.layers and not links.revisions):
                return True
        return False


class Repair:
    """Repairs what a verification has found."""

    def __init__(
        self,
        driver: Driver,
        source: Source | None = None,
        *,
        is_deleted: DeletedContent | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], UUID] = uuid4,
    ) -> None:
        self._driver = driver
        self._source = source
        self._is_deleted: DeletedContent = is_deleted or DeletionRecords(driver)
        self._now = now
        self._new_id = new_id
        self._promises = Promises(driver)
        self._fetched: set[Digest] = set()

    async def repair(self, verified: Verified, told: Callable[[Finding, str | None], None]) -> bool:
        """Repair what can be repaired, and mark it in the position. `told` gets each, and why it stays.

        True: a manifest came back, and what it needs was not looked at before.
        """
        has_manifests = False
        hits: Mapping[tuple[Digest, str], Hit] = verified.hits
        # Content first: a link is written only to sound content. A manifest that is back says who needs the rest.
        for _ in range(MAX_DEPTH):
            fetched = await self._repair_all(verified.position.findings, hits, CONTENT, told) if self._source else []
            if not any(hit.is_manifest for (digest, _), hit in hits.items() if digest in fetched):
                break
            has_manifests = True
            rest = [one.digest for one in verified.position.findings if one.kind in CONTENT and not one.is_repaired]
            hits = await find_hit(self._driver, {digest for digest in rest if digest is not None})
        await self._repair_all(verified.position.findings, hits, LINKS, told)
        return has_manifests

    async def _repair_all(
        self,
        findings: list[Finding],
        hits: Mapping[tuple[Digest, str], Hit],
        kinds: Collection[Kind],
        told: Callable[[Finding, str | None], None],
    ) -> list[Digest]:
        """Repair findings of these kinds. Returns the digests of those that were."""
        repaired: list[Digest] = []
        for place, finding in enumerate(findings):
            if finding.kind not in kinds or finding.is_repaired or finding.digest is None:
                continue
            try:
                await self._repair(finding, hits)
            except NotRepaired as error:
                told(finding, str(error))
            except (OSError, Unavailable) as error:
                told(finding, shown(reason_of(error)))
            else:
                findings[place] = finding.repaired()
                repaired.append(finding.digest)
                told(finding, None)
        return repaired

    async def _repair(self, finding: Finding, hits: Mapping[tuple[Digest, str], Hit]) -> None:
        if finding.digest is None or (finding.repository is None and finding.kind not in CONTENT):
            raise NotRepaired("only a push repairs it")
        if finding.kind in CONTENT:
            await self._fetch_once(
                finding.digest, [hit for (digest, _), hit in hits.items() if digest == finding.digest]
            )
            if finding.repository is not None and finding.where == _layer_link(finding):
                await self._link(finding)
        elif finding.kind is Kind.REFERRER_UNLISTED:
            await self._note(Repository(finding.repository or ""), finding.digest)
        else:
            await self._link(finding)

    async def _link(self, finding: Finding) -> None:
        """Write the link of a blob or a manifest whose content is sound."""
        assert finding.digest is not None
        repository, digest = Repository(finding.repository or ""), finding.digest
        path = StorePath(finding.where)
        if digest.algorithm != "sha256" or path not in {
            layout.layer_link(repository, digest),
            layout.revision_link(repository, digest),
        }:
            raise NotRepaired("only a push repairs it")
        if await self._is_deleted(repository, digest):
            raise NotRepaired("it was deleted, so it is not linked again")
        if not isinstance(await check_content(self._driver, digest, Throttle(None)), Sound):
            raise NotRepaired("the content itself is damaged or missing")
        await self._driver.write(path, to_link(digest))
        if path == layout.layer_link(repository, digest):
            await self._promises.keep_pushed_blob(repository, digest, digest)
        else:
            [content] = await self._driver.read([layout.blob(digest)], fresh=True)
            await self._promises.keep_pushed_manifest(repository, [digest], content or b"")
        if await self._is_deleted(repository, digest):  # begun meanwhile
            await self._driver.delete(path, expected=to_link(digest))
            raise NotRepaired("it is being deleted")

    async def _note(self, repository: Repository, digest: Digest) -> None:
        """Write what the list of referrers says of a manifest."""
        [content] = await self._driver.read([layout.blob(digest)], fresh=True)
        try:
            manifest = read_manifest(content or b"")
            assert manifest.subject is not None
            entry = make_entry(manifest.media_type, digest, len(manifest.content), manifest.listed_with)
        except ManifestInvalid as error:
            raise NotRepaired(str(error)) from error
        path = layout.referrer_link(repository, manifest.subject.digest, digest)
        await self._driver.write(path, to_note(digest, entry))
        if not await stored_manifests(self._driver, repository, [digest], fresh=True):  # deleted meanwhile
            await self._driver.delete(path, expected=to_note(digest, entry))
            raise NotRepaired("it is being deleted")

    async def _fetch_once(self, digest: Digest, hits: Collection[Hit]) -> None:
        if digest in self._fetched:
            return
        if (why := await self._try_all(digest, hits)) is not None:
            raise NotRepaired(why)
        self._fetched.add(digest)

    async def _try_all(self, digest: Digest, hits: Collection[Hit]) -> str | None:
        """Fetch content by one of the repositories that need it. Returns why that was not possible."""
        why = "no image needs it, so it is not known where to fetch it from"
        for hit in hits:
            if hit.repository is None:
                continue
            try:
                await self._fetch(digest, hit.repository, None if hit.is_manifest else hit.size)
            except NotRepaired as error:
                why = str(error)
            else:
                return None
        return why

    async def _fetch(self, digest: Digest, repository: Repository, size: int | None) -> None:
        assert self._source is not None
        if digest.algorithm != "sha256":
            raise NotRepaired("content is stored by sha256 digests alone")
        session, target = layout.upload(repository, self._new_id()), layout.blob(digest)
        async with self._driver.create_upload(session, started=self._now(), target=target) as upload:
            try:
                async with aclosing(self._source.content(repository, digest, size)) as pieces:
                    async for piece in pieces:
                        await upload.write(piece)
                found = (await upload.digests({digest.algorithm}))[digest.algorithm]
                if found != digest:
                    raise NotRepaired("the other registry sent something else")
                # Before and after, as for a push (registry/promises.py).
                await self._promises.keep_pushed_blob(repository, digest, digest)
                await upload.commit(target)
                await self._promises.keep_pushed_blob(repository, digest, digest)
            finally:
                await upload.abort()  # no effect after a commit
        await release(self._driver, digest)


def _layer_link(finding: Finding) -> str:
    assert finding.digest is not None
    return layout.layer_link(Repository(finding.repository or ""), finding.digest)
