"""Opens archives: finds out the format, and chooses the better one for a push if an archive has two."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from authproxy.images.archive.archive import Archive
from authproxy.images.archive.decompression import open_decompressed
from authproxy.images.archive.docker_save import MANIFEST_JSON, DockerArchive, LayerCache
from authproxy.images.archive.errors import ArchiveError
from authproxy.images.archive.layout import INDEX_JSON, LayoutArchive
from authproxy.images.archive.members import FolderMembers, Members
from authproxy.images.archive.tar import open_tar
from authproxy.oci.manifest import Manifest
from authproxy.oci.media_types import DOCKER_TAR, OCI_TAR

# Endings of archives of images. Other files in a folder are ignored.
ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst")

# Layers that are plain tars: registries accept them, but every pull then transfers two to three times the bytes.
PLAIN_LAYERS = frozenset({OCI_TAR, DOCKER_TAR})


@contextmanager
def open_archive(path: Path, known: LayerCache | None = None) -> Iterator[Archive]:
    """Open an archive for the length of a block: a file, compressed or not, or a folder.

    `known` is a cache of compressed layers. Files are decompressed, and layers compressed, below TMPDIR.
    Raises ArchiveError.
    """
    try:
        members: Members = FolderMembers(path, path) if path.is_dir() else open_tar(open_decompressed(path), path)
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
        # docker 25 and later write both formats. The layout of docker's old store has plain layers; containerd's may
        # list platforms that were never pulled.
        if not is_docker or _is_ready(layout):
            return layout
    if is_docker:
        return DockerArchive(members, known)
    raise ArchiveError(
        members.path,
        f"is not an archive of images: it has neither docker save's {MANIFEST_JSON} nor an image layout's {INDEX_JSON}",
    )


def _is_ready(layout: LayoutArchive) -> bool:
    """Whether every manifest and blob exists and every layer is compressed. Raises ArchiveError if one is damaged."""
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
    """The path itself, or, for a folder of archives, the archives directly in it, sorted by name.

    Raises ArchiveError if there are none.
    """
    if not path.is_dir() or _is_archive_folder(path):
        return (path,)
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise ArchiveError(path, f"cannot be read: {error.strerror}") from error
    found = tuple(entry for entry in entries if _may_be_archive(entry))
    if not found:
        endings = ", ".join(ENDINGS)
        raise ArchiveError(path, f"contains no archives: no files that end with {endings} and no image layouts")
    return found


def _may_be_archive(path: Path) -> bool:
    return _is_archive_folder(path) if path.is_dir() else path.name.lower().endswith(ENDINGS)


def _is_archive_folder(path: Path) -> bool:
    return any(os.path.lexists(path / name) for name in (INDEX_JSON, MANIFEST_JSON))
