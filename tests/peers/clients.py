"""What the layout tests push and pull with: skopeo over plain HTTP, and images of several platforms on disk."""

import json
from dataclasses import dataclass
from pathlib import Path

from authproxy.oci.media_types import OCI_INDEX
from tests.support.binaries import binary
from tests.support.image import MANIFEST_TYPE, Image, make_image, write_layout
from tests.support.program import environment, succeed
from tests.support.registry import descriptor, sha256

ARCHITECTURES = ("amd64", "arm64")


@dataclass(frozen=True, slots=True)
class Skopeo:
    """The skopeo command, with a home of its own."""

    home: Path

    def copy(self, source: str, target: str, *options: str) -> None:
        """Copy an image, or with `--all` all that an index names; it has to succeed."""
        self._run("copy", "--src-tls-verify=false", "--dest-tls-verify=false", *options, source, target)

    def delete(self, host: str, name: str) -> None:
        """Delete what `<repository>:<tag>` points at, by its digest."""
        self._run("delete", "--tls-verify=false", f"docker://{host}/{name}")

    def pull(self, host: str, name: str) -> dict[str, str]:
        """Copy out all of an image or index: every file's name to the SHA-256 of what it holds."""
        folder = self.home / "pulled" / name.replace("/", "+").replace(":", "+")
        folder.mkdir(parents=True)
        self.copy(f"docker://{host}/{name}", f"dir:{folder}", "--all")
        found = {file.name: sha256(file.read_bytes()) for file in folder.iterdir() if file.name != "version"}
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        return found

    def _run(self, *arguments: str) -> None:
        succeed(binary("skopeo"), "--insecure-policy", *arguments, env=environment(self.home))


def write_index_layout(mark: str, folder: Path, tag: str) -> str:
    """An OCI image layout of one image for each architecture; its name for skopeo."""
    images: dict[str, Image] = {name: make_image(f"{mark} {name}") for name in ARCHITECTURES}
    name = ""
    for architecture, image in images.items():
        name = write_layout(image, folder / architecture, tag)
    # One layout that holds them all: their blobs together, and an index that names them.
    blobs = folder / "all" / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for architecture in images:
        for file in (folder / architecture / "blobs" / "sha256").iterdir():
            file.rename(blobs / file.name)
    entries = [
        descriptor(image.manifest, MANIFEST_TYPE, platform={"architecture": architecture, "os": "linux"})
        for architecture, image in images.items()
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    (blobs / sha256(index).removeprefix("sha256:")).write_bytes(index)
    entry = descriptor(index, OCI_INDEX, annotations={"org.opencontainers.image.ref.name": tag})
    (folder / "all" / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "all" / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    return name.replace(f"{folder / architecture}", f"{folder / 'all'}")
