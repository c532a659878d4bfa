"""The middle layer: the wheels of requirements.lock for one architecture, and only those that authproxy needs."""

import email
import hashlib
import io
import re
import sys
import tempfile
import zipfile
from collections.abc import Container, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from release.architecture import Architecture
from release.base import PYTHON
from release.cache import cache_folder
from release.checksums import digest_of
from release.elf import strip
from release.errors import ReleaseError
from release.program import run
from release.tree import Tree

HOME = "opt/authproxy"
SITE = f"{HOME}/lib/python{PYTHON}/site-packages"
# The interpreter finds its site-packages by this file, as in any virtual environment.
PYVENV = f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {PYTHON}\n"

# The time of all files: wheels are zip files, whose times begin in 1980. The layer stays the same as long as the lock.
EPOCH = 315532800

# glibc's versions for which wheels are built, and the newest that Debian's suite has.
GLIBC_MINORS = range(5, 42)

UNWANTED = tuple(
    re.compile(pattern)
    for pattern in (
        r"bazel-project/.*",  # cel-expr-python ships the tree that it was built from
        r"(.*/)?tests?/.*",
        r"(.*/)?\.[^/]+/.*",  # hidden folders: fastapi and typer ship notes for editors and agents
        r".*\.(pyi|pyx|pxd|c|h|cc|hh)",
        r"zstandard/_cffi\..*",  # its second backend, for other interpreters
        r"[^/]+\.dist-info/RECORD",  # of files that are not all here
    )
)

# What rich needs for parts that no command uses: help is plain text, and tracebacks are Python's own.
OMITTED = frozenset({"markdown-it-py", "mdurl", "pygments"})

LOCKED = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>\S+)(?: ; (?P<marker>.+?))?(?P<hashes>(?: \\\n +--hash=\S+)+)$", re.MULTILINE
)
SHA256 = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel in a file."""

    file: Path
    sha256: str
    metadata: Message = field(repr=False)

    @property
    def name(self) -> str:
        """The normalised name."""
        return canonicalize_name(self.metadata["Name"])

    @property
    def version(self) -> str:
        """The version."""
        return str(self.metadata["Version"])

    def requires(self, architecture: Architecture) -> list[str]:
        """The names of what it needs in the image, without extras."""
        requirements = map(Requirement, self.metadata.get_all("Requires-Dist", []))
        return sorted(canonicalize_name(one.name) for one in requirements if _applies(one.marker, architecture))


def read_wheel(file: Path) -> Wheel:
    """Open a wheel for its metadata. Raises ReleaseError."""
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            if re.fullmatch(r"[^/]+\.dist-info/METADATA", name):
                return Wheel(file, digest_of(file), email.message_from_bytes(archive.read(name)))
    raise ReleaseError(f"{file} is not a wheel: it has no METADATA")


def find_wheels(lock: Path, ours: Wheel, architecture: Architecture, omit: Container[str] = frozenset()) -> list[Wheel]:
    """The wheels that ours needs, sorted by name, downloaded unless the cache has them. Raises ReleaseError.

    Those of `omit` are left out, and so is what only they need.
    """
    there = {wheel.name: wheel for wheel in map(read_wheel, _download(lock, architecture))}
    needed: dict[str, Wheel] = {}
    pending = ours.requires(architecture)
    while pending:
        name = pending.pop()
        if name in needed or name in omit:
            continue
        if name not in there:
            raise ReleaseError(f"{lock.name} has no {name}, which a wheel of the image needs: run `make lock`")
        needed[name] = there[name]
        pending += there[name].requires(architecture)
    return [needed[name] for name in sorted(needed)]


def unpack(tree: Tree, wheels: Iterable[Wheel]) -> None:
    """Add wheels to site-packages, their libraries stripped."""
    for wheel in wheels:
        with zipfile.ZipFile(io.BytesIO(wheel.file.read_bytes())) as archive:
            for name in archive.namelist():
                if ".data/" in name:
                    raise ReleaseError(
                        f"{wheel.file.name} has files for other folders, {name}: see release/dependencies.py"
                    )
                if not name.endswith("/") and not any(one.fullmatch(name) for one in UNWANTED):
                    tree.file(f"{SITE}/{name}", strip(archive.read(name)))


def make_dependencies(wheels: Iterable[Wheel]) -> Tree:
    """The file system of the layer: a virtual environment without pip."""
    tree = Tree(mtime=EPOCH)
    tree.file(f"{HOME}/pyvenv.cfg", PYVENV)
    tree.link(f"{HOME}/bin/python3", f"/usr/bin/python{PYTHON}")
    tree.link(f"{HOME}/bin/python", "python3")
    unpack(tree, wheels)
    return tree


def _download(lock: Path, architecture: Architecture) -> list[Path]:
    lines, hashes = _read_lock(lock, architecture)
    options = [*_platforms(architecture), "--python-version", PYTHON, "--implementation", "cp"]
    key = hashlib.sha256("\n".join([*options, lines]).encode()).hexdigest()
    folder = cache_folder("wheels") / key
    if not folder.exists():
        requirements = folder.with_name(f"{key}.txt")
        requirements.write_text(lines)
        unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".download-"))
        run(
            *(
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
                "--require-hashes",
            ),
            *("--requirement", str(requirements), "--dest", str(unfinished), *options),
        )
        with suppress(OSError):  # another build was faster
            unfinished.rename(folder)
    files = sorted(folder.glob("*.whl"))
    for file in files:
        if digest_of(file) not in hashes:
            raise ReleaseError(f"{file} has no digest of {lock.name}: remove its folder")
    return files


def _read_lock(lock: Path, architecture: Architecture) -> tuple[str, set[str]]:
    """The requirements that apply to the image, without markers, and all their digests.

    pip evaluates markers for the interpreter that runs it, not for the one that is asked for.
    """
    found = [match for match in LOCKED.finditer(lock.read_text()) if _marker_applies(match["marker"], architecture)]
    lines = "\n".join(f"{match['name']}=={match['version']}{match['hashes']}" for match in found)
    return lines + "\n", {digest for match in found for digest in SHA256.findall(match["hashes"])}


def _platforms(architecture: Architecture) -> list[str]:
    tags = [f"manylinux_2_{minor}" for minor in reversed(GLIBC_MINORS)]
    tags += ["manylinux2014", "manylinux2010", "manylinux1"]
    return [word for tag in tags for word in ("--platform", f"{tag}_{architecture.machine}")]


def _marker_applies(text: str | None, architecture: Architecture) -> bool:
    return _applies(Marker(text) if text else None, architecture)


def _applies(marker: Marker | None, architecture: Architecture) -> bool:
    if marker is None:
        return True
    return marker.evaluate(
        {
            "extra": "",
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": architecture.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{PYTHON}.0",
            "python_version": PYTHON,
            "sys_platform": "linux",
        }
    )
