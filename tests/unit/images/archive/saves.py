"""Archives as docker and others lay them out, made member by member."""

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from authproxy.digest import Digest

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
PLAIN_TYPE = "application/vnd.oci.image.layer.v1.tar"
GZIP_TYPE = PLAIN_TYPE + "+gzip"
IMAGE_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link in a tar."""

    target: str


Files = Mapping[str, bytes | Link]


def write_tar(path: Path, files: Files) -> Path:
    """A tar with these members in this order."""
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, Link):
                info.type, info.linkname = tarfile.SYMTYPE, content.target
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def write_folder(path: Path, files: Files) -> Path:
    """A folder with these files."""
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Link):
            file.symlink_to(content.target)
        else:
            file.write_bytes(content)
    return path


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def config_of(*layers: bytes) -> bytes:
    """A configuration of an image with these plain layers."""
    diff_ids = [str(Digest.of(layer)) for layer in layers]
    return as_json({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids}})


def docker_save(*layers: bytes, names: list[str] | None) -> dict[str, bytes | Link]:
    """One image as docker up to 24 saves it. The second layer that is equal is a link."""
    config = config_of(*layers)
    files: dict[str, bytes | Link] = {}
    members: list[str] = []
    seen: dict[bytes, str] = {}
    for number, layer in enumerate(layers):
        folder = Digest.of(str(number).encode()).hex
        files[f"{folder}/VERSION"] = b"1.0"
        files[f"{folder}/layer.tar"] = Link(f"../{seen[layer]}") if layer in seen else layer
        seen.setdefault(layer, f"{folder}/layer.tar")
        members.append(f"{folder}/layer.tar")
    name = f"{Digest.of(config).hex}.json"
    entry = {"Config": name, "RepoTags": names, "Layers": members}
    return files | {name: config, "manifest.json": as_json([entry])}


def descriptor(content: bytes, media_type: str, **more: object) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)} | more


def blobs(*contents: bytes) -> dict[str, bytes]:
    return {f"blobs/sha256/{Digest.of(content).hex}": content for content in contents}


def image_manifest(config: bytes, *layers: bytes, layer_type: str = GZIP_TYPE) -> bytes:
    return as_json(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE_TYPE,
            "config": descriptor(config, CONFIG_TYPE),
            "layers": [descriptor(layer, layer_type) for layer in layers],
        }
    )


def layout(*entries: dict[str, object], files: Mapping[str, bytes]) -> dict[str, bytes]:
    """An image layout with these entries in its index."""
    return {
        "oci-layout": as_json({"imageLayoutVersion": "1.0.0"}),
        "index.json": as_json({"schemaVersion": 2, "manifests": list(entries)}),
        **files,
    }
