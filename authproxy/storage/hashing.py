"""A digest that is computed while content passes, and can be carried from one request to the next."""

from collections.abc import Iterable

from authproxy.digest import Digest, Hasher, new_hasher


class RunningDigest:
    """Hashes of the first `offset` bytes of something. Lives in memory only: hashlib's state can't be stored."""

    def __init__(self, algorithms: Iterable[str] = ("sha256",)) -> None:
        self.offset = 0
        self._hashers: dict[str, Hasher] = {algorithm: new_hasher(algorithm) for algorithm in algorithms}

    def __repr__(self) -> str:
        return f"RunningDigest({'+'.join(self._hashers)} at {self.offset})"

    def update(self, data: memoryview) -> None:
        """Take the next bytes. Heavy work, for a thread: large data is hashed without the interpreter's lock."""
        for hasher in self._hashers.values():
            hasher.update(data)
        self.offset += len(data)

    def find(self, algorithm: str) -> Digest | None:
        """The digest of everything so far, or None where it was not asked for at the beginning."""
        hasher = self._hashers.get(algorithm)
        return None if hasher is None else Digest(algorithm, hasher.hexdigest())
