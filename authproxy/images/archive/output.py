"""Where an archive is written to, and in which form: by the ending of its name, or by what was asked for."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

STDOUT = "-"
PACKINGS = {".gz": "gzip", ".zst": "zstd"}
SHORT = {".tgz": ".tar.gz", ".tzst": ".tar.zst"}


class ArchiveFormat(StrEnum):
    """How images are written."""

    DOCKER = "docker"  # what docker load takes: one platform of each image
    OCI = "oci"  # an image layout: manifests as the registry has them


@dataclass(frozen=True, slots=True)
class Target:
    """An archive to be written. `path` is None for standard output; a folder is always a layout."""

    path: Path | None
    form: ArchiveFormat
    packing: str | None = None  # gzip, zstd
    is_folder: bool = False

    def __str__(self) -> str:
        return "standard output" if self.path is None else str(self.path)


def parse_target(text: str, form: ArchiveFormat | None, *, is_folder: bool) -> Target:
    """Read what `--output` says. `form` is what `--format` says, `is_folder` whether the path is a folder now.

    NAME.tar is docker's, NAME.oci and NAME.oci.tar are layouts, each with .gz or .zst after it or as .tgz; NAME/ is a
    layout in a folder; - is standard output. Raises ValueError, with the sentence, where neither says the form or the
    two contradict each other.
    """
    if text == STDOUT:
        return Target(None, form or ArchiveFormat.DOCKER)
    if is_folder or text.endswith("/"):
        if form is ArchiveFormat.DOCKER:
            raise ValueError(f"{text}: an archive for docker load is a file, say {text.rstrip('/')}.tar")
        return Target(Path(text), ArchiveFormat.OCI, is_folder=True)
    name, packing = _without_packing(text.lower())
    ending = (
        ArchiveFormat.OCI
        if name.endswith((".oci", ".oci.tar"))
        else ArchiveFormat.DOCKER
        if name.endswith(".tar")
        else None
    )
    if form is None and ending is None:
        raise ValueError(
            f"{text}: its name says no format: .tar is for docker load, .oci.tar and NAME/ are OCI image layouts; "
            "--format docker or --format oci says it for any name"
        )
    return Target(Path(text), form or ending or ArchiveFormat.DOCKER, packing)


def _without_packing(name: str) -> tuple[str, str | None]:
    for short, long in SHORT.items():
        if name.endswith(short):
            name = name.removesuffix(short) + long
    for ending, packing in PACKINGS.items():
        if name.endswith(ending):
            return name.removesuffix(ending), packing
    return name, None
