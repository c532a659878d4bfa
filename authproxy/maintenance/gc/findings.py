"""What a marking finds: links that keep, candidates, and what the report says of each repository."""

import json
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO

from authproxy.digest import Digest
from authproxy.maintenance.gc.records import RecordSorter, SortedRecords, discard, temporary_file
from authproxy.reference import Repository
from authproxy.registry.gc_marks import MARK_BYTES, Kind
from authproxy.storage.layout import StorePath

# Notices that a report names, in all and of one repository: a repository's owner must not fill it.
MAX_NOTICES = 10_000
MAX_NOTICES_OF_ONE = 20

# In place of a repository's number: none.
NOWHERE = 2**32 - 1

KEPT, LEFT = b"\0", b"\1"  # sorts a link that keeps before those that don't

_ALGORITHMS = ("sha256", "sha512")
_KINDS = tuple(Kind)
# After the mark: kind, reason, algorithm, digest, number of the repository, size in bytes.
_CANDIDATE = struct.Struct(f">{MARK_BYTES}sBBB64sIQ")
_LINK = struct.Struct(">32scI")
# Own and shared bytes, each taken from _MOST so that the most come first; number of the repository.
_ROW = struct.Struct(">QQI")
_MOST = 2**64 - 1


class Reason(Enum):
    """Why something is a candidate."""

    UNTAGGED = "no tag leads to the manifest"
    UNNAMED = "no manifest of the repository names the blob"
    OF_UNTAGGED = "only manifests without a tag name the blob"
    UNLINKED = "no repository has a link to it"
    LINKS_GO = "all links to it go"


_REASONS = tuple(Reason)
_LINK_REASONS = (Reason.UNTAGGED, Reason.UNNAMED, Reason.OF_UNTAGGED)
_COLUMNS = (*_LINK_REASONS, "own_bytes", "shared_bytes")


class Stray(Enum):
    """A leftover that no mark is of."""

    NOTE = "the referrer is not in the repository"
    EMPTY_FOLDER = "a folder without its file"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A link, or the bytes of a content, that nothing reaches.

    `digest` of a link is that of its path; `size` is 0 for links. `repository` is None for bytes.
    """

    mark: bytes
    kind: Kind
    repository: Repository | None
    digest: Digest
    size: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Notice:
    """Something of a repository that an operator should know."""

    repository: str
    what: str


@dataclass(slots=True)
class Totals:
    """Counts of all repositories, and sizes in bytes."""

    repositories: int = 0
    tags: int = 0
    revisions: int = 0
    layer_links: int = 0
    blobs: int = 0
    bytes: int = 0
    candidate_blobs: int = 0
    candidate_bytes: int = 0
    unlinked_blobs: int = 0
    unlinked_bytes: int = 0
    strays: int = 0


@dataclass(frozen=True, slots=True)
class RepositoryFindings:
    """What the collection would take from one repository.

    `own_bytes` belong to this repository alone. `shared_bytes` are also linked by others, whose links all go too.
    """

    repository: str
    untagged: int
    """Manifests."""
    unnamed_layers: int
    layers_of_untagged: int
    own_bytes: int
    shared_bytes: int
    kept_whole: str | None
    """Why all of it is kept; None where it isn't."""


class Names:
    """The names of numbered repositories, in a temporary file: eight bytes of memory each."""

    def __init__(self, folder: Path | None) -> None:
        self._file: IO[bytes] = temporary_file(folder)
        self._ends = array("Q", [0])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, number: int) -> Repository:
        first, end = self._ends[number], self._ends[number + 1]
        self._file.seek(first)
        return Repository(self._file.read(end - first).decode())

    def add(self, name: str) -> int:
        """The number of a new name."""
        self._file.seek(self._ends[-1])
        self._file.write(encoded := name.encode())
        self._ends.append(self._ends[-1] + len(encoded))
        return len(self) - 1

    def close(self) -> None:
        """Release the temporary file."""
        discard(self._file)


