"""Content to push and pull: random bytes, the same for both sides, with digests known in advance."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from authproxy.digest import Digest
from benchmarks.client import MANIFEST

MIB = 1 << 20
SMALL_BYTES = 2048
TAGS = tuple(f"v{number}" for number in range(10))
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
_MARK_BYTES = 8


@dataclass(slots=True)
class BigBlob:
    """A large file of random bytes that becomes another blob for each push, by a number written over its beginning.

    So no server can answer with what it has already, and nothing is compressible.
    """

    path: Path
    size: int
    number: int = -1
    digest: Digest = field(default_factory=lambda: Digest.of(b""))

    @classmethod
    def create(cls, path: Path, size: int) -> "BigBlob":
        """Write the file."""
        with path.open("wb") as file:
            for piece in random_pieces(size, os.urandom(MIB)):
                file.write(piece)
        blob = cls(path, size)
        blob.become(0)
        return blob

    def become(self, number: int) -> None:
        """Become the blob with this number; does nothing if it is that blob."""
        if number == self.number:
            return
        with self.path.open("r+b") as file:
            file.write(number.to_bytes(_MARK_BYTES, "big"))
        with self.path.open("rb") as file:
            self.digest = Digest("sha256", hashlib.file_digest(file, "sha256").hexdigest())
        self.number = number


def random_pieces(size: int, first: bytes) -> Iterator[memoryview]:
    """`size` bytes in pieces as long as `first`, the same for the same `first`. Use one before asking for the next.

    They are `first` over and over with another number at its beginning: as good as random to a server, and free.
    """
    piece = bytearray(first)
    for offset in range(0, size, len(piece)):
        piece[:_MARK_BYTES] = offset.to_bytes(_MARK_BYTES, "big")
        yield memoryview(piece)[: min(len(piece), size - offset)]


def image_manifest(config: Digest, layer: Digest, layer_size: int) -> bytes:
    """The manifest of an image with one layer and a config of SMALL_BYTES."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": _CONFIG_TYPE, "digest": str(config), "size": SMALL_BYTES},
        "layers": [{"mediaType": _LAYER_TYPE, "digest": str(layer), "size": layer_size}],
        "annotations": {"org.opencontainers.image.title": "what the benchmarks pull"},
    }
    return json.dumps(manifest).encode()
