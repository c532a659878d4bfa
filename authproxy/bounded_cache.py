"""An LRU cache bounded by the total size of its values."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Bounded(Generic[Key, Value]):
    """Evicts the values that were put or touched least recently once they exceed `max_bytes` together.

    The caller states the size of each value. Not thread-safe.
    """

    __slots__ = ("_bytes", "_max_bytes", "_sizes", "_values", "get")

    # The dictionary's own method without a wrapper: it is called for every request.
    get: Callable[[Key], Value | None]

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._values: dict[Key, Value] = {}  # in the order of eviction
        self._sizes: dict[Key, int] = {}
        self.get = self._values.get

    def __repr__(self) -> str:
        return f"Bounded({len(self._values)} values, {self._bytes} of {self._max_bytes} bytes)"

    def __len__(self) -> int:
        return len(self._values)

    def put(self, key: Key, value: Value, size_bytes: int) -> None:
        """Store a value under a key, replacing the old one. A value larger than `max_bytes` is not stored."""
        self.pop(key)
        if size_bytes > self._max_bytes:
            return
        self._values[key] = value
        self._sizes[key] = size_bytes
        self._bytes += size_bytes
        while self._bytes > self._max_bytes:
            self.pop(next(iter(self._values)))

    def touch(self, key: Key) -> None:
        """Mark a value as used, so that it is evicted last. Raises KeyError if there is none."""
        self._values[key] = self._values.pop(key)

    def pop(self, key: Key) -> Value | None:
        """Remove and return a value; None if there is none."""
        self._bytes -= self._sizes.pop(key, 0)
        return self._values.pop(key, None)
