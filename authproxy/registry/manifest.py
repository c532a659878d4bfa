"""What a manifest is: image manifests and indexes of OCI Image 1.1 and of Docker, read and checked. No I/O."""

import json
from dataclasses import dataclass
from typing import Any, NoReturn

from authproxy.digest import Digest, parse_digest
from authproxy.errors import DigestInvalid, ManifestInvalid

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


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that has been checked, and what has to be in the repository before it."""

    media_type: str
    blobs: tuple[Digest, ...] = ()  # an image's config and layers
    manifests: tuple[Digest, ...] = ()  # an index's entries


def parse_manifest(content: bytes, content_type: str | None) -> Manifest:
    """Read a manifest that is being pushed. Raises ManifestInvalid, which says what is wrong.

    `content_type` is the header as it came; its parameters are left out. It has to agree with what the content says of
    itself: a manifest that one reader takes for an image and another for an index hides one from the other
    (CVE-2021-41190).
    """
    body = _parse_object(content)
    if repr(body.get("schemaVersion")) != "2":  # neither True nor 2.0, which other readers refuse
        _refuse("schemaVersion has to be 2; images of schema 1 are converted by pushing them with a client of today")
    media_type = infer_media_type(body)
    claimed = (content_type or media_type).partition(";")[0].strip().lower()
    if claimed != media_type:
        raise ManifestInvalid(
            f"the manifest is {media_type}, but it was sent as {claimed}; where they differ, readers would too",
            detail={"mediaType": media_type[:200], "contentType": claimed[:200]},
        )
    if media_type in INDEXES:
        manifest = _read_index(body, media_type)
    elif media_type in IMAGES:
        manifest = _read_image(body, media_type)
    else:
        _refuse(f"mediaType {media_type[:200]!r} is none that this registry can check", supported=[*IMAGES, *INDEXES])
    if body.get("subject") is not None:
        _read_descriptor(body["subject"], "subject")
    return manifest


def media_type_of(content: bytes) -> str:
    """The media type of a stored manifest: whatever its content says, as CNCF Distribution infers it."""
    return infer_media_type(_parse_object(content))


def infer_media_type(body: dict[str, Any]) -> str:
    """The `mediaType`; absent, an index where there is a list of manifests, otherwise an image of OCI."""
    media_type = body.get("mediaType")
    if isinstance(media_type, str) and media_type:
        return media_type
    if media_type:
        _refuse("mediaType is not text")
    return OCI_INDEX if "manifests" in body else OCI_IMAGE


def _read_image(body: dict[str, Any], media_type: str) -> Manifest:
    if "manifests" in body:
        _refuse("it has manifests, which belong in an index, and is an image by its media type")
    blobs = [_read_descriptor(body.get("config"), "config")[0]]
    for place, entry in enumerate(_read_list(body, "layers")):
        digest, layer_type = _read_descriptor(entry, f"layers[{place}]")
        if not (layer_type in NON_DISTRIBUTABLE and entry.get("urls")):
            blobs.append(digest)
    return Manifest(media_type, blobs=tuple(dict.fromkeys(blobs)))


def _read_index(body: dict[str, Any], media_type: str) -> Manifest:
    if "layers" in body or "config" in body:
        _refuse("it has layers or a config, which belong in an image, and is an index by its media type")
    entries = [
        _read_descriptor(entry, f"manifests[{place}]")[0] for place, entry in enumerate(_read_list(body, "manifests"))
    ]
    return Manifest(media_type, manifests=tuple(dict.fromkeys(entries)))


def _read_list(body: dict[str, Any], key: str) -> list[Any]:
    """A list that may be empty; clients written in Go send an empty one as null."""
    value = body.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        _refuse(f"{key} is not a list")
    return value


def _read_descriptor(entry: object, place: str) -> tuple[Digest, str]:
    """OCI Image 1.1, "Content Descriptors": mediaType, digest and size are required."""
    match entry:
        case {"mediaType": str(media_type), "digest": str(text), "size": int(size)} if repr(size).isdecimal():
            pass
        case _:
            _refuse(f"{place} is no descriptor: it needs a mediaType, a digest and a size in bytes")
    try:
        return parse_digest(text), media_type
    except DigestInvalid as error:
        raise ManifestInvalid(f"{place}: {error}", detail=error.detail) from None


def _parse_object(content: bytes) -> dict[str, Any]:
    try:
        # Decoded here: json would guess at UTF-16 and UTF-32, which other readers refuse.
        body = json.loads(content.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ManifestInvalid("the manifest is not JSON in UTF-8", detail={"reason": str(error)[:200]}) from None
    if not isinstance(body, dict):
        _refuse("the manifest is no JSON object")
    return body


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _refuse(reason: str, **detail: Any) -> NoReturn:
    raise ManifestInvalid(reason, detail=detail or None)
