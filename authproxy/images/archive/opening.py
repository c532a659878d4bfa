"""Opening an archive: which kind it is, and the kind that serves a registry best where it is two at once."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from authproxy.images.archive.archive import Archive
from authproxy.images.archive.docker_save import MANIFEST_JSON, DockerArchive, LayerCache
from authproxy.images.archive.errors import ArchiveError
from authproxy.images.archive.layout import INDEX_JSON, LayoutArchive
from authproxy.images.archive.members import FolderMembers, Members
from authproxy.images.archive.tar import open_tar
from authproxy.images.archive.unpacking import open_plain
from authproxy.oci.manifest import Manifest
from authproxy.oci.media_types import DOCKER_TAR, OCI_TAR

# Names that files of images have. Others in a folder are none of ours.
ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst")

# Layers that are plain tars: registries take them, and everybody who pulls moves two to three times the bytes.
PLAIN_LAYERS = frozenset({OCI_TAR, DOCKER_TAR})


@contextmanager
def open_archive(path: Path, known: LayerCache | None = None) -> Iterator[Archive]:
    """An archive for the length of a block: a file, packed or not, or a folder.

    `known` is what layers of other archives were packed to, and is filled. A packed file is unpacked first, and layers
    are packed, below TMPDIR. Raises ArchiveError.
    """
    try:
        members: Members = FolderMembers(path, path) if path.is_dir() else open_tar(open_plain(path), path)
    except OSError as error:
        raise ArchiveError(path, f"cannot be read: {error.strerror}") from error
    try:
        archive = _open(members, {} if known is None else known)
    except BaseException:
        members.close()
        raise
    try:
        yield archive
    finally:
        archive.close()


def _open(members: Members, known: LayerCache) -> Archive:
    is_docker = members.find(MANIFEST_JSON) is not None
    if members.find(INDEX_JSON) is not None:
        layout = LayoutArchive(members)
        # docker 25 and later write both: a layout that docker's old store has made up has plain layers, and one out of
        # containerd's may list platforms that were never pulled.
        if not is_docker or _is_ready(layout):
            return layout
    if is_docker:
        return DockerArchive(members, known)
    raise ArchiveError(
        members.path,
        f"is no archive of images: it has neither docker save's {MANIFEST_JSON} nor an image layout's {INDEX_JSON}",
    )


def _is_ready(layout: LayoutArchive) -> bool:
    """Whether every manifest and blob is there and every layer packed. Raises ArchiveError where one is damaged."""
    pending = [image.identity for image in layout.images]
    seen = set(pending)
    while pending:
        digest = pending.pop()
        manifest = layout.find_manifest(digest)
        if manifest is None or not _has_good_blobs(layout, manifest):
            return False
        new = {child.digest for child in manifest.children} - seen
        seen |= new
        pending += new
    return True


def _has_good_blobs(layout: LayoutArchive, manifest: Manifest) -> bool:
    return all(
        blob.media_type not in PLAIN_LAYERS and (blob.is_elsewhere or layout.has(blob.digest))
        for blob in manifest.blobs
    )


def find_archives(path: Path) -> tuple[Path, ...]:
    """The archive that a path is, or, where it is a folder of archives, those directly in it by their names.

    Raises ArchiveError where there is none.
    """
    if not path.is_dir() or _is_archive_folder(path):
        return (path,)
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise ArchiveError(path, f"cannot be read: {error.strerror}") from error
    found = tuple(entry for entry in entries if _may_be_archive(entry))
    if not found:
        raise ArchiveError(path, f"has no archives: neither files named {', '.join(ENDINGS)} nor image layouts")
    return found


def _may_be_archive(path: Path) -> bool:
    return _is_archive_folder(path) if path.is_dir() else path.name.lower().endswith(ENDINGS)


def _is_archive_folder(path: Path) -> bool:
    return any(os.path.lexists(path / name) for name in (INDEX_JSON, MANIFEST_JSON))
