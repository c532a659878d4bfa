"""`manifest.json` of `docker save`: which images an archive holds, as docker and podman write it.

[{"Config": "<hex>.json", "RepoTags": ["app:v1"], "Layers": ["<id>/layer.tar", …]}, …]
Source: moby, image/spec, "Combined Image JSON + Filesystem Changeset Format" 1.2.
"""

import posixpath
import re
from dataclasses import dataclass
from typing import Any

from authproxy.digest import Digest, parse_digest
from authproxy.errors import DigestInvalid
from authproxy.images.archive.members import MAX_JSON_BYTES, Member, Members, need

MANIFEST_JSON = "manifest.json"
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class SavedImage:
    """One entry: members of the archive by their names, and the image's own names, which may be none."""

    config: str
    names: tuple[str, ...]
    layers: tuple[str, ...]


def read_saved(members: Members) -> tuple[SavedImage, ...]:
    """The images in order. Raises ArchiveError where manifest.json is missing or not what docker writes."""
    member = need(members, MANIFEST_JSON, "the format of docker save")
    entries = member.read_json()
    if not isinstance(entries, list):
        raise member.fault("is no list of images")
    return tuple(_saved(entry, number, member) for number, entry in enumerate(entries, start=1))


def _saved(entry: Any, number: int, member: Member) -> SavedImage:
    if not isinstance(entry, dict):
        raise member.fault(f"entry {number} is no image")
    config, names, layers = entry.get("Config"), entry.get("RepoTags") or [], entry.get("Layers") or []
    if not isinstance(config, str) or not config or not _is_texts(names) or not _is_texts(layers):
        raise member.fault(f"entry {number} has no Config, RepoTags and Layers as docker save writes them")
    return SavedImage(config, tuple(dict.fromkeys(names)), tuple(layers))


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


@dataclass(frozen=True, slots=True)
class SavedConfig:
    """The configuration of an image: its bytes, and what its layers' plain tars must hash to, the lowest first."""

    content: bytes
    digest: Digest
    diff_ids: tuple[Digest, ...]


def read_config(members: Members, image: SavedImage) -> SavedConfig:
    """The configuration of one image. Raises ArchiveError where it does not fit its name or its layers."""
    member = need(members, image.config, MANIFEST_JSON)
    content = member.read(MAX_JSON_BYTES)
    digest = Digest.of(content)
    stem = posixpath.basename(image.config).removesuffix(".json")
    if _HEX.fullmatch(stem) and stem != digest.hex:
        raise member.fault(f"has the digest {digest}, not the one that its name says")
    diff_ids = _diff_ids(member)
    if len(diff_ids) != len(image.layers):
        raise member.fault(f"names {len(diff_ids)} layers in rootfs.diff_ids, and {MANIFEST_JSON} {len(image.layers)}")
    return SavedConfig(content, digest, diff_ids)


def _diff_ids(member: Member) -> tuple[Digest, ...]:
    config = member.read_json()
    rootfs = config.get("rootfs") if isinstance(config, dict) else None
    texts = rootfs.get("diff_ids") or [] if isinstance(rootfs, dict) else None
    if not _is_texts(texts):
        raise member.fault("has no list rootfs.diff_ids: it is no configuration of an image")
    try:
        return tuple(parse_digest(text) for text in texts or ())
    except DigestInvalid as error:
        raise member.fault("has an entry in rootfs.diff_ids that is no digest") from error
