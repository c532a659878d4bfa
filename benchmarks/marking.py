"""What `authproxy gc`, `usage` and `verify --sample` take: on a folder with a million blobs, a listing of ten million.

Each runs in a process of its own, so that its peak of memory is its own. Before it, the process has imported all that
it needs and opened the storage: that is idle.
"""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from authproxy.digest import Digest
from authproxy.maintenance.gc.marking import mark
from authproxy.maintenance.gc.options import MarkingOptions, Untagged
from authproxy.maintenance.usage.measuring import measure
from authproxy.maintenance.verify.position import Position
from authproxy.maintenance.verify.sample import Sample
from authproxy.maintenance.verify.verification import Verification
from authproxy.oci.media_types import OCI_IMAGE
from authproxy.reference import Repository, Tag
from authproxy.storage import layout
from authproxy.storage.driver import BATCH, Driver
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.layout import StorePath
from benchmarks.content import MIB
from benchmarks.errors import BenchmarkError
from benchmarks.footprint import forget_peak, peak_bytes, resident_bytes
from benchmarks.tables import figure

# An image: its manifest, its config and its layers.
BLOBS_OF_EACH = 10
_BLOBS = range(1, BLOBS_OF_EACH)
# Images without a tag, and blobs that no manifest names: one in so many.
UNTAGGED_EACH = 50
# The first repository has this share of all images; the rest is spread over the others.
SHARE_OF_FIRST = 0.5
LIMIT_MIB = 256
# In place of how a marking takes untagged manifests: `authproxy usage`, and `authproxy verify --sample` of this share.
USAGE, VERIFY = "usage", "verify"
WHAT = (*(untagged.value for untagged in Untagged), USAGE)
SAMPLE = Sample("benchmark", share=0.01)

COLUMNS = ("marking", "blobs", "tags", "seconds", "over idle MiB", "listings", "contents read", "sizes read")


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of one run, in blobs."""

    written: int
    generated: int
    repositories: int


@dataclass(frozen=True, slots=True)
class MarkingCost:
    """One marking."""

    name: str
    blobs: int
    tags: int
    candidates: int
    seconds: float
    over_idle_mib: float
    listings: int
    contents: int
    sizes: int

    def is_within_limits(self) -> bool:
        """Whether its memory stayed below the limit."""
        return self.over_idle_mib < LIMIT_MIB


@dataclass(frozen=True, slots=True)
class Shape:
    """A storage whose every name and content follows from a number. A digest ends with the number that it is of."""

    blobs: int
    repositories: int

    @property
    def images(self) -> int:
        """Images in all; each takes BLOBS_OF_EACH numbers, the manifest's first."""
        return self.blobs // BLOBS_OF_EACH

    def hex_of(self, number: int) -> str:
        """The hex digits of a digest, in no order."""
        return f"{number % 256:02x}{number * 0x9E3779B97F4A7C15 % 2**56:014x}{0:032x}{number:016x}"

    def images_of(self, repository: int) -> range:
        """The images of a repository."""
        first = int(self.images * SHARE_OF_FIRST)
        if repository == 0:
            return range(first)
        return range(first + repository - 1, self.images, self.repositories - 1)

    def manifest(self, image: int) -> bytes:
        """An image's manifest. The last layer of some is named by none."""
        first = image * BLOBS_OF_EACH
        count = BLOBS_OF_EACH - (image % UNTAGGED_EACH == 1)
        blobs = [f'{{"mediaType":"x","digest":"sha256:{self.hex_of(first + n)}","size":9}}' for n in range(1, count)]
        return (
            f'{{"schemaVersion":2,"mediaType":"{OCI_IMAGE}","config":{blobs[0]},"layers":[{",".join(blobs[1:])}]}}'
        ).encode()

    def is_tagged(self, image: int) -> bool:
        """Whether it has a tag."""
        return image % UNTAGGED_EACH != 0

    def name_of(self, repository: int) -> Repository:
        """Its name: half of them are below others."""
        return Repository(f"team{repository // 2}/app" if repository % 2 else f"team{repository // 2}")


class WrittenShape(Shape):
    """One whose digests are those of its content, so that it can be verified."""

    def hex_of(self, number: int) -> str:
        """The hex digits of a digest: a manifest's, or a blob's."""
        image, place = divmod(number, BLOBS_OF_EACH)
        return hashlib.sha256(self.blob(number) if place else self.manifest(image)).hexdigest()

    def blob(self, number: int) -> bytes:
        """A blob's content."""
        return f"blob {number}".encode()


