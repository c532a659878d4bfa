import asyncio
import gzip
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from authproxy.digest import Digest
from authproxy.images import transfer
from authproxy.images.endpoints import Interrupted, Missing
from authproxy.images.transfer import BlobOutcome, TransferError, choose_platform, transfer_image
from authproxy.oci.manifest import Descriptor, Manifest, Platform
from tests.unit.images.archive.saves import (
    IMAGE_TYPE,
    INDEX_TYPE,
    as_json,
    config_of,
    descriptor,
    image_manifest,
)

LAYERS = [gzip.compress(f"layer {number}".encode(), mtime=0) for number in range(6)]
CONFIG = config_of()
AMD = image_manifest(CONFIG, *LAYERS[:4])
ARM = image_manifest(CONFIG, *LAYERS[3:])
INDEX = as_json(
    {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [
            descriptor(AMD, IMAGE_TYPE, platform={"os": "linux", "architecture": "amd64"}),
            descriptor(ARM, IMAGE_TYPE, platform={"os": "linux", "architecture": "arm64", "variant": "v8"}),
        ],
    }
)


@dataclass
class Memory:
    """A source and a destination at once, which tells the order of what it takes."""

    held: dict[Digest, bytes] = field(default_factory=dict)
    names: dict[str, Digest] = field(default_factory=dict)
    neighbour: dict[Digest, bytes] = field(default_factory=dict)
    taken: list[Digest] = field(default_factory=list)
    locks: defaultdict[Digest, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    at_once: int = 0
    most_at_once: int = 0

    async def manifest(self, reference: str | Digest) -> Manifest:
        digest = self.names.get(reference) if isinstance(reference, str) else reference
        if digest is None or digest not in self.held:
            raise Missing(f"no {reference}")
        return Manifest.read(self.held[digest])

    async def blob(self, descriptor: Descriptor, start: int = 0) -> AsyncIterator[bytes]:
        content = self.held[descriptor.digest][start:]
        for place in range(0, len(content), 7):
            await asyncio.sleep(0)
            yield content[place : place + 7]

    async def has(self, descriptor: Descriptor) -> bool:
        return descriptor.digest in self.held

    async def put_blob(self, descriptor: Descriptor, chunks: AsyncIterator[bytes], start: int = 0) -> None:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        self.held[descriptor.digest] = b"".join([chunk async for chunk in chunks])
        self.taken.append(descriptor.digest)
        self.at_once -= 1

    async def put_manifest(self, manifest: Manifest, reference: str | None) -> None:
        needed = [entry.digest for entry in (*manifest.blobs, *manifest.children)]
        assert all(digest in self.held for digest in needed)
        self.held[manifest.digest] = manifest.content
        self.taken.append(manifest.digest)
        if reference is not None:
            self.names[reference] = manifest.digest

    def lock(self, digest: Digest) -> asyncio.Lock:
        return self.locks[digest]

    async def mount(self, descriptor: Descriptor) -> bool:
        found = self.neighbour.get(descriptor.digest)
        if found is not None:
            self.held[descriptor.digest] = found
        return found is not None


@pytest.fixture
def source() -> Memory:
    contents = (*LAYERS, CONFIG, AMD, ARM, INDEX)
    return Memory({Digest.of(content): content for content in contents}, {"all": Digest.of(INDEX)})


async def test_all_platforms_move_children_first_and_each_blob_once(source: Memory) -> None:
    there = Memory()
    moved = await transfer_image(source, there, await source.manifest("all"), "v1", turns=asyncio.Semaphore(3))
    assert there.held == source.held
    assert there.names == {"v1": Digest.of(INDEX)}
    assert there.taken[-3:] == [Digest.of(AMD), Digest.of(ARM), Digest.of(INDEX)]
    assert len(there.taken) == len(set(there.taken))
    assert set(moved.blobs.values()) == {BlobOutcome.MOVED}
    assert moved.moved_bytes == sum(map(len, (*LAYERS, CONFIG)))
    assert there.most_at_once == 3


async def test_what_is_there_is_not_moved_again(source: Memory) -> None:
    there = Memory({Digest.of(LAYERS[0]): LAYERS[0]})
    moved = await transfer_image(source, there, await source.manifest("all"), "v1")
    assert [blob.digest for blob, outcome in moved.blobs.items() if outcome is BlobOutcome.THERE] == [
        Digest.of(LAYERS[0])
    ]
    again = await transfer_image(source, there, await source.manifest("all"), "v2")
    assert (set(again.blobs.values()), again.moved_bytes) == ({BlobOutcome.THERE}, 0)


async def test_what_a_neighbour_has_is_mounted(source: Memory) -> None:
    there = Memory(neighbour={Digest.of(CONFIG): CONFIG})
    moved = await transfer_image(source, there, await source.manifest("all"), "v1")
    assert [blob.digest for blob, outcome in moved.blobs.items() if outcome is BlobOutcome.MOUNTED] == [
        Digest.of(CONFIG)
    ]


async def test_images_at_the_same_time_move_what_they_share_once(source: Memory) -> None:
    there = Memory()
    index = await source.manifest("all")
    both = await asyncio.gather(*(transfer_image(source, there, index, tag) for tag in ("v1", "v2")))
    blobs = {Digest.of(content) for content in (*LAYERS, CONFIG)}
    assert sorted(digest for digest in there.taken if digest in blobs) == sorted(blobs)
    assert sum(moved.moved_bytes for moved in both) == sum(map(len, (*LAYERS, CONFIG)))


class Breaking(Memory):
    """Takes so many bytes of a blob at a time, keeps some of them, and tells where it wants to go on."""

    takes: int = 0
    keeps: int = 0
    kept: bytes = b""

    async def put_blob(self, descriptor: Descriptor, chunks: AsyncIterator[bytes], start: int = 0) -> None:
        content = self.kept[:start]
        async for chunk in chunks:
            content += chunk
            if len(content) >= start + self.takes and len(content) < descriptor.size:
                self.kept = content[: start + self.keeps]
                raise Interrupted("broke off", len(self.kept))
        self.held[descriptor.digest] = content
        self.taken.append(descriptor.digest)


CONTENT = bytes(range(256)) * 4
BLOB = Descriptor("x", Digest.of(CONTENT), len(CONTENT))
ONE_LAYER = image_manifest(CONTENT)


async def no_pause(seconds: float) -> None:
    del seconds


@pytest.mark.parametrize("mark_bytes", [1, 50, 10_000])
async def test_what_breaks_off_goes_on_where_the_destination_says(
    monkeypatch: pytest.MonkeyPatch, mark_bytes: int
) -> None:
    monkeypatch.setattr(transfer, "MARK_BYTES", mark_bytes)
    source, there = Memory({BLOB.digest: CONTENT, Digest.of(ONE_LAYER): ONE_LAYER}), Breaking()
    there.takes, there.keeps = 100, 61
    moved = await transfer_image(source, there, Manifest.read(ONE_LAYER), "v1", sleep=no_pause)
    assert there.held[BLOB.digest] == CONTENT
    assert (set(moved.blobs.values()), moved.moved_bytes) == ({BlobOutcome.MOVED}, len(CONTENT))


async def test_blob_whose_answer_was_lost_is_not_sent_again() -> None:
    class Silent(Memory):
        async def put_blob(self, descriptor: Descriptor, chunks: AsyncIterator[bytes], start: int = 0) -> None:
            await super().put_blob(descriptor, chunks, start)
            raise Interrupted("the answer was lost")

    source, there = Memory({BLOB.digest: CONTENT}), Silent()
    moved = await transfer_image(source, there, Manifest.read(ONE_LAYER), "v1", sleep=no_pause)
    assert there.taken == [BLOB.digest, moved.manifest.digest]
    assert set(moved.blobs.values()) == {BlobOutcome.MOVED}


async def test_what_never_gets_further_is_given_up() -> None:
    source, there = Memory({BLOB.digest: CONTENT}), Breaking()
    there.takes = 100
    with pytest.raises(Interrupted):
        await transfer_image(source, there, Manifest.read(ONE_LAYER), "v1", sleep=no_pause)


@pytest.mark.parametrize(
    "content", [b"x" * len(LAYERS[0]), LAYERS[0] + b"x", LAYERS[0][:-1]], ids=["others", "more", "fewer"]
)
async def test_other_bytes_than_the_digest_says_end_it_before_the_name(source: Memory, content: bytes) -> None:
    source.held[Digest.of(LAYERS[0])] = content
    there = Memory()
    with pytest.raises(TransferError, match=f"blob {Digest.of(LAYERS[0])}"):
        await transfer_image(source, there, await source.manifest("all"), "v1")
    assert there.names == {}
    assert Digest.of(LAYERS[0]) not in there.held


async def test_one_platform_is_chosen(source: Memory) -> None:
    index = await source.manifest("all")
    arm = await choose_platform(source, index, Platform.parse("linux/arm64"))
    assert arm.content == ARM
    assert await choose_platform(source, arm, Platform.parse("linux/amd64")) is arm
    with pytest.raises(TransferError, match="no image for windows/amd64; it has linux/amd64, linux/arm64/v8"):
        await choose_platform(source, index, Platform.parse("windows/amd64"))
