"""What `make test` tests is the built wheel, not the source tree beside it."""

import json
import sys
import sysconfig
from importlib.metadata import distribution
from pathlib import Path

import authproxy
from tests.support.binaries import ROOT

PACKAGE = Path(authproxy.__file__).parent


def is_editable() -> bool:
    """Whether authproxy is installed as a link to the source tree (PEP 610)."""
    origin = json.loads(distribution("authproxy-registry").read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable", False))


def test_imported_package_is_the_installed_one() -> None:
    installed = ROOT if is_editable() else Path(sysconfig.get_path("purelib"))
    assert installed / "authproxy" == PACKAGE


def test_environment_of_make_test_holds_the_wheel() -> None:
    assert not (Path(sys.prefix).name == ".venv-test" and is_editable())


def test_wheel_has_every_file_of_the_source_tree() -> None:
    # The commit is in the wheel alone.
    assert tracked(PACKAGE) - {"revision"} == tracked(ROOT / "authproxy")


def tracked(folder: Path) -> set[str]:
    """The files below a folder that are not the interpreter's own."""
    files = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return {str(file) for file in files if "__pycache__" not in file.parts}
