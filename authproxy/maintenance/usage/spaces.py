"""The bytes of repositories and namespaces: what only one of them needs, and what it shares with others.

A namespace is every part of a name that ends with a slash: `a/b/c` is in `a/` and `a/b/`. What a namespace owns is
linked only by repositories in it, by however many of them.
"""

from array import array
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from authproxy.maintenance.gc.findings import Names

_COLUMNS = ("own_bytes", "shared_bytes", "repositories", "tags", "manifests", "upload_bytes")

# In place of a number: none.
_NONE = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Space:
    """A repository, or a namespace, whose name ends with a slash. Sizes are in bytes."""

    name: str
    own_bytes: int
    """Content that nothing else needs."""
    shared_bytes: int
    """Content that other repositories, or other namespaces, need too."""
    repositories: int
    tags: int
    manifests: int
    upload_bytes: int
    """Uploads that are under way, or abandoned."""


class Spaces:
    """Numbered repositories and namespaces: about 60 bytes of memory each. `folder`: for their names."""

    def __init__(self, folder: Path | None = None) -> None:
        self._names = Names(folder)
        self._columns = {name: array("Q") for name in _COLUMNS}
        self._parents = array("I")
        self._is_namespace = bytearray()
        self._path: list[tuple[str, int]] = []  # the namespaces around the last repository

    def add(self, repository: str) -> int:
        """Number a repository. Those of a namespace must come together, as in a walk through folders."""
        parts = repository.split("/")
        around = ["/".join(parts[:depth]) + "/" for depth in range(1, len(parts))]
        known = 0
        while known < min(len(around), len(self._path)) and self._path[known][0] == around[known]:
            known += 1
        for name in around[known:]:
            del self._path[known:]  # else it stays: `a` may come between `a/b` and `a/c`
            self._path.append((name, self._number(name, self._parent(known), is_namespace=True)))
            known += 1
        number = self._number(repository, self._parent(known), is_namespace=False)
        self.count(number, "repositories")
        return number

    def count(self, number: int, column: str, by: int = 1) -> None:
        """Add to a column of a repository, and of the namespaces that it is in."""
        values = self._columns[column]
        while number != _NONE:
            values[number] += by
            number = self._parents[number]

    def add_content(self, size: int, repositories: Collection[int]) -> None:
        """Content that these repositories link to, each once."""
        own, shared = self._columns["own_bytes"], self._columns["shared_bytes"]
        if len(repositories) == 1:
            self.count(next(iter(repositories)), "own_bytes", size)
            return
        within: Counter[int] = Counter()
        for number in repositories:
            shared[number] += size
            parent = self._parents[number]
            while parent != _NONE:
                within[parent] += 1
                parent = self._parents[parent]
        for namespace, linking in within.items():
            (own if linking == len(repositories) else shared)[namespace] += size

    def repositories(self) -> Iterator[Space]:
        """All repositories, in the order in which they were added."""
        return (self._at(number) for number, is_namespace in enumerate(self._is_namespace) if not is_namespace)

    def namespaces(self) -> Iterator[Space]:
        """All namespaces, in the order in which they were met."""
        return (self._at(number) for number, is_namespace in enumerate(self._is_namespace) if is_namespace)

    def close(self) -> None:
        """Release the temporary file."""
        self._names.close()

    def _parent(self, depth: int) -> int:
        return self._path[depth - 1][1] if depth else _NONE

    def _number(self, name: str, parent: int, *, is_namespace: bool) -> int:
        self._parents.append(parent)
        self._is_namespace.append(is_namespace)
        for column in self._columns.values():
            column.append(0)
        return self._names.add(name)

    def _at(self, number: int) -> Space:
        return Space(self._names[number], *(self._columns[name][number] for name in _COLUMNS))
