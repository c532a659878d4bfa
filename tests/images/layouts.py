"""Image layouts that tests push."""

import json
from pathlib import Path

from authproxy.digest import Digest
from tests.support.image import MANIFEST_TYPE, Image, make_image, write_layout

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
ARM = {"os": "linux", "architecture": "arm64", "variant": "v8"}


def write_two_platforms(folder: Path, name: str) -> tuple[Image, Image, Digest]:
    """An image for amd64 and arm64 under a name in a layout: both, and the index's digest."""
    amd, arm = make_image(f"{name} amd"), make_image(f"{name} arm", platform=ARM)
    entries = [
        _entry(amd.manifest, MANIFEST_TYPE, platform={"os": "linux", "architecture": "amd64"}),
        _entry(arm.manifest, MANIFEST_TYPE, platform=ARM),
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}).encode()
    write_layout(amd, folder, "amd")
    for content in (arm.layer, arm.config, arm.manifest, index):
        (folder / "blobs" / "sha256" / Digest.of(content).hex).write_bytes(content)
    named = _entry(index, INDEX_TYPE, annotations={"org.opencontainers.image.ref.name": name})
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    return amd, arm, Digest.of(index)


def _entry(content: bytes, media_type: str, **more: object) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)} | more
