"""File systems in memory: read from packages, written as the tar of a layer. No root, and nothing on the disk."""

import io
import posixpath
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from release.errors import ReleaseError

ROOT_ID = 0
FOLDER_MODE = 0o755
FILE_MODE = 0o644
PROGRAM_MODE = 0o755


@dataclass(frozen=True, slots=True)
class Entry:
    """A folder, file or symbolic link. Hard links are files of their own here."""

    mode: int  # with the type: S_IFREG, S_IFDIR, S_IFLNK
    mtime: int
    content: bytes = field(default=b"", repr=False)  # of a link: its target
    owner: int = ROOT_ID  # the user and the group

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)


class Tree:
    """Entries by their path without a leading slash: `usr/bin/python3.13`."""

    def __init__(self, mtime: int) -> None:
        self.mtime = mtime  # of entries that are made here
        self.entries: dict[str, Entry] = {}

    def folder(self, path: str, mode: int = FOLDER_MODE, owner: int = ROOT_ID) -> None:
        """Make a folder, and those above it."""
        self._folders_above(path)
        self.entries[path] = Entry(stat.S_IFDIR | mode, self.mtime, owner=owner)

    def file(self, path: str, content: bytes | str, mode: int = FILE_MODE) -> None:
        """Make a file, and the folders above it."""
        self._folders_above(path)
        data = content.encode() if isinstance(content, str) else content
        self.entries[path] = Entry(stat.S_IFREG | mode, self.mtime, data)

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link, and the folders above it."""
        self._folders_above(path)
        self.entries[path] = Entry(stat.S_IFLNK | 0o777, self.mtime, target.encode())

    def _folders_above(self, path: str) -> None:
        above = posixpath.dirname(path)
        while above and above not in self.entries:
            self.entries[above] = Entry(stat.S_IFDIR | FOLDER_MODE, self.mtime)
            above = posixpath.dirname(above)

    def remove(self, is_unwanted: Callable[[str], bool]) -> None:
        """Remove what has such a path, and all that is below it."""
        gone = {path for path in self.entries if is_unwanted(path)}
        for path in list(self.entries):
            if path in gone or any(str(above) in gone for above in Path(path).parents):
                del self.entries[path]

    def unpack(self, archive: bytes) -> None:
        """Add a tar, as root would unpack it. Raises ReleaseError for a device, or a path that leads out of it."""
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            for member in tar:
                path = posixpath.normpath(member.name).lstrip("/")
                if path == ".":
                    continue
                if path.startswith(".."):
                    raise ReleaseError(f"a package contains the path {member.name}")
                self._add(path, member, tar)

    def _add(self, path: str, member: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
        mtime = int(member.mtime)
        if member.isdir():
            # Packages share folders, also those that are links in another one: /bin.
            self.entries.setdefault(path, Entry(stat.S_IFDIR | member.mode, mtime))
        elif member.issym():
            self.entries[path] = Entry(stat.S_IFLNK | 0o777, mtime, member.linkname.encode())
        elif member.islnk():
            self.entries[path] = self.entries[posixpath.normpath(member.linkname).lstrip("/")]
        elif member.isfile():
            file = tar.extractfile(member)
            assert file is not None, "regular files have content"
            self.entries[path] = Entry(stat.S_IFREG | member.mode, mtime, file.read())
        else:
            raise ReleaseError(f"a package contains the device {member.name}")

    def map_files(self, change: Callable[[str, bytes], bytes]) -> None:
        """Replace the content of every file."""
        for path, entry in self.entries.items():
            if entry.is_file and (content := change(path, entry.content)) is not entry.content:
                self.entries[path] = replace(entry, content=content)

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Path and content of every file, sorted."""
        for path in sorted(self.entries):
            if self.entries[path].is_file:
                yield path, self.entries[path].content

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(len(entry.content) for entry in self.entries.values() if entry.is_file)

    def write_to(self, folder: Path) -> None:
        """Write it to the disk, owned by the caller: a file system to start programs in."""
        folder.mkdir(parents=True, exist_ok=True)
        for path, entry in sorted(self.entries.items()):
            place = folder / path
            if entry.is_folder:
                place.mkdir(parents=True, exist_ok=True)
            elif entry.is_link:
                place.symlink_to(entry.content.decode())
            else:
                place.write_bytes(entry.content)
                place.chmod(stat.S_IMODE(entry.mode))

    def tar(self) -> bytes:
        """The tar of a layer: sorted, with numeric owners only. The same tree gives the same bytes.

        Raises ReleaseError for an entry below a link: unpacked, it would be elsewhere.
        """
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in sorted(self.entries):
                self._refuse_link_above(path)
                entry = self.entries[path]
                info = tarfile.TarInfo(path)
                info.mode, info.mtime = stat.S_IMODE(entry.mode), entry.mtime
                info.uid = info.gid = entry.owner
                if entry.is_folder:
                    info.type = tarfile.DIRTYPE
                elif entry.is_link:
                    info.type, info.linkname = tarfile.SYMTYPE, entry.content.decode()
                else:
                    info.size = len(entry.content)
                tar.addfile(info, io.BytesIO(entry.content) if entry.is_file else None)
        return out.getvalue()

    def _refuse_link_above(self, path: str) -> None:
        above = self.entries.get(posixpath.dirname(path))
        if above is not None and not above.is_folder:
            raise ReleaseError(f"/{path} is below a link or a file: a package has files in a folder that became a link")
