"""The format of manifests that our registry accepts: images and indexes of OCI Image 1.1 and of Docker. No I/O."""

from typing import Any, NoReturn

from authproxy.budget import MAX_DESCRIPTORS, MAX_MANIFEST_PARTS
from authproxy.digest import Digest
from authproxy.errors import ManifestInvalid
from authproxy.oci.manifest import Descriptor, Manifest, find_ambiguous, infer_media_type, parse_object
from authproxy.oci.media_types import IMAGES, INDEXES, MANIFESTS, OCI_ARTIFACT, SCHEMA_1

# The longest manifest, in bytes. OCI Distribution 1.1, "Pushing Manifests": registries should accept at least this.
MAX_BYTES = 4 * 1024 * 1024

# Obsolete manifests, and what to do instead.
_OBSOLETE = {
    **dict.fromkeys(SCHEMA_1, "push it again with a current client"),
    OCI_ARTIFACT: "OCI Image 1.1 uses an image manifest with artifactType instead",
}

# Other programs hold a size as an int64.
_MAX_SIZE = 2**63 - 1


def parse_manifest(content: bytes, content_type: str | None, digest: Digest | None = None) -> Manifest:
    """Parse a manifest that a client pushes. Raises ManifestInvalid with the reason.

    `content_type` is the header as received; its parameters are ignored. It must agree with the media type in the
    content: a manifest that one reader takes for an image and another for an index hides one from the other
    (CVE-2021-41190). `digest` is the content's, if it is known.
    """
    body = parse_object(content, max_parts=MAX_MANIFEST_PARTS)
    media_type = infer_media_type(body)
    _check_media_type(body, media_type, content_type)
    _check_texts(body)
    _check_structure(body, media_type)
    manifest = Manifest.from_json(body, media_type, content, digest or Digest.of(content))
    _check_descriptors(body, manifest)
    return manifest


def _check_media_type(body: dict[str, Any], media_type: str, content_type: str | None) -> None:
    claimed = content_type.partition(";")[0].strip().lower() if content_type else None
    if fix := _OBSOLETE.get(claimed or media_type):
        _refuse(f"{claimed or media_type} is no longer accepted: {fix}", supported=[*MANIFESTS])
    if repr(body.get("schemaVersion")) != "2":  # neither True nor 2.0, which other readers refuse
        _refuse("schemaVersion must be 2; to convert an image of schema 1, push it with a current client")
    if claimed and claimed != media_type:
        raise ManifestInvalid(
            f"the manifest is {media_type[:200]}, but its Content-Type is {claimed[:200]}: both must be the same, so"
            " that all clients read it as the same kind",
            detail={"mediaType": media_type[:200], "contentType": claimed[:200]},
        )


def _check_texts(body: dict[str, Any]) -> None:
    """Refuse values that would make a list of referrers invalid for every client."""
    if not isinstance(body.get("artifactType") or "", str):
        _refuse("artifactType is not text")
    annotations = body.get("annotations") or {}
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        _refuse("annotations must be an object whose values are all text")


def _check_structure(body: dict[str, Any], media_type: str) -> None:
    """Refuse a manifest that is both an image and an index, or neither, or has too many descriptors.

    Or one that programs read differently: CVE-2021-41190 again.
    """
    if (field := find_ambiguous(body)) is not None:
        _refuse(f"it has the field {field[:40]!r}, which some programs read without regard to case, and others don't")
    if media_type in INDEXES:
        if "layers" in body or "config" in body:
            _refuse("its media type is an index, but it has layers or a config, which belong in an image")
        _check_length(body, "manifests")
    elif media_type in IMAGES:
        if "manifests" in body:
            _refuse("its media type is an image, but it has manifests, which belong in an index")
        _check_length(body, "layers")
    else:
        _refuse(f"this registry does not support the mediaType {media_type[:200]!r}", supported=[*MANIFESTS])


def _check_length(body: dict[str, Any], key: str) -> None:
    value = body.get(key)
    if isinstance(value, list) and len(value) > MAX_DESCRIPTORS:
        _refuse(f"{key} has {len(value)} entries; this registry accepts at most {MAX_DESCRIPTORS} in one manifest")


def _check_descriptors(body: dict[str, Any], manifest: Manifest) -> None:
    if body.get("subject") is not None:
        _check_descriptor(body["subject"], manifest.subject, "subject")
    if manifest.config is not None:
        _check_descriptor(body["config"], manifest.config, "config")
    for key, descriptors in (("layers", manifest.layers), ("manifests", manifest.children)):
        for number, descriptor in enumerate(descriptors):
            entry = body[key][number]
            if descriptor.size > _MAX_SIZE or "urls" in entry:
                _check_descriptor(entry, descriptor, f"{key}[{number}]")


def _check_descriptor(entry: Any, descriptor: Descriptor | None, place: str) -> None:
    """OCI Image 1.1, "Content Descriptors": a size that every program can hold, and urls that are texts."""
    if descriptor is None or descriptor.size > _MAX_SIZE:
        _refuse(f"{place} is not a descriptor: it needs a mediaType, a digest and a size in bytes")
    urls = entry.get("urls")
    if urls and not (isinstance(urls, list) and len(urls) == len(descriptor.urls)):
        _refuse(f"{place}: urls must be a list of texts")


def _refuse(reason: str, **detail: Any) -> NoReturn:
    raise ManifestInvalid(reason, detail=detail or None)
