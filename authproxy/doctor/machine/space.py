"""Free bytes and files on the disks that the server writes."""

import os
from collections.abc import Iterator
from pathlib import Path

from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.machine.installation import Installation

MIB, GIB = 1024**2, 1024**3
# A push of a medium-sized image needs this much at once.
LITTLE_BYTES, NOTHING_BYTES = GIB, 100 * MIB
# An image needs about thirty files and folders.
LITTLE_FILES, NOTHING_FILES = 10_000, 300


def check_space(installation: Installation) -> Iterator[Finding]:
    """Each disk once, by the first path on it."""
    seen: set[int] = set()
    for key, path in _written(installation):
        nearest = path.absolute()
        try:
            while not nearest.exists():
                nearest = nearest.parent
            disk = nearest.stat().st_dev
            found = os.statvfs(nearest)
        except PermissionError:
            continue  # reported by the check of folders
        if disk not in seen:
            seen.add(disk)
            free_files = found.f_favail if found.f_files else None  # file systems that create inodes on demand report 0
            yield judge_space(f"{path} ({key})", found.f_bavail * found.f_frsize, free_files)


def judge_space(where: str, free_bytes: int, free_files: int | None) -> Finding:
    """`free_files`: None if there is no such limit."""
    room = f"{free_bytes / GIB:.1f} GiB" if free_bytes >= GIB else f"{free_bytes // MIB} MiB"
    fix = "make room: old images, other programs' files, or a larger disk"
    if free_bytes < NOTHING_BYTES:
        return Finding(Level.FAILED, "space", f"the disk of {where} is full: {room} are left, so pushes fail", fix)
    if free_files is not None and free_files < NOTHING_FILES:
        what = f"the disk of {where} has room for {free_files} more files (inodes), so pushes fail"
        return Finding(Level.FAILED, "space", what, "remove files, or recreate the file system with more inodes")
    if free_bytes < LITTLE_BYTES:
        return Finding(Level.WARNING, "space", f"the disk of {where} has only {room} left", fix)
    if free_files is not None and free_files < LITTLE_FILES:
        what = f"the disk of {where} has room for only {free_files} more files (inodes)"
        return Finding(Level.WARNING, "space", what, "remove files, or recreate the file system with more inodes")
    files = "" if free_files is None else f", and for {free_files} files"
    return Finding(Level.OK, "space", f"the disk of {where} has room for {room}{files}")


def _written(installation: Installation) -> Iterator[tuple[str, Path]]:
    settings = installation.settings
    yield from settings.storage_folders.items()
    if settings.audit is not None and settings.audit.file is not None:
        yield "audit.file.path", settings.audit.file.path
    if settings.token is not None:
        yield "token.keys", settings.token.keys
