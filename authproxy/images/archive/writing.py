"""Writing an archive: gathered in a hidden folder beside it, and under its name only when it is whole."""

import gzip
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from authproxy.images.archive.docker_writing import write_docker_archive
from authproxy.images.archive.errors import ArchiveError
from authproxy.images.archive.layout_writing import write_layout_files, write_layout_tar
from authproxy.images.archive.output import Form, Target
from authproxy.images.archive.staging import Staging
from authproxy.images.archive.tar_writing import Writable


@contextmanager
def gathering(target: Target) -> Iterator[Staging]:
    """Where to gather the images of an archive, for the length of a block; `write_archive` writes them.

    The folder is beside the target, so that its disk is the one that has to have the room, and goes with the block.
    Raises ArchiveError.
    """
    path = target.path or Path(str(target))
    beside = Path(tempfile.gettempdir()) if target.path is None else target.path.absolute().parent
    _refuse_filled_folder(target)
    try:
        folder = Path(tempfile.mkdtemp(dir=beside, prefix=".authproxy-"))
    except OSError as error:
        raise ArchiveError(path, f"cannot be written in {beside}: {error.strerror}") from error
    try:
        yield Staging(folder, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_archive(stage: Staging, target: Target) -> None:
    """Write what was gathered. A file of this name is replaced in one step. Raises ArchiveError; for a thread."""
    try:
        if target.path is None:
            with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
                _write(stage, target, out)
        elif target.is_folder:
            write_layout_files(stage)
            stage.folder.chmod(0o755)  # mkdtemp makes it for its owner alone
            stage.folder.rename(target.path)  # an empty folder is replaced
        else:
            file = stage.folder / "archive"
            with file.open("xb") as out:
                _write(stage, target, out)
                os.fsync(out.fileno())
            file.rename(target.path)
    except OSError as error:
        raise ArchiveError(stage.target, f"cannot be written: {error.strerror}") from error


def _write(stage: Staging, target: Target, file: BinaryIO) -> None:
    with _packing(target.packing, file) as out:
        (write_docker_archive if target.form is Form.DOCKER else write_layout_tar)(stage, out)


@contextmanager
def _packing(packing: str | None, file: BinaryIO) -> Iterator[Writable]:
    if packing is None:
        yield file
    elif packing == "gzip":
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as out:
            yield out
    else:
        with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as out:
            yield cast("Writable", out)


def _refuse_filled_folder(target: Target) -> None:
    path = target.path
    if path is None:
        return
    if target.is_folder and path.is_dir() and any(path.iterdir()):
        raise ArchiveError(path, "is a folder that is not empty: name a new one")
    if target.is_folder and path.exists() and not path.is_dir():
        raise ArchiveError(path, "is a file, and a folder was asked for")
