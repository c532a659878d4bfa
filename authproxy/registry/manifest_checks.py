"""What a manifest is: image manifests and indexes of OCI Image 1.1 and of Docker, read and checked. No I/O."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from authproxy.budget import MAX_DESCRIPTORS, MAX_MANIFEST_PARTS
from authproxy.digest import Digest, parse_digest
from authproxy.errors import DigestInvalid, ManifestInvalid
from authproxy.registry.options import Platform

# OCI Distribution 1.1, "Pushing Manifests": registries should take at least this much. In bytes.
MAX_BYTES = 4 * 1024 * 1024

OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

IMAGES = (OCI_IMAGE, DOCKER_IMAGE)
INDEXES = (OCI_INDEX, DOCKER_LIST)

# Layers that may not be handed on by everybody: with `urls` they need not be in this registry.
NON_DISTRIBUTABLE = (
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
)

# Manifests of other times, and what to do about them.
_PAST = {
    "application/vnd.docker.distribution.manifest.v1+json": "push it again with a client of today",
    "application/vnd.docker.distribution.manifest.v1+prettyjws": "push it again with a client of today",
    "application/vnd.oci.artifact.manifest.v1+json": "OCI Image 1.1 has an image manifest with artifactType instead",
}

# What costs time to parse.
_PARTS = (b"{", b"[", b",")

# Sizes are int64 for other readers.
_MAX_SIZE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest names: OCI Image 1.1, "Content Descriptors"."""

    media_type: str
    digest: Digest
    size: int  # bytes
    urls: tuple[str, ...] = ()  # where else a layer can be had
    platform: Platform | None = None  # of an index's entry


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that has been checked."""

    media_type: str
    config: Descriptor | None = None  # an image's; an index has none
    layers: tuple[Descriptor, ...] = ()  # an image's
    manifests: tuple[Descriptor, ...] = ()  # an index's entries
    subject: Digest | None = None  # the manifest that this one refers to
    listed_with: Mapping[str, Any] = field(default_factory=dict, compare=False)  # of one with a subject


def parse_manifest(content: bytes, content_type: str | None) -> Manifest:
    """Read a manifest that is being pushed. Raises ManifestInvalid, which says what is wrong.

    `content_type` is the header as it came; its parameters are left out. It has to agree with what the content says of
    itself: a manifest that one reader takes for an image and another for an index hides one from the other
    (CVE-2021-41190).
    """
    body = parse_object(content)
    claimed = content_type.partition(";")[0].strip().lower() if content_type else None
    media_type = infer_media_type(body)
    if fix := _PAST.get(claimed or media_type):
        _refuse(f"{claimed or media_type} is no longer taken: {fix}", supported=[*IMAGES, *INDEXES])
    if repr(body.get("schemaVersion")) != "2":  # neither True nor 2.0, which other readers refuse
        _refuse("schemaVersion has to be 2; images of schema 1 are converted by pushing them with a client of today")
    if claimed and claimed != media_type:
        raise ManifestInvalid(
            f"the manifest is {media_type[:200]}, but it was sent as {claimed[:200]}; where they differ, readers would"
            " too",
            detail={"mediaType": media_type[:200], "contentType": claimed[:200]},
        )
    _check_texts(body)
    subject = None if body.get("subject") is None else _read_descriptor(body["subject"], "subject").digest
    listed_with = {} if subject is None else describe_referrer(body, media_type)
    if media_type in INDEXES:
        return Manifest(media_type, manifests=_read_index(body), subject=subject, listed_with=listed_with)
    if media_type not in IMAGES:
        _refuse(f"mediaType {media_type[:200]!r} is none that this registry can check", supported=[*IMAGES, *INDEXES])
    config, layers = _read_image(body)
    return Manifest(media_type, config, layers, subject=subject, listed_with=listed_with)


def media_type_of(content: bytes) -> str:
    """The media type of a stored manifest: whatever its content says, as CNCF Distribution infers it."""
    return infer_media_type(parse_object(content, max_parts=None))


def find_subject(content: bytes) -> Digest | None:
    """The subject of a stored manifest. None where it has none, or is not readable."""
    try:
        body = parse_object(content, max_parts=None)
        return _read_descriptor(body["subject"], "subject").digest if body.get("subject") else None
    except ManifestInvalid:
        return None


def infer_media_type(body: dict[str, Any]) -> str:
    """The `mediaType`; absent, an index where there is a list of manifests, otherwise an image of OCI."""
    media_type = body.get("mediaType")
    if isinstance(media_type, str) and media_type:
        return media_type
    if media_type:
        _refuse("mediaType is not text")
    return OCI_INDEX if "manifests" in body else OCI_IMAGE


def describe_referrer(body: dict[str, Any], media_type: str) -> dict[str, Any]:
    """What a list of referrers says of a manifest beside its media type, digest and size.

    `artifactType` is the manifest's own, else the media type of an image's config; an index without one has none.
    """
    found: dict[str, Any] = {}
    match body:
        case {"artifactType": str(artifact_type)} if artifact_type:
            found["artifactType"] = artifact_type
        case {"config": {"mediaType": str(config_type)}} if config_type and media_type not in INDEXES:
            found["artifactType"] = config_type
        case _:
            pass
    match body.get("annotations"):
        case {**annotations} if annotations:
            found["annotations"] = {key: value for key, value in annotations.items() if isinstance(value, str)}
        case _:
            pass
    return found


def parse_object(content: bytes, *, max_parts: int | None = MAX_MANIFEST_PARTS) -> dict[str, Any]:
    """The JSON object that any manifest is. Raises ManifestInvalid, also where it has more parts than `max_parts`.

    Parts are its objects, lists and commas. Those within texts count too, which only makes the limit stricter.
    """
    if max_parts is not None and (parts := sum(map(content.count, _PARTS))) > max_parts:
        _refuse(f"the manifest has more than {max_parts} objects, lists and commas", parts=parts, limit=max_parts)
    try:
        # Decoded here: json would guess at UTF-16 and UTF-32, which other readers refuse.
        body = json.loads(content.decode(), parse_constant=_refuse_constant)
    except RecursionError:
        raise ManifestInvalid("the manifest is nested too deep") from None
    except ValueError as error:
        raise ManifestInvalid("the manifest is not JSON in UTF-8", detail={"reason": str(error)[:200]}) from None
    if not isinstance(body, dict):
        _refuse("the manifest is no JSON object")
    return body


def _read_image(body: dict[str, Any]) -> tuple[Descriptor, tuple[Descriptor, ...]]:
    if "manifests" in body:
        _refuse("it has manifests, which belong in an index, and is an image by its media type")
    layers = (_read_descriptor(entry, f"layers[{place}]") for place, entry in enumerate(_read_list(body, "layers")))
    return _read_descriptor(body.get("config"), "config"), tuple(layers)


def _read_index(body: dict[str, Any]) -> tuple[Descriptor, ...]:
    if "layers" in body or "config" in body:
        _refuse("it has layers or a config, which belong in an image, and is an index by its media type")
    entries = enumerate(_read_list(body, "manifests"))
    return tuple(_read_descriptor(entry, f"manifests[{place}]") for place, entry in entries)


def _check_texts(body: dict[str, Any]) -> None:
    """What a list of referrers copies has to be readable there: one entry must not spoil the list for all."""
    if not isinstance(body.get("artifactType") or "", str):
        _refuse("artifactType is not text")
    annotations = body.get("annotations") or {}
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        _refuse("annotations is not an object of texts")


def _read_list(body: dict[str, Any], key: str) -> list[Any]:
    """A list that may be empty; clients written in Go send an empty one as null."""
    value = body.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        _refuse(f"{key} is not a list")
    if len(value) > MAX_DESCRIPTORS:
        _refuse(f"{key} has {len(value)} entries; this registry takes {MAX_DESCRIPTORS} in one manifest")
    return value


def _read_descriptor(entry: object, place: str) -> Descriptor:
    """OCI Image 1.1, "Content Descriptors": mediaType, digest and size are required."""
    match entry:
        case {"mediaType": str(media_type), "digest": str(text), "size": int(size), **more} if (
            repr(size).isdecimal() and size <= _MAX_SIZE
        ):
            pass
        case _:
            _refuse(f"{place} is no descriptor: it needs a mediaType, a digest and a size in bytes")
    try:
        digest = parse_digest(text)
    except DigestInvalid as error:
        raise ManifestInvalid(f"{place}: {error}", detail=error.detail) from None
    urls = more.get("urls") or []
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        _refuse(f"{place}: urls is not a list of texts")
    return Descriptor(media_type, digest, size, tuple(urls), _find_platform(more.get("platform")))


def _find_platform(value: object) -> Platform | None:
    match value:
        case {"architecture": str(architecture), "os": str(system)}:
            return Platform(architecture, system)
        case _:
            return None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _refuse(reason: str, **detail: Any) -> NoReturn:
    raise ManifestInvalid(reason, detail=detail or None)
