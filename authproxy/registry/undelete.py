"""Restoring what was deleted or collected: from the trash, as pushes are made visible (registry/publisher.py).

A manifest comes back under each of its names, with its notes in lists of referrers, with the blobs and manifests that
it needs, as far as the trash has them, and with its tags where these don't exist. Nothing that is there is replaced.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from authproxy.digest import Digest
from authproxy.oci.dependencies import Dependencies, read_dependencies
from authproxy.reference import Repository, Tag
from authproxy.registry.deletions import Deletions
from authproxy.registry.links import blob_links, find_digest, sizes_of, stored_blobs, stored_manifests, to_link
from authproxy.registry.promises import Promises
from authproxy.registry.publisher import Publication, Publisher
from authproxy.registry.trash import Deleted, Trash
from authproxy.storage import layout
from authproxy.storage.driver import Driver
from authproxy.storage.layout import StorePath


class NotRestorable(Exception):
    """The trash doesn't have it, or its content is gone. The message says which."""


@dataclass(slots=True)
class Restored:
    """What came back, and what did not."""

    tags: dict[Tag, Digest] = field(default_factory=dict)
    tags_kept: list[Tag] = field(default_factory=list)
    """Tags that exist by now, and stay as they are."""
    manifests: set[Digest] = field(default_factory=set)
    blobs: set[Digest] = field(default_factory=set)
    missing: set[Digest] = field(default_factory=set)
    """What is gone: content that a restored manifest needs, or a manifest, or one that needs such a manifest."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A manifest whose content is there."""

    digest: Digest
    stored: Digest
    content: bytes


@dataclass(frozen=True, slots=True)
class _Lost:
    """Everything that the trash of a repository has; the latest deletion counts."""

    records: Sequence[Deleted]
    tags: Mapping[Tag, Digest]
    revisions: Mapping[Digest, Digest]
    layers: Mapping[Digest, Digest]
    referrers: Mapping[tuple[Digest, Digest], bytes]

    @classmethod
    def of(cls, records: Sequence[Deleted]) -> "_Lost":
        """The contents of records, the oldest first."""
        tags: dict[Tag, Digest] = {}
        revisions: dict[Digest, Digest] = {}
        layers: dict[Digest, Digest] = {}
        referrers: dict[tuple[Digest, Digest], bytes] = {}
        for deleted in records:
            tags |= deleted.links.tags
            revisions |= deleted.links.revisions
            layers |= deleted.links.layers
            referrers |= deleted.links.referrers
        return cls(records, tags, revisions, layers, referrers)


@contextmanager
def _noted(digest: Digest, restored: Restored, *, is_all: bool) -> Iterator[None]:
    """Where all of a repository is restored, what is gone costs nothing else."""
    try:
        yield
    except NotRestorable:
        if not is_all:
            raise
        restored.missing.add(digest)


