"""Images as bytes: a layout on disk for tools that read one, and the parts for callers that speak HTTP themselves."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from authproxy.digest import Digest
from tests.support.daemon import GREETING, image_layer

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True)
class Image:
    """An image of one layer: OCI Image 1.1, "Image Manifest"."""

    layer: bytes
    config: bytes
    manifest: bytes

    @property
    def digest(self) -> Digest:
        """What it is pulled by."""
        return Digest.of(self.manifest)


def make_image(mark: str, *, created: str | None = None, platform: Mapping[str, str] | None = None) -> Image:
    """An image whose content no other has (`mark` is a file in it) and that prints a greeting when it runs."""
    archive = image_layer(mark)
    layer = gzip.compress(archive, compresslevel=1, mtime=0)
    config = _json(
        {
            **(platform or {"architecture": "amd64", "os": "linux"}),
            **({"created": created} if created else {}),
            "config": {"Cmd": ["/bin/busybox", "echo", GREETING]},
            "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(archive))]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(CONFIG_TYPE, config),
            "layers": [_descriptor(LAYER_TYPE, layer)],
        }
    )
    return Image(layer, config, manifest)


def write_layout(image: Image, folder: Path, tag: str) -> str:
    """Write an OCI image layout: OCI Image 1.1, "Image Layout". Returns its name for skopeo and podman."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for content in (image.layer, image.config, image.manifest):
        (blobs / Digest.of(content).hex).write_bytes(content)
    entry = _descriptor(MANIFEST_TYPE, image.manifest) | {"annotations": {"org.opencontainers.image.ref.name": tag}}
    (folder / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    return f"oci:{folder}:{tag}"


def push_image(client: httpx.Client, repository: str, tag: str, image: Image) -> None:
    """Push call by call, as a script would, with a client whose token allows it."""
    push_blob(client, repository, image.layer)
    push_blob(client, repository, image.config)
    headers = {"Content-Type": MANIFEST_TYPE}
    answer = client.put(f"/v2/{repository}/manifests/{tag}", content=image.manifest, headers=headers)
    assert answer.status_code == httpx.codes.CREATED, answer.text


def push_blob(client: httpx.Client, repository: str, content: bytes) -> Digest:
    """Push one blob in a session of one request."""
    digest = Digest.of(content)
    session = open_upload(client, repository)
    answer = client.put(session.copy_merge_params({"digest": str(digest)}), content=content)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return digest


def open_upload(client: httpx.Client, repository: str) -> httpx.URL:
    """Open an upload session: its address."""
    answer = client.post(f"/v2/{repository}/blobs/uploads/")
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    return client.base_url.join(answer.headers["location"])


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
