"""Details of an image: its platforms, their layers and configuration, and when it was created."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from authproxy.digest import Digest
from authproxy.images.endpoints import Missing, Source
from authproxy.images.transfer import MAX_DEPTH
from authproxy.oci.manifest import Descriptor, Manifest, Platform, platform_of_config

# A configuration has a few KB; anything larger is an artifact's content.
MAX_CONFIG_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Variant:
    """An image for one platform, or an artifact without a platform."""

    manifest: Manifest
    platform: Platform | None
    created: dt.datetime | None
    config: Mapping[str, Any] = field(default_factory=dict)  # the `config` of its configuration: Cmd, Env, Labels, …

    @property
    def size(self) -> int:
        """Bytes of configuration and layers, as stored in the registry."""
        return sum(blob.size for blob in self.manifest.blobs)


@dataclass(frozen=True, slots=True)
class Details:
    """An image with all its variants; an image without an index has one."""

    manifest: Manifest
    variants: tuple[Variant, ...]

    @property
    def size(self) -> int:
        """Bytes of all variants together; shared blobs count once."""
        blobs = {blob.digest: blob.size for variant in self.variants for blob in variant.manifest.blobs}
        return sum(blobs.values())

    @property
    def platforms(self) -> tuple[str, ...]:
        """In the order of the index, without `unknown`, which BuildKit uses for attestations."""
        found = (variant.platform for variant in self.variants)
        return tuple(str(platform) for platform in found if platform is not None and platform.os != "unknown")

    @property
    def created(self) -> dt.datetime | None:
        """The newest creation date of its variants, as they state it."""
        return max((variant.created for variant in self.variants if variant.created is not None), default=None)


async def read_details(source: Source, reference: str | Digest) -> Details:
    """Read an image with its children and configurations, but not its layers. Raises what the source raises."""
    root = await source.manifest(reference)
    found: list[Variant] = []
    for manifest, platform in await _images(source, root):
        content = await _read_config(source, manifest.config)
        about = _parse(content)
        found.append(
            Variant(
                manifest,
                platform or platform_of_config(content),
                _moment(about.get("created")) or _moment(manifest.annotations.get("org.opencontainers.image.created")),
                about["config"] if isinstance(about.get("config"), dict) else {},
            )
        )
    return Details(root, tuple(found))


async def _images(source: Source, root: Manifest, depth: int = 0) -> Sequence[tuple[Manifest, Platform | None]]:
    if not root.is_index:
        return [(root, None)]
    if depth > MAX_DEPTH:
        raise Missing(f"index {root.digest} is nested {depth} levels deep; at most {MAX_DEPTH} can be read")
    found: list[tuple[Manifest, Platform | None]] = []
    for child in root.children:
        try:
            manifest = await source.manifest(child.digest)
        except Missing:  # a mirror may have some of the platforms
            continue
        found += [(one, platform or child.platform) for one, platform in await _images(source, manifest, depth + 1)]
    return found


async def _read_config(source: Source, config: Descriptor | None) -> bytes:
    if config is None or config.size > MAX_CONFIG_BYTES:
        return b""
    content = bytearray()
    async for piece in source.blob(config):
        content += piece
    return bytes(content)


def _parse(content: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _moment(text: object) -> dt.datetime | None:
    """Parse RFC 3339, as in configurations. None if it is invalid, or the year 1, Go's value for no date."""
    try:
        moment = dt.datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        return None
    return None if moment.year == 1 or moment.tzinfo is None else moment
