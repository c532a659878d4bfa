"""Manifests: image manifests and indexes of OCI Image 1.1 and of Docker's schema 2. No I/O.

Parsed as any registry or archive may hold them. `registry/manifest_checks.py` decides which our registry accepts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Self, cast

from authproxy.digest import Digest, parse_digest
from authproxy.errors import DigestInvalid, ManifestInvalid
from authproxy.oci.media_types import INDEXES, MANIFESTS, NON_DISTRIBUTABLE, OCI_IMAGE, OCI_INDEX, SCHEMA_1

# The fields of most descriptors: without others there is no more to parse.
_USUAL_FIELDS = frozenset({"mediaType", "digest", "size", "platform"})
# Fields that say what a manifest is, and what it needs.
_READ = frozenset({"schemaVersion", "mediaType", "config", "layers", "manifests", "subject"})
_READ_FOLDED = frozenset(field.casefold() for field in _READ)

# The characters whose number decides the time to parse.
_PARTS = (b"{", b"[", b",")


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """The platform of an image, in Go's terms: `linux/amd64`, `linux/arm64/v8`."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `os/architecture[/variant]`. Raises ValueError with the message."""
        parts = text.split("/")
        if len(parts) not in {2, 3} or not all(parts):
            raise ValueError(f"{text!r} is not a platform: write os/architecture, linux/amd64 or linux/arm64/v8")
        return cls(*parts)

    def is_met_by(self, other: "Platform") -> bool:
        """Whether an image for `other` runs on this platform. A platform without a variant is met by any variant."""
        return (self.os, self.architecture) == (other.os, other.architecture) and self.variant in ("", other.variant)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A reference to content: OCI Image 1.1, "Content Descriptors"."""

    media_type: str
    digest: Digest
    size: int  # bytes
    platform: Platform | None = None  # of an index's entry
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    urls: tuple[str, ...] = ()  # other places to download a layer from
    artifact_type: str | None = None  # of an entry in a list of referrers

    @classmethod
    def from_json(cls, value: object, place: str) -> Self:
        """Parse a descriptor; invalid optional fields are left out. Raises ManifestInvalid.

        `place` is its place in the manifest, for the error: `layers[0]`.
        """
        match value:
            case {"mediaType": str(media_type), "digest": str(text), "size": int(size)} if size >= 0 and not isinstance(
                size, bool
            ):
                pass
            case _:
                _refuse(f"{place} is not a descriptor: it needs a mediaType, a digest and a size in bytes")
        try:
            digest = parse_digest(text)
        except DigestInvalid as error:
            raise ManifestInvalid(f"{place}: {error}", detail=error.detail) from None
        assert isinstance(value, dict)
        platform = _find_platform(value["platform"]) if "platform" in value else None
        if value.keys() <= _USUAL_FIELDS:
            return cls(media_type, digest, size, platform)
        urls, artifact_type = value.get("urls"), value.get("artifactType")
        return cls(
            media_type,
            digest,
            size,
            platform,
            _texts(value.get("annotations")),
            tuple(url for url in urls if isinstance(url, str)) if isinstance(urls, list) else (),
            artifact_type if isinstance(artifact_type, str) else None,
        )

    def to_json(self) -> dict[str, Any]:
        """The fields that every descriptor has."""
        return {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}

    @property
    def is_elsewhere(self) -> bool:
        """Whether a registry need not hold its content: a non-distributable layer with `urls`."""
        return self.media_type in NON_DISTRIBUTABLE and bool(self.urls)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest: its bytes and their fields. An index has children; an image has a configuration and layers."""

    media_type: str
    content: bytes = field(repr=False, compare=False)  # the digest is compared instead
    digest: Digest
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    artifact_type: str | None = None
    listed_with: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """Of a manifest with a subject: see `describe_referrer`."""

    @classmethod
    def read(cls, content: bytes, media_type: str | None = None, digest: Digest | None = None) -> Self:
        """Parse a manifest's bytes. Raises ManifestInvalid.

        `media_type` is the type that its source states, `digest` a verified digest; by default both are taken from the
        content.
        """
        body = parse_object(content)
        actual = infer_media_type(body)
        claimed = media_type or actual
        if claimed in SCHEMA_1 or body.get("schemaVersion") == 1:
            _refuse("it is Docker's schema 1, which registries no longer accept: push the image again")
        if claimed not in MANIFESTS:
            _refuse(f"{claimed[:200]!r} is not the type of an image manifest or an index")
        if actual in MANIFESTS and (actual in INDEXES) != (claimed in INDEXES):
            _refuse(f"it is {actual} by its content, but was given as {claimed}")
        return cls.from_json(body, claimed, content, digest or Digest.of(content))

    @classmethod
    def from_json(cls, body: dict[str, Any], media_type: str, content: bytes, digest: Digest) -> Self:
        """The manifest of a parsed body. Raises ManifestInvalid for an invalid descriptor."""
        is_index = media_type in INDEXES
        subject, artifact_type = body.get("subject"), body.get("artifactType")
        return cls(
            media_type,
            content,
            digest,
            config=None if is_index else Descriptor.from_json(body.get("config"), "config"),
            layers=() if is_index else _descriptors(body, "layers"),
            children=_descriptors(body, "manifests") if is_index else (),
            subject=Descriptor.from_json(subject, "subject") if subject else None,
            annotations=_texts(body.get("annotations")),
            artifact_type=artifact_type if isinstance(artifact_type, str) else None,
            listed_with=describe_referrer(body, media_type) if subject else {},
        )

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests."""
        return self.media_type in INDEXES

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The blobs that a registry must hold before it accepts this manifest, each once: configuration and layers."""
        named = (*self.layers, *((self.config,) if self.config else ()))
        return tuple({blob.digest: blob for blob in named}.values())

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of this manifest, as in an index."""
        return Descriptor(self.media_type, self.digest, len(self.content))


def parse_object(content: bytes, *, max_parts: int | None = None) -> dict[str, Any]:
    """Parse a manifest into a JSON object. Raises ManifestInvalid, also if it has more parts than `max_parts`.

    Parts are its objects, lists and commas. Those within texts count too, which only makes the limit stricter.
    """
    if max_parts is not None and (parts := sum(map(content.count, _PARTS))) > max_parts:
        _refuse(f"the manifest has more than {max_parts} objects, lists and commas", parts=parts, limit=max_parts)
    try:
        # Decoded here: json would also detect UTF-16 and UTF-32, which other programs refuse.
        body = json.loads(content.decode(), parse_constant=_refuse_constant)
    except RecursionError:
        raise ManifestInvalid("the manifest is nested too deeply") from None
    except ValueError as error:
        raise ManifestInvalid("the manifest is not JSON in UTF-8", detail={"reason": str(error)[:200]}) from None
    if not isinstance(body, dict):
        _refuse("the manifest is not a JSON object")
    return body


def infer_media_type(body: Mapping[str, Any]) -> str:
    """The `mediaType`; without one, an OCI index if there is a list of manifests, otherwise an OCI image.

    Raises ManifestInvalid if it is not text. CNCF Distribution infers the same.
    """
    media_type = body.get("mediaType")
    if isinstance(media_type, str) and media_type:
        return media_type
    if media_type:
        _refuse("mediaType is not text")
    return OCI_INDEX if "manifests" in body else OCI_IMAGE


def find_ambiguous(body: Mapping[str, Any]) -> str | None:
    """A field that programs written in Go, CNCF Distribution among them, read as another: "Layers" as layers."""
    return next((key for key in body if key not in _READ and key.casefold() in _READ_FOLDED), None)


def media_type_of(content: bytes) -> str:
    """The media type of a stored manifest, by its content. Raises ManifestInvalid."""
    return infer_media_type(parse_object(content))


def describe_referrer(body: Mapping[str, Any], media_type: str) -> dict[str, Any]:
    """The fields of a manifest in a list of referrers, besides its media type, digest and size.

    `artifactType` is the manifest's own, otherwise the media type of an image's config; an index without one has none.
    OCI Distribution 1.1, "Listing Referrers".
    """
    found: dict[str, Any] = {}
    match body:
        case {"artifactType": str(artifact_type)} if artifact_type:
            found["artifactType"] = artifact_type
        case {"config": {"mediaType": str(config_type)}} if config_type and media_type not in INDEXES:
            found["artifactType"] = config_type
        case _:
            pass
    if (annotations := body.get("annotations")) and isinstance(annotations, dict):
        found["annotations"] = _texts(annotations)
    return found


def find_digest(descriptor: object) -> Digest | None:
    """The digest in a descriptor, whatever its other fields are. None if there is no valid digest."""
    match descriptor:
        case {"digest": str(text)}:
            try:
                return parse_digest(text)
            except DigestInvalid:
                return None
        case _:
            return None


def find_subject(content: bytes) -> Digest | None:
    """The subject of a stored manifest. None if it has none or cannot be read."""
    try:
        subject = parse_object(content).get("subject")
        return Descriptor.from_json(subject, "subject").digest if subject else None
    except ManifestInvalid:
        return None


def platform_of_config(content: bytes) -> Platform | None:
    """The platform in an image's configuration. None if it has none, like an artifact's."""
    try:
        return _find_platform(json.loads(content))
    except (ValueError, RecursionError):
        return None


def _descriptors(body: dict[str, Any], key: str) -> tuple[Descriptor, ...]:
    """The descriptors of a list, which may be empty; clients written in Go send an empty list as null."""
    value = body.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        _refuse(f"{key} is not a list")
    return tuple([Descriptor.from_json(entry, f"{key}[{place}]") for place, entry in enumerate(value)])


def _find_platform(value: object) -> Platform | None:
    match value:
        case {"architecture": str(architecture), "os": str(system)}:
            variant = cast("dict[str, Any]", value).get("variant")
            return Platform(system, architecture, variant if isinstance(variant, str) else "")
        case _:
            return None


def _texts(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        return {}
    return {key: text for key, text in value.items() if isinstance(text, str)}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _refuse(reason: str, **detail: Any) -> NoReturn:
    raise ManifestInvalid(reason, detail=detail or None)
