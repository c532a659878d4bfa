"""Names of members: always relative, and never out of their archive."""

import posixpath
from pathlib import Path

from authproxy.images.archive.errors import ArchiveError


def parse_member_name(text: str, archive: Path) -> str:
    """Read a member's name into its one plain form: `./a//b` is `a/b`, and the archive itself is the empty text.

    Raises ArchiveError where it is absolute, climbs with `..`, or cannot be a path.
    """
    if text.startswith("/"):
        raise ArchiveError(archive, "is an absolute path, which no archive of images has", member=text)
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ArchiveError(archive, "leads out of its folder by '..', which no archive of images does", member=text)
    if "\0" in text or not _is_unicode(text):
        raise ArchiveError(archive, "is no file name", member=text)
    return "/".join(parts)


def resolve_link(name: str, target: str, archive: Path) -> str:
    """The member that a symbolic link leads to, from the folder that the link is in.

    Raises ArchiveError where that is outside: an old `docker save` has `ID/layer.tar -> ../OTHER/layer.tar`.
    """
    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    if path.startswith(("/", "..")):
        raise ArchiveError(archive, "is a link that leads out of the archive", member=name)
    return path


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # tarfile keeps bytes that are no UTF-8 as lone surrogates
        return False
    return True
