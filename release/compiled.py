"""Compiles Python files by the image's own interpreter: a `.pyc` of another version would be ignored.

The files are the same for all architectures, so those of the image are made by the interpreter for this machine.
"""

import hashlib
import os
import posixpath
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from release.architecture import Architecture
from release.base import INTERPRETER, PYTHON
from release.debian import Package
from release.program import run
from release.tree import Tree

TAG = f"cpython-{PYTHON.replace('.', '')}"

# Each file is compiled in a fork of its own. In one process the bytes would depend on the files before: marshal writes
# an object that is referenced once in another way than one that is shared, and constants are shared by all files.
# The hash of the source is written, but never checked: a changed file of an image would be another image.
WORKER = """\
import os, sys
from importlib._bootstrap_external import SourceFileLoader, _code_to_hash_pyc
from _imp import source_hash
from importlib.util import _RAW_MAGIC_NUMBER

def compile_one(source, shown, target):
    with open(source, "rb") as file:
        content = file.read()
    code = SourceFileLoader("<compiled>", source).source_to_code(content, shown)
    with open(target, "wb") as file:
        file.write(_code_to_hash_pyc(code, source_hash(_RAW_MAGIC_NUMBER, content), False))

for line in sys.stdin.read().splitlines():
    child = os.fork()
    if not child:
        compile_one(*line.split("\\t"))
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit("not compiled: " + line)
"""


class Compiler:
    """The interpreter of a base, started from a folder on this machine; what it compiled is in the folder `kept`."""

    def __init__(
        self, base: Tree, packages: Iterable[Package], architecture: Architecture, folder: Path, kept: Path
    ) -> None:
        self._root = folder
        self._version = " ".join(one.version for one in packages if one.name == f"python{PYTHON}-minimal")
        self._kept = kept
        base.write_to(folder)
        libraries = f"{folder}/usr/lib/{architecture.multiarch}"
        # By its own loader and libraries: this machine's may be older.
        self._command = (
            *(str(folder / architecture.loader), "--library-path", libraries, str(folder / INTERPRETER)),
            *("-S", "-s", "-W", "ignore", "-c", WORKER),
        )

    def add_to(self, tree: Tree) -> None:
        """Compile each file of a tree, beside it. Raises ReleaseError for a file that is not Python."""
        sources = {path: content for path, content in tree.files() if path.endswith(".py")}
        for path, compiled in self._compile(sources).items():
            folder, name = posixpath.split(path)
            tree.file(f"{folder}/__pycache__/{name.removesuffix('.py')}.{TAG}.pyc", compiled)

    def _compile(self, sources: Mapping[str, bytes]) -> dict[str, bytes]:
        files = {path: self._kept / self._key(path, content) for path, content in sources.items()}
        missing = [path for path, file in files.items() if not file.exists()]
        with tempfile.TemporaryDirectory(dir=self._kept, prefix=".compiling-") as name:
            work = Path(name)
            lines = []
            for number, path in enumerate(missing):
                (work / f"{number}.py").write_bytes(sources[path])
                lines.append(f"{work}/{number}.py\t/{path}\t{work}/{number}.pyc")
            workers = os.cpu_count() or 1
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(self._run, (lines[start::workers] for start in range(workers))))
            for number, path in enumerate(missing):
                (work / f"{number}.pyc").rename(files[path])
        return {path: file.read_bytes() for path, file in files.items()}

    def _run(self, lines: Iterable[str]) -> None:
        env = {"PYTHONHOME": f"{self._root}/usr", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        run(*self._command, env=env, stdin="\n".join(lines))

    def _key(self, path: str, content: bytes) -> str:
        return hashlib.sha256(f"{self._version}\0{WORKER}\0{path}\0".encode() + content).hexdigest()
