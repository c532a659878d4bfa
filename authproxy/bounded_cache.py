"""A dictionary that holds no more than so many bytes."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Bounded(Generic[Key, Value]):
    """Values by their keys, `max_bytes` in all: for a new one those go first that were put or touched longest ago.

    What a value takes is the word of whoever puts it. For one thread.
    """

    __slots__ = ("_bytes", "_max_bytes", "_sizes", "_values", "get")

    # The dictionary's own method, and no method around it: this is asked for every request.
    get: Callable[[Key], Value | None]

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._values: dict[Key, Value] = {}  # the first is the next to go
        self._sizes: dict[Key, int] = {}
        self.get = self._values.get

    def __repr__(self) -> str:
        return f"Bounded({len(self._values)} values, {self._bytes} of {self._max_bytes} bytes)"

    def __len__(self) -> int:
        return len(self._values)

    def put(self, key: Key, value: Value, size_bytes: int) -> None:
        """Hold a value, instead of the one that had this key. One that is larger than all may be is not held."""
        self.pop(key)
        if size_bytes > self._max_bytes:
            return
        self._values[key] = value
        self._sizes[key] = size_bytes
        self._bytes += size_bytes
        while self._bytes > self._max_bytes:
            self.pop(next(iter(self._values)))

    def touch(self, key: Key) -> None:
        """Let this value be the last to go. Raises KeyError where it is not held."""
        self._values[key] = self._values.pop(key)

    def pop(self, key: Key) -> Value | None:
        """Let go of a value, which is returned. None where it is not held."""
        self._bytes -= self._sizes.pop(key, 0)
        return self._values.pop(key, None)
