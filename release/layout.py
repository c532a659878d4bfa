"""The image as an OCI image layout: layers, configuration and manifest for each architecture, and their index."""

import asyncio
import gzip
import json
import os
import time
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from authproxy.digest import Digest
from authproxy.images.archive.staging import Staging
from authproxy.oci.manifest import Descriptor, Manifest
from authproxy.oci.media_types import OCI_CONFIG, OCI_IMAGE, OCI_INDEX
from release.cache import cache_folder
from release.filesystem import AUTHPROXY_HOME, DATA, FileSystem
from release.plan import Plan

OCI_EMPTY = "application/vnd.oci.empty.v1+json"
OCI_TAR_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
LEVEL = 6
SECOND_NS = 1_000_000_000
LAYERS = ("Debian packages", "dependencies of authproxy", "authproxy")


@dataclass(frozen=True, slots=True)
class PlatformImage:
    """A stored image for one architecture."""

    manifest: Manifest
    architecture: str
    size: int  # bytes of all files
    compressed: int  # bytes of all layers


def annotations(plan: Plan, made: FileSystem | None = None) -> dict[str, str]:
    """The annotations of the index or of one manifest; the configuration has them as labels."""
    found = {
        "org.opencontainers.image.title": "authproxy",
        "org.opencontainers.image.description": (
            "The registry's front door: TLS, docker login, tokens by policy, and an OCI registry"
        ),
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": plan.version,
        "org.opencontainers.image.revision": plan.revision,
        "org.opencontainers.image.created": rfc3339(plan.epoch),
    }
    if made is not None:
        found["authproxy.debian.packages"] = " ".join(f"{one.name}={one.version}" for one in made.packages)
    return found


def rfc3339(seconds: int) -> str:
    """A time as annotations have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def configuration(plan: Plan, made: FileSystem, diff_ids: Iterable[Digest]) -> dict[str, Any]:
    """The image's configuration: OCI Image 1.1, "OCI Image Configuration", and docker's Healthcheck."""
    created = rfc3339(plan.epoch)
    return {
        "created": created,
        "architecture": made.architecture.name,
        "os": "linux",
        "config": {
            "Env": [
                "PATH=/opt/authproxy/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "PYTHONUNBUFFERED=1",
                "PYTHONDONTWRITEBYTECODE=1",
                "AUTHPROXY_RUN_AS=65532:65532",
                f"AUTHPROXY_HOME=/{AUTHPROXY_HOME}",
            ],
            # It begins as root for ports below 1024 and for data that belongs to root, and steps down:
            # docs/decisions/0028-step-down-from-root-in-the-image.md.
            "Entrypoint": ["authproxy"],
            "Cmd": ["serve"],
            "ExposedPorts": {"5000/tcp": {}},
            "Volumes": {f"/{DATA}": {}},
            "Healthcheck": {
                "Test": ["CMD", "authproxy", "health"],
                "Interval": 30 * SECOND_NS,
                "Timeout": 10 * SECOND_NS,
                "StartPeriod": 10 * SECOND_NS,
            },
            "Labels": annotations(plan),
        },
        "rootfs": {"type": "layers", "diff_ids": [str(digest) for digest in diff_ids]},
        "history": [{"created": created, "created_by": "python -m release image", "comment": one} for one in LAYERS],
    }


async def put_image(stage: Staging, plan: Plan, made: FileSystem) -> PlatformImage:
    """Store the image for one architecture."""
    plains = [tree.tar() for tree in made.layers]
    diff_ids = [Digest.of(plain) for plain in plains]
    compressed = await asyncio.gather(
        *(asyncio.to_thread(compress, *both) for both in zip(plains, diff_ids, strict=True))
    )
    layers = [await put_blob(stage, OCI_TAR_GZIP, layer) for layer in compressed]
    config = await put_blob(stage, OCI_CONFIG, as_json(configuration(plan, made, diff_ids)))
    manifest = await put_manifest(
        stage,
        {
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE,
            "config": config.to_json(),
            "layers": [layer.to_json() for layer in layers],
            "annotations": annotations(plan, made),
        },
    )
    size = sum(layer.size for layer in made.layers)
    return PlatformImage(manifest, made.architecture.name, size, sum(layer.size for layer in layers))


async def attach(stage: Staging, image: PlatformImage, media_type: str, name: str, content: bytes) -> Manifest:
    """Store a file as a referrer of an image: OCI Image 1.1, "Guidelines for Artifact Usage"."""
    config = await put_blob(stage, OCI_EMPTY, b"{}")
    blob = await put_blob(stage, media_type, content)
    manifest = await put_manifest(
        stage,
        {
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE,
            "artifactType": media_type,
            "config": config.to_json(),
            "layers": [{**blob.to_json(), "annotations": {"org.opencontainers.image.title": name}}],
            "subject": image.manifest.descriptor.to_json(),
        },
    )
    stage.attached.append(manifest)
    return manifest


def compress(plain: bytes, diff_id: Digest) -> bytes:
    """A layer in gzip's format. Two of three layers are those of the build before: the cache has them.

    What the cache has must decompress to this layer.
    """
    kept = cache_folder("layers") / f"{diff_id.hex}-{LEVEL}-{zlib.ZLIB_RUNTIME_VERSION}.gz"
    if kept.exists():
        compressed = kept.read_bytes()
        with suppress(OSError, EOFError, zlib.error):
            if gzip.decompress(compressed) == plain:
                return compressed
    compressed = gzip.compress(plain, LEVEL, mtime=0)
    unfinished = kept.with_name(f".{kept.name}.{os.getpid()}")
    unfinished.write_bytes(compressed)
    unfinished.rename(kept)
    return compressed


async def put_index(stage: Staging, plan: Plan, images: Iterable[PlatformImage], name: str) -> Manifest:
    """Store the index of images, and name it."""
    entries = [
        {
            **image.manifest.descriptor.to_json(),
            "platform": {"architecture": image.architecture, "os": "linux"},
        }
        for image in images
    ]
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries, "annotations": annotations(plan)}
    return await put_manifest(stage, body, name)


async def put_blob(stage: Staging, media_type: str, content: bytes) -> Descriptor:
    """Store a blob."""

    async def pieces() -> AsyncIterator[bytes]:
        yield content

    descriptor = Descriptor(media_type, Digest.of(content), len(content))
    if not await stage.has(descriptor):
        await stage.put_blob(descriptor, pieces())
    return descriptor


async def put_manifest(stage: Staging, body: Mapping[str, Any], name: str | None = None) -> Manifest:
    """Store a manifest or an index."""
    manifest = Manifest.read(as_json(body))
    await stage.put_manifest(manifest, name)
    return manifest


def as_json(value: object) -> bytes:
    """JSON that is the same for the same value."""
    return json.dumps(value, separators=(",", ":")).encode()
