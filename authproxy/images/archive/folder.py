"""A folder as an archive: an OCI image layout as it lies on disk, or an archive that somebody has extracted."""

import os
import stat
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from authproxy.images.archive.errors import ArchiveError
from authproxy.images.archive.members import Member, parse_member_name


@dataclass(frozen=True, slots=True)
class FolderMembers:
    """The files below a folder.

    Links are followed wherever they lead: layouts share blobs by links (Bazel's are made of them), the folder is the
    caller's own, and what is pushed has to have the digest that the manifest says.
    """

    path: Path  # what errors name
    folder: Path

    def find(self, name: str) -> Member | None:
        """See Members."""
        file = self.folder / parse_member_name(name, self.path)
        try:
            status = file.stat()
        except FileNotFoundError:
            return None
        except OSError as error:  # a folder without permission, a file in a folder's place, a circle of links
            raise ArchiveError(self.path, f"cannot be read: {error.strerror}", member=name) from error
        if not stat.S_ISREG(status.st_mode):
            raise ArchiveError(self.path, "is no regular file", member=name)
        return Member(self.path, name, status.st_size, 0, partial(_open, file, self.path, name))

    def close(self) -> None:
        """Nothing is open between reads."""


def _open(file: Path, archive: Path, name: str) -> int:
    try:
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ArchiveError(archive, f"cannot be read: {error.strerror}", member=name) from error
