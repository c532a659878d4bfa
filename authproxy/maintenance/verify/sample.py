"""Which blobs a verification reads: all, or a random part that the same seed chooses again."""

import hashlib
from collections.abc import AsyncIterable
from dataclasses import dataclass
from heapq import heappush, heapreplace
from typing import Self

from authproxy.digest import Digest

_RANGE = 1 << 64


@dataclass(frozen=True, slots=True)
class Sample:
    """A part of all blobs: a share of them (0 to 1), or a number."""

    seed: str
    share: float | None = None
    count: int | None = None

    @classmethod
    def parse(cls, text: str, seed: str) -> Self:
        """Read `5%`, `0.1%` or `1000`. Raises ValueError with the message."""
        try:
            if text.endswith("%"):
                found = cls(seed, share=float(text.removesuffix("%")) / 100)
            else:
                found = cls(seed, count=int(text))
        except ValueError:
            found = cls(seed)
        if not 0 < (found.share or 0) <= 1 and (found.count or 0) <= 0:
            raise ValueError(f"{text!r} is no sample: write a share, 5%, or a number of blobs, 1000")
        return found

    def __str__(self) -> str:
        return f"{self.share * 100:g}%" if self.share is not None else str(self.count)

    async def find_limit(self, stored: AsyncIterable[Digest]) -> int:
        """The limit for `includes`. For a number of blobs it lists all, and holds a number for each in the sample."""
        if self.share is not None:
            return int(self.share * _RANGE)
        assert self.count is not None
        smallest: list[int] = []  # negated, so that the heap's first is the largest of them
        async for digest in stored:
            value = -self._place(digest)
            if len(smallest) < self.count:
                heappush(smallest, value)
            elif value > smallest[0]:
                heapreplace(smallest, value)
        return -smallest[0] + 1 if smallest else 0

    def includes(self, digest: Digest, limit: int) -> bool:
        """Whether a blob is in the sample."""
        return self._place(digest) < limit

    def _place(self, digest: Digest) -> int:
        return int.from_bytes(hashlib.sha256(f"{self.seed} {digest}".encode()).digest()[:8], "big")
