"""A digest that is computed while content arrives, and can be passed from one request to the next."""

from collections.abc import Collection, Iterable

from authproxy.digest import Digest, Hasher, new_hasher


class RunningDigest:
    """Hashes of the first `offset` bytes of something. Lives in memory only: hashlib's state can't be stored."""

    def __init__(self, algorithms: Iterable[str] = ("sha256",)) -> None:
        self.offset = 0
        self._hashers: dict[str, Hasher] = {algorithm: new_hasher(algorithm) for algorithm in algorithms}

    def __repr__(self) -> str:
        return f"RunningDigest({'+'.join(self._hashers)} at {self.offset})"

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes. Heavy work, for a thread: large data is hashed without the interpreter's lock."""
        for hasher in self._hashers.values():
            hasher.update(data)
        self.offset += len(data)

    def lacking(self, algorithms: Iterable[str]) -> list[str]:
        """Those algorithms that are not being computed."""
        return [algorithm for algorithm in algorithms if algorithm not in self._hashers]

    def find(self, algorithm: str) -> Digest | None:
        """The digest of everything so far, or None where the algorithm is not being computed."""
        hasher = self._hashers.get(algorithm)
        return None if hasher is None else Digest(algorithm, hasher.hexdigest())

    def find_after(self, data: bytes | bytearray | memoryview, algorithms: Collection[str]) -> dict[str, Digest]:
        """The digests after `data` as well; without the algorithms that it would have to read everything for."""
        found: dict[str, Digest] = {}
        for algorithm in algorithms:
            if algorithm in self._hashers or not self.offset:
                hasher = self._hashers[algorithm].copy() if algorithm in self._hashers else new_hasher(algorithm)
                hasher.update(data)
                found[algorithm] = Digest(algorithm, hasher.hexdigest())
        return found

    def join(self, other: "RunningDigest") -> None:
        """Add the hashes of another one that has seen the same bytes."""
        assert other.offset == self.offset
        self._hashers |= other._hashers  # noqa: SLF001 - the same class
