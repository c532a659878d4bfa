"""Manifests as clients read them: image manifests and indexes of OCI Image 1.1 and of Docker, schema 2. No I/O.

`registry/manifest_checks.py` decides what our registry takes; here is what anybody's registry or archive may hold, with
the parts that a client needs: platforms with their variants, and annotations.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from authproxy.digest import Digest, parse_digest
from authproxy.errors import DigestInvalid, ManifestInvalid
from authproxy.registry.manifest_checks import IMAGES, INDEXES, NON_DISTRIBUTABLE, infer_media_type, parse_object

SCHEMA_1 = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)


class UnreadableManifest(Exception):
    """A manifest that is none, or of a kind that is not read: one sentence."""


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """What an image runs on, in Go's words: `linux/amd64`, `linux/arm64/v8`."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `os/architecture[/variant]`. Raises ValueError, with the sentence."""
        parts = text.split("/")
        if len(parts) not in {2, 3} or not all(parts):
            raise ValueError(f"{text!r} is no platform: it is os/architecture, say linux/amd64 or linux/arm64/v8")
        return cls(*parts)

    def is_met_by(self, other: "Platform") -> bool:
        """Whether an image for `other` is one for this platform. Without a variant here, any will do."""
        return (self.os, self.architecture) == (other.os, other.architecture) and self.variant in ("", other.variant)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest names: OCI Image 1.1, "Content Descriptors"."""

    media_type: str
    digest: Digest
    size: int  # bytes
    platform: Platform | None = None  # of an index's entry
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    urls: tuple[str, ...] = ()  # where else a layer can be had
    artifact_type: str | None = None  # of an entry in a list of referrers

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read a descriptor. Raises UnreadableManifest."""
        match value:
            case {"mediaType": str(media_type), "digest": str(text), "size": int(size), **more} if (
                size >= 0 and not isinstance(size, bool)
            ):
                pass
            case _:
                raise UnreadableManifest("a descriptor needs a mediaType, a digest and a size in bytes")
        try:
            digest = parse_digest(text)
        except DigestInvalid as error:
            raise UnreadableManifest(f"{text[:100]!r}: {error}") from None
        urls, artifact_type = more.get("urls") or (), more.get("artifactType")
        return cls(
            media_type,
            digest,
            size,
            _find_platform(more.get("platform")),
            _texts(more.get("annotations")),
            tuple(url for url in urls if isinstance(url, str)) if isinstance(urls, list) else (),
            artifact_type if isinstance(artifact_type, str) else None,
        )

    @property
    def is_elsewhere(self) -> bool:
        """Whether its content need not be beside its manifest: a layer that not everybody may hand on."""
        return self.media_type in NON_DISTRIBUTABLE and bool(self.urls)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest: its very bytes, and what they say. An index has children, an image a configuration and layers."""

    media_type: str
    content: bytes = field(repr=False)
    digest: Digest
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    artifact_type: str | None = None

    @classmethod
    def read(cls, content: bytes, media_type: str | None = None, digest: Digest | None = None) -> Self:
        """Read a manifest's bytes. Raises UnreadableManifest.

        `media_type` is what it was said to be, `digest` what it was had by, already compared; without them they are
        taken from the content.
        """
        try:
            body = parse_object(content, max_parts=None)
            actual = infer_media_type(body)
        except ManifestInvalid as error:
            raise UnreadableManifest(str(error)) from None
        claimed = media_type or actual
        if claimed in SCHEMA_1 or body.get("schemaVersion") == 1:
            raise UnreadableManifest("it is Docker's schema 1, which registries no longer take: push the image again")
        if claimed not in (*IMAGES, *INDEXES):
            raise UnreadableManifest(f"{claimed[:200]!r} is no manifest of an image or an index")
        if actual in (*IMAGES, *INDEXES) and (actual in INDEXES) != (claimed in INDEXES):
            raise UnreadableManifest(f"it is {actual} by its content, and was given as {claimed}")
        of_index = claimed in INDEXES
        subject, artifact_type = body.get("subject"), body.get("artifactType")
        return cls(
            claimed,
            content,
            digest or Digest.of(content),
            config=None if of_index else Descriptor.from_json(body.get("config")),
            layers=() if of_index else _descriptors(body, "layers"),
            children=_descriptors(body, "manifests") if of_index else (),
            subject=Descriptor.from_json(subject) if subject else None,
            annotations=_texts(body.get("annotations")),
            artifact_type=artifact_type if isinstance(artifact_type, str) else None,
        )

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests."""
        return self.media_type in INDEXES

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """What a registry has to hold before it takes this manifest, each once: the configuration and the layers."""
        named = (*self.layers, *((self.config,) if self.config else ()))
        return tuple({blob.digest: blob for blob in named}.values())

    @property
    def descriptor(self) -> Descriptor:
        """What an index says of this manifest."""
        return Descriptor(self.media_type, self.digest, len(self.content))


def platform_of_config(content: bytes) -> Platform | None:
    """The platform that an image's configuration names. None where it names none, as an artifact's."""
    try:
        return _find_platform(json.loads(content))
    except (ValueError, RecursionError):
        return None


def _descriptors(body: dict[str, Any], key: str) -> tuple[Descriptor, ...]:
    value = body.get(key)
    if value is not None and not isinstance(value, list):
        raise UnreadableManifest(f"{key} is not a list")
    return tuple(Descriptor.from_json(entry) for entry in value or ())


def _find_platform(value: object) -> Platform | None:
    match value:
        case {"architecture": str(architecture), "os": str(system), **more}:
            variant = more.get("variant")
            return Platform(system, architecture, variant if isinstance(variant, str) else "")
        case _:
            return None


def _texts(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        return {}
    return {key: text for key, text in value.items() if isinstance(text, str)}
