"""Files put in place in two steps, with a look in between: contents, then the pointers to them under conditions."""

from collections.abc import Sequence
from functools import partial

from authproxy.clock import uptime_s
from authproxy.storage.driver import Swap, WriteGroup
from authproxy.storage.filesystem.batch_commit import Batch, Draft
from authproxy.storage.filesystem.reader import read_small
from authproxy.storage.filesystem.thread_pool import Lane, ThreadPool


class FilePublication:
    """See `driver.Publication`. One batch, so that the look costs no further wait for the disk."""

    def __init__(
        self, batch: Batch, root: str, groups: Sequence[WriteGroup], swaps: Sequence[Swap], workers: ThreadPool
    ) -> None:
        self._batch = batch
        self._root = root
        self._groups = groups
        self._swaps = swaps
        self._lane = Lane(workers)  # a request may be cancelled while a job runs: the next one waits for its end
        self._pointers: list[Draft] = []

    async def begin(self) -> None:
        """Write all, and make the groups visible."""
        await self._lane.run(self._begin)

    async def move(self) -> list[bool]:
        """See `driver.Publication`."""
        return await self._lane.run(self._move)

    async def close(self) -> None:
        """Discard what is not in its place, once no job is running."""
        await self._lane.finally_do(lambda: self._batch.__exit__(None, None, None))

    def _begin(self) -> None:
        contents = [pair for group in self._groups for pair in group]
        for path, content in contents:
            self._batch.add(path, content)
        self._pointers = [self._batch.add(swap.path, swap.content) for swap in self._swaps]
        self._batch.sync()
        self._batch.place(len(contents))

    def _move(self) -> list[bool]:
        moved = [
            self._batch.place_if(draft, partial(may_swap, self._root, swap))
            for draft, swap in zip(self._pointers, self._swaps, strict=True)
        ]
        # As in `write_all`: a tag must not be durable before the manifest that it points at.
        self._batch.settle(apart=len(moved))
        return moved


def may_swap(root: str, swap: Swap) -> bool:
    """Whether the conditions of a swap hold. Blocks."""
    return uptime_s() <= swap.until and read_small(f"{root}/{swap.path}") == swap.expected
