"""Finds the referrers of an image: signatures, SBOMs, attestations.

OCI Distribution 1.1 has referrers, manifests whose `subject` is the image; the registry lists them, or a tag does
("Referrers Tag Schema"). cosign stores manifests under tags that begin with the image's digest: `sha256-<hex>.sig`,
`.att`, `.sbom`. See docs/decisions/0054-copy-referrers-along.md.
"""

import asyncio
import json
from collections.abc import AsyncIterable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from authproxy.digest import Digest
from authproxy.images.endpoints import Destination, Missing, Source
from authproxy.images.transfer import Progress, TransferError, transfer_image
from authproxy.oci.manifest import Descriptor, Manifest
from authproxy.oci.media_types import OCI_INDEX

# Per image: a signature of an attestation of an SBOM is three levels deep, and a tool signs a release once or twice.
MAX_DEPTH = 8
MAX_REFERRERS = 1000

# All are held in memory until they are copied. One has a few kilobytes; a registry may send 16 MiB.
MAX_BYTES = 64 << 20

# Tags of a repository that begin with a digest: three for each of 80,000 images. A registry may list them endlessly.
MAX_DIGEST_TAGS = 250_000

# Concurrent requests for one image.
JOBS = 4

# OCI Distribution 1.1, "Referrers Tag Schema": at most these characters of a digest's hex.
MAX_TAG_HEX = 64
_ALGORITHMS = ("sha256-", "sha512-")


class ReferrersSource(Protocol):
    """A repository, or a layout, that lists the referrers of its manifests."""

    async def manifest(self, reference: str | Digest) -> Manifest:
        """By a digest or a tag. Raises Missing."""

    async def referrers(self, digest: Digest) -> tuple[Descriptor, ...]:
        """The referrers of a manifest."""


class ReferrersDestination(Destination, Protocol):
    """A repository that can be asked what it has."""

    async def find_digest(self, reference: str | Digest) -> Digest | None:
        """The digest of the manifest with this tag or digest, if any."""

    async def referrers(self, digest: Digest) -> tuple[Descriptor, ...]:
        """The referrers of a manifest."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A manifest attached to `subject`; `tag` is cosign's tag for it, None for a referrer."""

    manifest: Manifest
    subject: Digest
    tag: str | None = None


def referrers_tag(digest: Digest) -> str:
    """The tag that lists the referrers of a manifest if the registry doesn't."""
    return f"{digest.algorithm}-{digest.hex[:MAX_TAG_HEX]}"


async def digest_tags(tags: AsyncIterable[str]) -> frozenset[str]:
    """The tags that begin with a digest. Raises TransferError for more than MAX_DIGEST_TAGS."""
    found: set[str] = set()
    async for tag in tags:
        if tag.startswith(_ALGORITHMS):
            found.add(tag)
        if len(found) > MAX_DIGEST_TAGS:
            raise TransferError(f"more than {MAX_DIGEST_TAGS} tags that begin with a digest; --no-referrers skips them")
    return frozenset(found)


def with_referrer(before: Manifest | None, manifest: Manifest) -> bytes | None:
    """The content of a list of referrers with one more; None if it contains that one already.

    Existing entries stay unchanged. OCI Distribution 1.1, "Pushing Manifests with Subject".
    """
    listed: list[Any] = [] if before is None else json.loads(before.content).get("manifests") or []
    if before is not None and any(child.digest == manifest.digest for child in before.children):
        return None
    entry = {**manifest.descriptor.to_json(), **manifest.listed_with}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*listed, entry]}
    return json.dumps(index, separators=(",", ":")).encode()


async def find_attached(
    source: ReferrersSource, subjects: Iterable[Digest], tags: Collection[str]
) -> tuple[Attached, ...]:
    """Everything attached to some manifests, and to these in turn; each after its subject.

    `tags`: the repository's, from `digest_tags`. Raises TransferError if there are too many or too deep, and what the
    source raises.
    """
    found: dict[tuple[Digest, str | None], Attached] = {}
    level = tuple(dict.fromkeys(subjects))
    seen = set(level)
    finder = _Finder(source, tags, asyncio.Semaphore(JOBS))
    for _ in range(MAX_DEPTH):
        attached = await asyncio.gather(*map(finder.find, level))
        following: dict[Digest, None] = {}
        for one in (one for some in attached for one in some):
            found.setdefault((one.manifest.digest, one.tag), one)
            if one.manifest.digest not in seen:
                following[one.manifest.digest] = None
        if len(found) > MAX_REFERRERS:
            raise TransferError(f"more than {MAX_REFERRERS} manifests refer to it; --no-referrers skips them")
        if not following:
            return tuple(found.values())
        seen |= following.keys()
        level = tuple(following)
    raise TransferError(f"its referrers have referrers, more than {MAX_DEPTH} levels deep; --no-referrers skips them")


async def transfer_missing(
    attached: Iterable[Attached],
    source: Source,
    destination: ReferrersDestination,
    *,
    is_dry: bool,
    turns: asyncio.Semaphore,
    progress: Progress,
) -> tuple[int, int]:
    """Transfer what the destination lacks. Returns the number of manifests, and the bytes of their blobs that moved.

    With `is_dry` it counts only. Raises what `transfer_image` raises.
    """
    listed: dict[Digest, set[Digest]] = {}
    count = moved_bytes = 0
    for one in attached:
        if one.tag is not None:
            is_there = await destination.find_digest(one.tag) == one.manifest.digest
        else:
            if one.subject not in listed:
                listed[one.subject] = {each.digest for each in await destination.referrers(one.subject)}
            is_there = one.manifest.digest in listed[one.subject]
        if is_there:
            continue
        count += 1
        if not is_dry:
            moved = await transfer_image(source, destination, one.manifest, one.tag, turns=turns, progress=progress)
            moved_bytes += moved.moved_bytes
    return count, moved_bytes


@dataclass(slots=True)
class _Finder:
    source: ReferrersSource
    tags: Collection[str]
    turns: asyncio.Semaphore
    held_bytes: int = 0

    async def find(self, digest: Digest) -> list[Attached]:
        """The manifests attached to one. Raises TransferError."""
        async with self.turns:
            tag = referrers_tag(digest)
            listed = [descriptor.digest for descriptor in await self.source.referrers(digest)]
            if tag in self.tags:  # written by a client before the registry listed referrers
                listed += [child.digest for child in (await self.source.manifest(tag)).children]
            if len(listed) > MAX_REFERRERS:
                raise TransferError(f"more than {MAX_REFERRERS} manifests refer to {digest}; --no-referrers skips them")
            found = []
            for one in dict.fromkeys(listed):
                try:
                    manifest = await self._read(one)
                except Missing:  # lists under tags keep naming deleted manifests
                    continue
                if manifest.subject is not None and manifest.subject.digest == digest:
                    found.append(Attached(manifest, digest))
            beside = [name for name in sorted(self.tags) if name.startswith(f"{tag}.")]
            return found + [Attached(await self._read(name), digest, name) for name in beside]

    async def _read(self, reference: str | Digest) -> Manifest:
        manifest = await self.source.manifest(reference)
        self.held_bytes += len(manifest.content)
        if self.held_bytes > MAX_BYTES:
            raise TransferError(f"its referrers take more than {MAX_BYTES >> 20} MiB; --no-referrers skips them")
        return manifest
