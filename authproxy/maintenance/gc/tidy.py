"""What a sweep leaves: notes of lost referrers, empty folders, the history of manifests that are gone, old epochs.

Each is removed as a deletion is (registry/deletions.py), so that a push beside it keeps its own. What a slow storage
holds up is left to the next run.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from itertools import islice

from authproxy.digest import Digest
from authproxy.maintenance.gc.findings import Stray
from authproxy.reference import Repository, Tag
from authproxy.registry.deletions import Deletions, HeldUp
from authproxy.registry.history import Push, all_pushes, entry_of
from authproxy.registry.links import stored_manifests
from authproxy.registry.promises import parse_state
from authproxy.registry.repository_walk import repositories_in_state
from authproxy.registry.trash import Trash
from authproxy.storage import layout, state_layout
from authproxy.storage.driver import BATCH, Driver, list_all
from authproxy.storage.layout import StorePath
from authproxy.storage.records import Records

# Entries of the history that are kept of a manifest under one tag, the newest: who pushed it when, and again.
KEPT_PUSHES = 3


class Tidy:
    """Tidies one storage after a sweep."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._records = Records(driver)
        self._deletions = Deletions(driver)
        self._trash = Trash(driver)

    async def remove_notes(self, strays: Iterable[tuple[Stray, StorePath]]) -> int:
        """Remove the notes of referrers that the repository doesn't hold. Returns how many have gone."""
        count = 0
        for what, path in strays:
            if what is not Stray.NOTE or (named := layout.find_referrer(path)) is None:
                continue
            repository, referrer = named
            with suppress(HeldUp):
                async with self._deletions.begin(repository, [referrer]) as deletion:
                    if not await stored_manifests(self._driver, repository, [referrer], fresh=True):
                        count += await deletion.remove([path])
        return count

    async def remove_empty_folders(self, strays: Iterable[tuple[Stray, StorePath]]) -> None:
        """Remove the folders of links and blobs without the file: a deletion by CNCF Distribution leaves them."""
        folders = (StorePath(path.rpartition("/")[0]) for what, path in strays if what is Stray.EMPTY_FOLDER)
        while batch := list(islice(folders, BATCH)):
            await self._driver.remove_empty_folders(batch)

    async def shorten_histories(self) -> int:
        """Remove what is said of manifests that are gone, and all but the newest pushes of one to the same tag."""
        count = 0
        async for repository in repositories_in_state(self._driver, state_layout.history_below):
            in_trash = {stored async for deleted in self._trash.of(repository) for stored in deleted.links.stored}
            async for digest, pushes in _by_digest(all_pushes(self._driver, repository)):
                if digest in in_trash:
                    continue
                with suppress(HeldUp):
                    count += await self._shorten(repository, digest, pushes)
        return count

    async def remove_epochs(self) -> None:
        """Remove the epochs of runs that stopped: those that the state doesn't name."""
        epochs = [
            (name, set(await self._driver.list_names(state_layout.gc_epoch(name))))
            async for names in list_all(self._driver, state_layout.gc())
            for name in names
            if state_layout.is_epoch(name)
        ]
        state = parse_state(await self._records.read(state_layout.gc_state()))  # after the names
        for name, parts in epochs:
            if state is not None and name == state.epoch:
                continue
            if parts & {"revived", "deleting"}:  # the state has named it, and never will again
                await self._driver.delete_tree(state_layout.gc_epoch(name))
            else:
                await self.remove_list(name)

    async def remove_list(self, epoch: str) -> None:
        """Remove a list that no state names. Another run's may be named meanwhile: nothing is removed by half a list.

        So its marks stay: see `Promises`, which keeps everything where a list has gone.
        """
        async for shards in list_all(self._driver, state_layout.gc_lists(epoch)):
            for shard in shards:
                await self._driver.delete(state_layout.gc_condemned(epoch, shard))

    async def _shorten(self, repository: Repository, digest: Digest, pushes: list[Push]) -> int:
        is_held = bool(await stored_manifests(self._driver, repository, [digest], fresh=True))
        gone = list(_but_newest(pushes)) if is_held else pushes
        if not gone:
            return 0
        async with self._deletions.begin(repository, [digest]) as deletion:
            # Pushed again meanwhile: it has an entry that is needed.
            if not is_held and await stored_manifests(self._driver, repository, [digest], fresh=True):
                return 0
            paths = [entry_of(repository, push, "")[0] for push in gone]
            return len(paths) if await deletion.remove(paths) else 0


def _but_newest(pushes: Iterable[Push]) -> Iterator[Push]:
    """All but the newest of each tag."""
    by_tag: defaultdict[Tag | None, list[Push]] = defaultdict(list)
    for push in pushes:
        by_tag[push.tag].append(push)
    for same in by_tag.values():
        yield from sorted(same, key=lambda push: push.at)[:-KEPT_PUSHES]


async def _by_digest(pushes: AsyncIterator[Push]) -> AsyncIterator[tuple[Digest, list[Push]]]:
    """Pushes that come by digest, in groups."""
    group: list[Push] = []
    async for push in pushes:
        if group and group[0].digest != push.digest:
            yield group[0].digest, group
            group = []
        group.append(push)
    if group:
        yield group[0].digest, group
