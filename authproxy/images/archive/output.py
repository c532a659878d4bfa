"""The file that an archive is written to, and its format: by the ending of its name, or by `--format`."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

STDOUT = "-"
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
SHORT = {".tgz": ".tar.gz", ".tzst": ".tar.zst"}


class ArchiveFormat(StrEnum):
    """The format of an archive to write."""

    DOCKER = "docker"  # for docker load: one platform of each image
    OCI = "oci"  # an OCI image layout: manifests as in the registry


@dataclass(frozen=True, slots=True)
class Target:
    """An archive to write. `path` is None for standard output; a folder is always a layout."""

    path: Path | None
    form: ArchiveFormat
    compression: str | None = None  # gzip, zstd
    is_folder: bool = False

    def __str__(self) -> str:
        return "standard output" if self.path is None else str(self.path)


def parse_target(text: str, form: ArchiveFormat | None, *, is_folder: bool) -> Target:
    """Parse `--output`. `form` is the value of `--format`; `is_folder`: the path is an existing folder.

    NAME.tar is docker's; NAME.oci and NAME.oci.tar are layouts; each may end with .gz, .zst or .tgz. NAME/ is a layout
    in a folder; - is standard output. Raises ValueError, with a message for users, if neither gives the format or the
    two contradict each other.
    """
    if text == STDOUT:
        return Target(None, form or ArchiveFormat.DOCKER)
    if is_folder or text.endswith("/"):
        if form is ArchiveFormat.DOCKER:
            raise ValueError(f"{text}: an archive for docker load is a file: use {text.rstrip('/')}.tar")
        return Target(Path(text), ArchiveFormat.OCI, is_folder=True)
    name, compression = _without_compression(text.lower())
    ending = (
        ArchiveFormat.OCI
        if name.endswith((".oci", ".oci.tar"))
        else ArchiveFormat.DOCKER
        if name.endswith(".tar")
        else None
    )
    if form is None and ending is None:
        raise ValueError(
            f"{text}: the name has no known ending: .tar is for docker load, .oci.tar and NAME/ are OCI image layouts; "
            "for any other name use --format docker or --format oci"
        )
    return Target(Path(text), form or ending or ArchiveFormat.DOCKER, compression)


def _without_compression(name: str) -> tuple[str, str | None]:
    for short, long in SHORT.items():
        if name.endswith(short):
            name = name.removesuffix(short) + long
    for ending, compression in COMPRESSIONS.items():
        if name.endswith(ending):
            return name.removesuffix(ending), compression
    return name, None