class Undelete:
    """Restores from the trash of one storage. `by` is who does so, for the history."""

    def __init__(
        self, driver: Driver, *, by: str = "", now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._driver = driver
        self._by = by
        self._trash = Trash(driver)
        self._promises = Promises(driver)
        self._publisher = Publisher(driver, Deletions(driver), self._promises, now=now)

    async def restore(self, repository: Repository, what: Tag | Digest | None) -> Restored:
        """Restore a tag, a manifest or a blob by its digest, or all that a repository has in the trash (None).

        Raises NotRestorable, and what a push raises.
        """
        lost = _Lost.of([deleted async for deleted in self._trash.of(repository)])
        wanted, tags = self._choose(repository, lost, what)
        restored = Restored()
        for digest in wanted:
            with _noted(digest, restored, is_all=what is None):
                await self._restore(repository, lost, digest, tags, restored)
        for tag, digest in tags.items():
            if tag not in restored.tags and tag not in restored.tags_kept:
                with _noted(digest, restored, is_all=what is None):
                    await self._set_tag(repository, tag, digest, restored)
        await self._tidy(repository, lost)
        return restored

    def _choose(
        self, repository: Repository, lost: _Lost, what: Tag | Digest | None
    ) -> tuple[list[Digest], dict[Tag, Digest]]:
        """The digests to restore, and the tags to set."""
        if what is None:
            if not lost.records:
                raise NotRestorable(f"nothing of {repository} is in the trash")
            return [*lost.revisions, *lost.layers], dict(lost.tags)
        if isinstance(what, Digest):
            if what not in lost.revisions and what not in lost.layers:
                raise NotRestorable(f"{repository}@{what} is not in the trash")
            of_it = {tag: digest for tag, digest in lost.tags.items() if digest == what}
            return [what], of_it
        if what not in lost.tags:
            raise NotRestorable(f"{repository}:{what} is not in the trash")
        return [lost.tags[what]], {what: lost.tags[what]}

    async def _restore(
        self, repository: Repository, lost: _Lost, digest: Digest, tags: Mapping[Tag, Digest], restored: Restored
    ) -> None:
        """Restore one manifest after all that it needs, however deep that is, or a blob."""
        waiting = [(digest, False)]
        while waiting:
            each, is_complete = waiting.pop()
            if not is_complete and (each in restored.manifests or each in restored.blobs):
                continue
            held = await stored_manifests(self._driver, repository, [each], fresh=True)
            stored = held.get(each) or lost.revisions.get(each)
            if stored is None:
                await self._restore_blob(repository, lost, each, restored)
                continue
            [content] = await self._driver.read([layout.blob(stored)], fresh=True)
            if not content:
                restored.manifests.difference_update(name for name, is_one in waiting if is_one)  # they need it
                raise NotRestorable(f"the content of {repository}@{each} is gone: only a push brings it back")
            if is_complete:
                await self._publish(repository, lost, _Found(each, stored, content), tags, restored)
                continue
            restored.manifests.add(each)
            needs = read_dependencies(content)
            waiting.append((each, True))
            waiting += ((needed, False) for needed in sorted(needs.manifests | needs.blobs))

    async def _restore_blob(self, repository: Repository, lost: _Lost, digest: Digest, restored: Restored) -> None:
        held = await stored_blobs(self._driver, repository, [digest], fresh=True)
        stored = held.get(digest) or lost.layers.get(digest)
        if stored is None:
            return  # it was not there either when the manifest was deleted
        restored.blobs.add(digest)
        links = blob_links(repository, digest, stored)
        await self._driver.write_all([list(links.items())])
        await self._promises.keep_pushed_blob(repository, digest, stored)
        if await sizes_of(self._driver, [stored]) == [None]:
            restored.missing.add(digest)

    async def _publish(
        self, repository: Repository, lost: _Lost, found: _Found, tags: Mapping[Tag, Digest], restored: Restored
    ) -> None:
        aliases = (name for name, content in lost.revisions.items() if content == found.stored)
        names = list(dict.fromkeys((found.stored, found.digest, *aliases)))
        own_tags = [tag for tag, target in tags.items() if target == found.digest]
        needs = read_dependencies(found.content)
        new = Publication(
            repository,
            names,
            found.digest,
            found.content,
            notes=[
                (layout.referrer_link(repository, subject, referrer), note)
                for (subject, referrer), note in lost.referrers.items()
                if referrer in names
            ],
            relies_on=needs.blobs | needs.manifests,
            by=self._by,
            immutable=own_tags,
        )
        begun = await self._publisher.begin(repository, names, own_tags)
        refused = await self._publisher.publish(begun, new, lambda: self._links(repository, needs))
        restored.tags |= {tag: found.digest for tag in own_tags if tag not in refused}
        restored.tags_kept += refused

    async def _links(self, repository: Repository, needs: Dependencies) -> dict[StorePath, bytes]:
        """The links that are there of what a manifest needs."""
        entries = sorted(needs.blobs | needs.manifests)
        blobs = await stored_blobs(self._driver, repository, entries, fresh=True)
        manifests = await stored_manifests(self._driver, repository, sorted(needs.manifests), fresh=True)
        return {
            **{
                path: link
                for name, stored in blobs.items()
                for path, link in blob_links(repository, name, stored).items()
            },
            **{layout.revision_link(repository, name): to_link(stored) for name, stored in manifests.items()},
        }

    async def _set_tag(self, repository: Repository, tag: Tag, digest: Digest, restored: Restored) -> None:
        """Set a tag whose manifest was not deleted with it."""
        held = await stored_manifests(self._driver, repository, [digest], fresh=True)
        [content] = await self._driver.read([layout.blob(held.get(digest, digest))], fresh=True)
        if digest not in held or not content:
            raise NotRestorable(f"{repository}:{tag} led to {digest}, which is gone: only a push brings it back")
        found = _Found(digest, held[digest], content)
        await self._publish(repository, _Lost.of([]), found, {tag: digest}, restored)

    async def _tidy(self, repository: Repository, lost: _Lost) -> None:
        """Remove the records of which all is there again."""
        for deleted in lost.records:
            links = deleted.links
            paths = [
                *(layout.revision_link(repository, name) for name in links.revisions),
                *(layout.layer_link(repository, name) for name in links.layers),
                *(layout.tag_current(repository, tag) for tag in links.tags),
            ]
            if all(find_digest(link) is not None for link in await self._driver.read(paths, fresh=True)):
                await self._trash.forget(deleted)