class Findings:
    """Filled while the storage is read. `folder`: for temporary files."""

    def __init__(self, folder: Path | None, *, run: int) -> None:
        self._folder = folder
        self._run = run
        self.names = Names(folder)
        self.totals = Totals()
        self.notices: list[Notice] = []
        self.more_notices = 0  # not in `notices`
        self.links = RecordSorter(_LINK.size, folder, run=run)
        self._candidates = RecordSorter(_CANDIDATE.size, folder, run=run)
        self._strays: IO[bytes] = temporary_file(folder)
        self._columns = {name: array("Q") for name in _COLUMNS}
        self._kept_whole: dict[int, str] = {}

    def add_repository(self, name: str) -> int:
        """Number a repository."""
        self.totals.repositories += 1
        for column in self._columns.values():
            column.append(0)
        return self.names.add(name)

    def keep(self, stored: bytes, number: int = NOWHERE) -> None:
        """Content that is kept, by the 32 bytes of its SHA-256 digest."""
        self.links.add(_LINK.pack(stored, KEPT, number))

    def leave(self, kind: Kind, reason: Reason, name: Digest, stored: bytes, number: int, mark: bytes) -> None:
        """A candidate: the link by which a repository holds the content of `stored`."""
        self.links.add(_LINK.pack(stored, LEFT, number))
        self._add(mark, kind, reason, name, number, 0)
        self._columns[reason][number] += 1

    def leave_bytes(self, reason: Reason, stored: bytes, size: int, mark: bytes) -> None:
        """A candidate: the bytes of a content."""
        self.totals.candidate_blobs += 1
        self.totals.candidate_bytes += size
        if reason is Reason.UNLINKED:
            self.totals.unlinked_blobs += 1
            self.totals.unlinked_bytes += size
        self._add(mark, Kind.BYTES, reason, Digest("sha256", stored.hex()), NOWHERE, size)

    def count_freed(self, number: int, size: int, *, is_shared: bool) -> None:
        """Bytes that go with a repository's links."""
        self._columns["shared_bytes" if is_shared else "own_bytes"][number] += size

    def add_stray(self, what: Stray, path: StorePath) -> None:
        """A leftover."""
        self.totals.strays += 1
        self._strays.write(json.dumps([what.name, path]).encode() + b"\n")

    def notice(self, repository: str, what: str, number_of_its: int = 0) -> None:
        """Something to report; `number_of_its`: how many notices the repository has already."""
        if number_of_its < MAX_NOTICES_OF_ONE and len(self.notices) < MAX_NOTICES:
            self.notices.append(Notice(repository, what))
        else:
            self.more_notices += 1

    def keep_whole(self, number: int, why: str) -> None:
        """A repository of which nothing goes."""
        if len(self._kept_whole) < MAX_NOTICES:
            self._kept_whole[number] = why

    def finish(self) -> SortedRecords:
        """Sort the candidates by mark. Blocks."""
        return self._candidates.finish()

    def repositories(self) -> Iterator[RepositoryFindings]:
        """Those from which something goes, or that are kept whole: the most bytes first."""
        own, shared = self._columns["own_bytes"], self._columns["shared_bytes"]
        counts = [self._columns[reason] for reason in _LINK_REASONS]
        sorter = RecordSorter(_ROW.size, self._folder, run=self._run)
        for number in range(len(self.names)):
            if number in self._kept_whole or any(column[number] for column in counts):
                sorter.add(_ROW.pack(_MOST - own[number], _MOST - shared[number], number))
        ordered = sorter.finish()
        try:
            for record in ordered:
                number = _ROW.unpack(record)[2]
                untagged, unnamed, of_untagged = (column[number] for column in counts)
                why = self._kept_whole.get(number)
                yield RepositoryFindings(
                    self.names[number], untagged, unnamed, of_untagged, own[number], shared[number], why
                )
        finally:
            ordered.close()

    def strays(self) -> Iterator[tuple[Stray, StorePath]]:
        """The leftovers."""
        self._strays.seek(0)
        for line in self._strays:
            what, path = json.loads(line)
            yield Stray[what], StorePath(path)

    def close(self) -> None:
        """Release the temporary files."""
        self.names.close()
        self.links.close()
        self._candidates.close()
        discard(self._strays)

    def to_candidate(self, record: bytes) -> Candidate:
        """The candidate in a sorted record."""
        mark, kind, reason, algorithm, digest, number, size = _CANDIDATE.unpack(record)
        name = _ALGORITHMS[algorithm]
        return Candidate(
            mark,
            _KINDS[kind],
            None if number == NOWHERE else self.names[number],
            Digest(name, digest[: 32 if name == "sha256" else 64].hex()),
            size,
            _REASONS[reason],
        )

    def _add(self, mark: bytes, kind: Kind, reason: Reason, name: Digest, number: int, size: int) -> None:
        self._candidates.add(
            _CANDIDATE.pack(
                mark,
                _KINDS.index(kind),
                _REASONS.index(reason),
                _ALGORITHMS.index(name.algorithm),
                bytes.fromhex(name.hex),
                number,
                size,
            )
        )


def split_link(record: bytes) -> tuple[bytes, bytes, int]:
    """The stored digest, KEPT or LEFT, and the number of the repository of a record of `Findings.links`."""
    return _LINK.unpack(record)