def write_folder(root: Path, shape: WrittenShape) -> None:
    """Write it all, as a registry would have."""
    for repository in range(shape.repositories):
        name = shape.name_of(repository)
        for image in shape.images_of(repository):
            for number in range(image * BLOBS_OF_EACH, (image + 1) * BLOBS_OF_EACH):
                is_manifest = number % BLOBS_OF_EACH == 0
                digest = Digest("sha256", shape.hex_of(number))
                _write(root / layout.blob(digest), shape.manifest(image) if is_manifest else shape.blob(number))
                link = layout.revision_link(name, digest) if is_manifest else layout.layer_link(name, digest)
                _write(root / link, str(digest).encode())
            if shape.is_tagged(image):
                digest = Digest("sha256", shape.hex_of(image * BLOBS_OF_EACH))
                _write(root / layout.tag_current(name, Tag(f"v{image}")), str(digest).encode())


class GeneratedDriver:
    """Lists and reads a storage that doesn't exist."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._numbers = {shape.name_of(number): number for number in range(shape.repositories)}

    async def scan_names(self, folder: StorePath) -> AsyncIterator[list[str]]:
        """See `driver.Driver`."""
        batch: list[str] = []
        for name in self._names(folder.removeprefix(f"{layout.ROOT}/")):
            batch.append(name)
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    async def read(self, paths: Sequence[StorePath], *, fresh: bool = False) -> list[bytes | None]:
        """See `driver.Driver`."""
        del fresh
        return [self._read(path) for path in paths]

    async def sizes(self, paths: Sequence[StorePath]) -> list[int | None]:
        """See `driver.Driver`."""
        return [1000 for _ in paths]

    def _names(self, folder: str) -> Iterable[str]:
        match folder.split("/"):
            case ["blobs", _]:
                return (f"{shard:02x}" for shard in range(256))
            case ["blobs", _, shard]:
                return map(self._shape.hex_of, range(int(shard, 16), self._shape.blobs, 256))
            case ["repositories", *parts]:
                inner = next((place for place, part in enumerate(parts) if part.startswith("_")), len(parts))
                name = "/".join(parts[:inner])
                return self._links("/".join(parts[inner:]), name) if parts[inner:] else self._folders(name)
            case _:
                return ()

    def _links(self, kind: str, name: str) -> Iterable[str]:
        shape = self._shape
        images = shape.images_of(self._numbers[Repository(name)])
        every: Mapping[str, Iterable[str]] = {
            "_layers": ("sha256",),
            "_manifests/revisions": ("sha256",),
            "_layers/sha256": (shape.hex_of(image * BLOBS_OF_EACH + n) for image in images for n in _BLOBS),
            "_manifests/revisions/sha256": (shape.hex_of(image * BLOBS_OF_EACH) for image in images),
            "_manifests/tags": (f"v{image}" for image in images if shape.is_tagged(image)),
        }
        return every.get(kind, ())

    def _folders(self, name: str) -> list[str]:
        if not name:
            return [f"team{number}" for number in range((self._shape.repositories + 1) // 2)]
        inside = ["_layers", "_manifests"] if name in self._numbers else []
        return [*inside, "app"] if Repository(f"{name}/app") in self._numbers else inside

    def _read(self, path: str) -> bytes | None:
        parts = path.split("/")
        if parts[-1] == "data":
            return self._shape.manifest(int(parts[-2][-16:], 16) // BLOBS_OF_EACH)
        if parts[-2] == "current":
            return f"sha256:{self._shape.hex_of(int(parts[-3][1:]) * BLOBS_OF_EACH)}".encode()
        return f"sha256:{parts[-2]}".encode()


def measure_markings(folder: Path, sizes: Sizes, *, tell: Callable[[str], object] = print) -> list[MarkingCost]:
    """Mark a written and a generated storage, with untagged manifests kept and removed; measure their usage.

    The written one is verified too: the generated one has no content that its digests are of. Makes `folder`, and
    empties it.

    Raises BenchmarkError.
    """
    root = folder / "storage"
    written = WrittenShape(sizes.written, sizes.repositories)
    folder.mkdir(parents=True)
    try:
        began = time.perf_counter()
        write_folder(root, written)
        tell(f"wrote {written.blobs} blobs in {time.perf_counter() - began:.0f} s")
        found = [_measured("folder", written, folder, str(root), what) for what in (*WHAT, VERIFY)]
    finally:
        shutil.rmtree(root, ignore_errors=True)
    generated = Shape(sizes.generated, sizes.repositories)
    return [*found, *(_measured("generated", generated, folder, "", what) for what in WHAT)]


def rows(costs: Sequence[MarkingCost]) -> list[list[str]]:
    """The rows of the table."""
    return [
        [
            cost.name,
            f"{cost.blobs:,}",
            f"{cost.tags:,}",
            figure(cost.seconds),
            figure(cost.over_idle_mib),
            *(f"{reads:,}" for reads in (cost.listings, cost.contents, cost.sizes)),
        ]
        for cost in costs
    ]


def _measured(name: str, shape: Shape, folder: Path, root: str, what: str) -> MarkingCost:
    arguments = [root, str(folder), str(shape.blobs), str(shape.repositories), what]
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.marking", *arguments],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise BenchmarkError(f"the marking ended with {ran.returncode}: {ran.stderr}")
    title = {USAGE: USAGE, VERIFY: f"{VERIFY} --sample {SAMPLE}"}.get(what, f"untagged: {what}")
    return MarkingCost(name=f"{name}, {title}", **json.loads(ran.stdout))


async def _cost(root: str, folder: Path, shape: Shape, what: str) -> Mapping[str, float]:
    if what == VERIFY:
        return await _verify(Path(root))
    driver: Driver = FilesystemDriver(Path(root), read_only=True) if root else GeneratedDriver(shape)  # type: ignore[assignment]
    return await (_usage(driver, folder) if what == USAGE else _mark(driver, folder, shape, Untagged(what)))


class CountingDriver(FilesystemDriver):
    """Counts what is asked of it, as a marking does itself."""

    listings = contents = 0

    async def list_names(self, folder: StorePath, *, after: str = "", limit: int = BATCH) -> list[str]:
        """See `driver.Driver`."""
        self.listings += 1
        return await super().list_names(folder, after=after, limit=limit)

    async def read(self, paths: Sequence[StorePath], *, fresh: bool = False) -> list[bytes | None]:
        """See `driver.Driver`."""
        self.contents += len(paths)
        return await super().read(paths, fresh=fresh)


async def _verify(root: Path) -> Mapping[str, float]:
    driver = CountingDriver(root, read_only=True)
    me = [os.getpid()]
    idle = resident_bytes(me)
    forget_peak(me)
    began = time.perf_counter()
    verified = await Verification(driver, Position(SAMPLE.seed, str(SAMPLE)), sample=SAMPLE).run()
    seconds = time.perf_counter() - began
    if verified.position.findings:
        raise BenchmarkError(f"{len(verified.position.findings)} findings in a sound storage")
    return {
        "blobs": verified.position.blobs,
        "tags": 0,
        "candidates": 0,
        "seconds": seconds,
        "over_idle_mib": (peak_bytes(me) - idle) / MIB,
        "listings": driver.listings,
        "contents": driver.contents + verified.position.blobs,
        "sizes": 0,
    }


async def _usage(driver: Driver, folder: Path) -> Mapping[str, float]:
    me = [os.getpid()]
    idle = resident_bytes(me)
    forget_peak(me)
    began = time.perf_counter()
    with await measure(driver, folder=folder) as usage:
        return {
            "blobs": usage.totals.blobs,
            "tags": sum(space.tags for space in usage.spaces.repositories()),
            "candidates": 0,
            "seconds": time.perf_counter() - began,
            "over_idle_mib": (peak_bytes(me) - idle) / MIB,
            "listings": usage.reads.listings,
            "contents": usage.reads.contents,
            "sizes": usage.reads.sizes,
        }


async def _mark(driver: Driver, folder: Path, shape: Shape, untagged: Untagged) -> Mapping[str, float]:
    me = [os.getpid()]
    idle = resident_bytes(me)
    forget_peak(me)
    began = time.perf_counter()
    with await mark(driver, MarkingOptions(untagged=untagged), folder=folder) as marking:
        seconds = time.perf_counter() - began
        reads, totals = marking.reads, marking.totals
        expected = _expected(shape, untagged)
        if len(marking) != expected:
            raise BenchmarkError(f"{len(marking)} candidates, and {expected} are right")
        return {
            "blobs": totals.blobs,
            "tags": totals.tags,
            "candidates": len(marking),
            "seconds": seconds,
            "over_idle_mib": (peak_bytes(me) - idle) / MIB,
            "listings": reads.listings,
            "contents": reads.contents,
            "sizes": reads.sizes,
        }


def _expected(shape: Shape, untagged: Untagged) -> int:
    """Candidates: a link and bytes for each blob that goes."""
    unnamed = sum(image % UNTAGGED_EACH == 1 for image in range(shape.images))
    gone = sum(not shape.is_tagged(image) for image in range(shape.images)) if untagged is Untagged.REMOVE else 0
    return 2 * (unnamed + gone * BLOBS_OF_EACH)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    given_root, given_folder, given_blobs, given_repositories, given_what = sys.argv[1:]
    given = Shape(int(given_blobs), int(given_repositories))
    print(json.dumps(asyncio.run(_cost(given_root, Path(given_folder), given, given_what))))
