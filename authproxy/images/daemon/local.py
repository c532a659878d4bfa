"""What the daemon says of its images, and which of them somebody means."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from authproxy.digest import Digest, parse_digest
from authproxy.images.pattern import means

_NAMELESS = "<none>"


@dataclass(frozen=True, slots=True)
class LocalImage:
    """An image that the daemon holds.

    `identity` is the digest of its configuration, or, where the daemon keeps images in containerd's store, of its
    manifest or index. `names` are as docker prints them: `app:v1`, `host:5000/team/app:v1`; an image may have none.
    """

    identity: Digest
    names: tuple[str, ...]
    size: int  # bytes on disk, unpacked, layers that are shared counted in full

    @classmethod
    def from_json(cls, entry: Any) -> "LocalImage":
        """Read one entry of GET /images/json. Raises KeyError, TypeError, DigestInvalid where it is none."""
        names = (name for name in entry["RepoTags"] or () if not name.startswith(_NAMELESS))
        return cls(parse_digest(entry["Id"]), tuple(sorted(names)), int(entry["Size"]))


def choose(images: Sequence[LocalImage], patterns: Sequence[str]) -> tuple[LocalImage, ...]:
    """The images that a pattern means, each with the names that it means; without patterns all that have a name.

    For patterns see `pattern.means`.
    """
    chosen = []
    for image in images:
        names = tuple(name for name in image.names if not patterns or any(means(p, name) for p in patterns))
        if names:
            chosen.append(LocalImage(image.identity, names, image.size))
    return tuple(sorted(chosen, key=lambda image: image.names))
