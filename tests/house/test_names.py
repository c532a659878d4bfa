"""A name means one thing in one layer, and no room is called by what it is not."""

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import authproxy
from tests.support.binaries import ROOT

PACKAGE = Path(authproxy.__file__).parent
# Rooms for everything, which nobody finds anything in.
NOTHING = {"util", "utils", "helper", "helpers", "common", "misc", "shared", "base", "core_utils"}


def layers() -> Iterator[list[str]]:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ][0]
    for line in contract["layers"]:
        yield [name.strip() for name in line.split("|")]


def files_of(name: str) -> list[Path]:
    folder = PACKAGE / name
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def classes_of(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name


def test_no_class_name_is_defined_twice_in_one_layer() -> None:
    twice: dict[str, list[str]] = {}
    for layer in layers():
        places: defaultdict[str, list[str]] = defaultdict(list)
        for path in (path for name in layer for path in files_of(name)):
            for found in classes_of(path):
                places[found].append(str(path.relative_to(PACKAGE)))
        twice |= {name: paths for name, paths in places.items() if len(paths) > 1}
    assert twice == {}


def test_no_module_is_called_by_what_it_is_not() -> None:
    named = [path for path in PACKAGE.rglob("*") if path.stem in NOTHING and "__pycache__" not in path.parts]
    assert named == []
