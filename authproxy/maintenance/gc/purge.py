"""The purge: content that must go at once, from every repository, from the trash and from the disk.

It doesn't wait for a grace. What a manifest still names is refused: that image has to be deleted first, so that no half
of one is left. A push of the same content at the same moment wins, and is reported.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from authproxy.digest import Digest
from authproxy.maintenance.gc.collector import NotEnabled
from authproxy.maintenance.gc.findings import Candidate, Reason
from authproxy.maintenance.gc.mark_list import ListMissing, read_condemned, read_revived
from authproxy.maintenance.gc.pace import Pace
from authproxy.maintenance.gc.sweep import Superseded, Sweep
from authproxy.reference import Repository
from authproxy.registry import deleter
from authproxy.registry.deletions import Deletions
from authproxy.registry.gc_marks import Kind, mark_of, shard_of
from authproxy.registry.links import blob_names, digest_of, read_manifests, stored_blobs
from authproxy.registry.promises import Condemned, parse_state
from authproxy.registry.repository_walk import all_repositories
from authproxy.registry.tags import Tags
from authproxy.registry.trash import Trash
from authproxy.storage import layout, state_layout
from authproxy.storage.driver import Driver
from authproxy.storage.records import Record, Records

REASON = deleter.Reason("gc --purge", "purged")


@dataclass(slots=True)
class Purged:
    """What a purge has done."""

    repositories: list[str] = field(default_factory=list)
    """Those that held it."""
    bytes: int = 0
    is_gone: bool = False
    """False: it was pushed again meanwhile, so it is still there."""


class Purge:
    """Purges from one storage, where collection is on. `folder`: for temporary files."""

    def __init__(
        self,
        driver: Driver,
        *,
        folder: Path | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._driver = driver
        self._folder = folder
        self._now = now
        self._records = Records(driver)
        self._trash = Trash(driver)
        self._deleter = deleter.Deleter(driver, Tags(driver, max_page=1000), Deletions(driver), now=now)

    async def purge(self, digest: Digest) -> Purged:
        """Remove content, given the sha256 digest under which it is stored.

        Raises NotEnabled; InUse where a manifest needs it: then some repositories may have lost it already, and it can
        be purged again later.
        """
        if await self._records.read(state_layout.gc_enabled()) is None:
            raise NotEnabled("collection is off, and only a collector removes content: `authproxy gc --enable`")
        done = Purged()
        async for repository in all_repositories(self._driver):
            try:
                if await self._delete(repository, digest):
                    done.repositories.append(repository)
            except deleter.InUse as error:
                raise deleter.InUse(f"{repository}: {error}", detail=error.detail) from error
        await self._empty_trash(digest)
        [size] = await self._driver.sizes([layout.blob(digest)])
        if size is not None:
            mark = mark_of(Kind.BYTES, None, digest)
            candidate = Candidate(mark, Kind.BYTES, None, digest, size, Reason.UNLINKED)
            sweep = Sweep(self._driver, await self._condemn(mark), now=self._now, pace=Pace(), removed=lambda _: None)
            await sweep.recover()
            await sweep.remove_bytes(Pace().each([candidate]), lambda _: False)
            done.bytes = sweep.swept.bytes
        done.is_gone = await self._driver.sizes([layout.blob(digest)]) == [None]
        return done

    async def _delete(self, repository: Repository, digest: Digest) -> bool:
        """Remove it from one repository. False: it was not there."""
        content = (await read_manifests(self._driver, repository, [digest], fresh=True)).get(digest)
        was_there = content is not None
        if content is not None:
            names = [await digest_of(content, algorithm) for algorithm in ("sha256", "sha512")]
            await self._deleter.delete_manifest(repository, names, content, REASON)
        if digest in await stored_blobs(self._driver, repository, [digest], fresh=True):
            names = sorted(await blob_names(self._driver, repository, digest))
            await self._deleter.delete_blob(repository, names, digest, REASON)
            was_there = True
        return was_there

    async def _empty_trash(self, digest: Digest) -> None:
        async for repository in self._trash.repositories():
            async for deleted in self._trash.of(repository):
                if digest in deleted.links.stored:
                    await self._trash.forget(deleted)

    async def _condemn(self, mark: bytes) -> Record:
        """A new epoch with one more on its list, which leaves out what was promised in the old one."""
        record = await self._records.read(state_layout.gc_state())
        state = parse_state(record)
        epoch = secrets.token_hex(8)
        shards = await self._write_list(epoch, state, mark)
        fields = {
            **(record.fields if record is not None else {"tick": None, "count": 1, "bytes": 0}),
            "epoch": epoch,
            "shards": shards,
        }
        if record is None:
            written = await self._records.create(state_layout.gc_state(), fields)
        else:
            written = await self._records.swap(record, fields)
        if written is None:
            await self._driver.delete_tree(state_layout.gc_epoch(epoch))
            raise Superseded
        return written

    async def _write_list(self, epoch: str, state: Condemned | None, mark: bytes) -> list[str]:
        own, shards = shard_of(mark), list[str]()
        with ExitStack() as stack:
            for shard, group in groupby(await self._condemned(stack, state), key=shard_of):
                marks = set(group)
                await self._write_part(epoch, shard, marks | {mark} if shard == own else marks)
                shards.append(shard)
        if own not in shards:
            await self._write_part(epoch, own, [mark])
            shards.append(own)
        return sorted(shards)

    async def _condemned(self, stack: ExitStack, state: Condemned | None) -> Iterator[bytes]:
        """What is condemned and was not promised since, in order. Nothing where a part of the list is gone."""
        if state is None:
            return iter(())
        try:
            condemned = stack.enter_context(await read_condemned(self._driver, state, self._folder))
        except ListMissing:
            return iter(())
        revived = stack.enter_context(await read_revived(self._driver, state, self._folder))
        return (each for each in condemned if each not in revived)

    async def _write_part(self, epoch: str, shard: str, marks: Iterable[bytes]) -> None:
        await self._driver.write(state_layout.gc_condemned(epoch, shard), b"".join(sorted(marks)))
