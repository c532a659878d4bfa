"""The image that `make release-image` built, and its file systems on the disk."""

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from gzip import decompress
from pathlib import Path
from typing import Any

from authproxy.digest import Digest, parse_digest
from tests.support.binaries import binary
from tests.support.program import Outcome, run
from tests.support.released import released

QEMU = "qemu-aarch64-static"
PYTHON = "/opt/authproxy/bin/python3"
PROGRAM = "/opt/authproxy/bin/authproxy"
PATH = "/opt/authproxy/bin:/usr/bin"
# In namespaces of processes and mounts: /proc is there, and what the program starts ends with it.
INSIDE = ("--pid", "--fork", "--kill-child", "--mount-proc")


@dataclass(frozen=True, slots=True)
class Layout:
    """The open layout."""

    tar: tarfile.TarFile

    def blob(self, digest: str) -> bytes:
        member = self.tar.extractfile(f"blobs/sha256/{parse_digest(digest).hex}")
        assert member is not None
        content = member.read()
        assert str(Digest.of(content)) == digest
        return content

    def json(self, digest: str) -> Any:
        return json.loads(self.blob(digest))

    @property
    def entries(self) -> list[Any]:
        """Those of index.json: the image first, then what is attached to it."""
        member = self.tar.extractfile("index.json")
        assert member is not None
        found: list[Any] = json.loads(member.read())["manifests"]
        return found

    @property
    def platforms(self) -> dict[str, str]:
        """The digest of each architecture's manifest."""
        index = self.json(self.entries[0]["digest"])
        return {one["platform"]["architecture"]: one["digest"] for one in index["manifests"]}

    def manifest(self, architecture: str) -> Any:
        return self.json(self.platforms[architecture])

    def layers(self, architecture: str) -> list[tarfile.TarFile]:
        blobs = (self.blob(layer["digest"]) for layer in self.manifest(architecture)["layers"])
        return [tarfile.open(fileobj=io.BytesIO(decompress(blob))) for blob in blobs]

    def unpack(self, architecture: str, folder: Path) -> Path:
        """The file system, with the devices that every container has."""
        for layer in self.layers(architecture):
            layer.extractall(folder, filter="fully_trusted")  # noqa: S202 - our own
        succeed_quietly(binary("busybox"), "mknod", "-m", "666", str(folder / "dev/null"), "c", "1", "3")
        (folder / "work").mkdir()
        return folder


def succeed_quietly(*words: str) -> None:
    done = run(*words, env={})
    assert done.code == 0, str(done)


@contextmanager
def open_layout() -> Iterator[Layout]:
    with tarfile.open(released("*.oci.tar")) as tar:
        yield Layout(tar)


def command(root: Path, *words: str) -> tuple[str, ...]:
    """What runs a program of the image in its file system, in the folder /work. Programs for arm64 run in qemu."""
    emulator = root / "usr/bin/qemu"
    prefix = ("/usr/bin/qemu", "-0", words[0]) if emulator.exists() else ()
    if prefix and words[0] == PYTHON:
        words = ("/usr/bin/python3", *words[1:])  # qemu starts files, and -0 says by which name
    return (binary("unshare"), *INSIDE, "--root", str(root), "--wd", "/work", *prefix, *words)


def run_in(root: Path, *words: str) -> Outcome:
    return run(*command(root, *words), env=variables(), timeout_s=400)


def variables(**more: str) -> dict[str, str]:
    return {"PATH": PATH, "HOME": "/work", "AUTHPROXY_HOME": "/work", **more}
