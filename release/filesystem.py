"""The three layers of the image, for one architecture or several."""

import configparser
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from release.architecture import Architecture, this_machines
from release.base import ACCOUNT, INTERPRETER, make_base
from release.cache import cache_folder
from release.compiled import Compiler
from release.debian import Package
from release.dependencies import HOME, OMITTED, SITE, Wheel, find_wheels, make_dependencies, read_wheel, unpack
from release.elf import needed
from release.errors import ReleaseError
from release.plan import Plan
from release.tree import PROGRAM_MODE, Tree

PROGRAM = f"""\
#!/{HOME}/bin/python3
import sys

from {{module}} import {{function}}

sys.exit({{function}}())
"""

# Where CNCF Distribution's image has it. Users mount theirs here, or as /etc/distribution/config.yml.
CONFIGURATION = "etc/docker/registry/config.yml"
DATA = "var/lib/registry"
AUTHPROXY_HOME = "var/lib/authproxy"


@dataclass(frozen=True, slots=True)
class FileSystem:
    """What the image for one architecture contains. A later layer lies above the ones before it."""

    architecture: Architecture
    layers: tuple[Tree, Tree, Tree]  # Debian, the dependencies, authproxy
    packages: tuple[Package, ...]
    wheels: tuple[Wheel, ...]  # authproxy's own is the last

    def write_to(self, folder: Path) -> None:
        """Write it to the disk: a file system to start programs in."""
        for layer in self.layers:
            layer.write_to(folder)


def make_file_systems(
    plan: Plan, wheel: Path, architectures: Sequence[Architecture], snapshot: str = ""
) -> Iterator[FileSystem]:
    """The file systems in that order, one at a time. Raises ReleaseError."""
    ours = read_wheel(wheel)
    here = this_machines()
    bases = {one.name: make_base(one, snapshot) for one in dict.fromkeys((here, *architectures))}
    with tempfile.TemporaryDirectory(prefix="authproxy-python-") as folder:
        # Downloads are verified by their digests, but compiled files can't be: a release compiles all.
        kept = cache_folder("pyc") if plan.is_trial else Path(folder) / "pyc"
        kept.mkdir(exist_ok=True)
        compiler = Compiler(*bases[here.name], here, Path(folder) / "root", kept)
        for architecture in architectures:
            base, packages = bases[architecture.name]
            wheels = find_wheels(plan.root / "requirements.lock", ours, architecture, OMITTED)
            layers = (base, make_dependencies(wheels), make_own(plan, ours))
            for layer in layers:
                compiler.add_to(layer)
            made = FileSystem(architecture, layers, tuple(packages), (*wheels, ours))
            check(made)
            yield made


def make_own(plan: Plan, wheel: Wheel) -> Tree:
    """The layer of authproxy itself. All its times are the commit's."""
    tree = Tree(mtime=plan.epoch)
    unpack(tree, [wheel])
    module, _, function = _entry_point(tree).partition(":")
    tree.file(f"{HOME}/bin/authproxy", PROGRAM.format(module=module, function=function), mode=PROGRAM_MODE)
    tree.file(CONFIGURATION, (plan.root / "deploy/image/config.yml").read_bytes())
    # A new volume takes its owner from here, so that a container with `--user 65532:65532` may write to it.
    tree.folder(DATA, owner=ACCOUNT)
    tree.folder(AUTHPROXY_HOME, owner=ACCOUNT)
    return tree


def _entry_point(tree: Tree) -> str:
    for path, content in tree.files():
        if path.startswith(SITE) and path.endswith(".dist-info/entry_points.txt"):
            parsed = configparser.ConfigParser()
            parsed.read_string(content.decode())
            return parsed["console_scripts"]["authproxy"]
    raise ReleaseError("the wheel has no command authproxy")


def check(made: FileSystem) -> None:
    """Raises ReleaseError if a library that a program or library needs is missing."""
    entries = {path: entry for layer in made.layers for path, entry in layer.entries.items()}
    folder = f"usr/lib/{made.architecture.multiarch}"
    there = {path.rpartition("/")[2] for path in entries if path.startswith((folder, made.architecture.loader))}
    for path, entry in entries.items():
        missing = [name for name in needed(entry.content) if entry.is_file and name not in there]
        if missing:
            raise ReleaseError(f"/{path} in the image needs {missing[0]}: add its package in release/base.py")
    assert INTERPRETER in entries, "there is a Python"
