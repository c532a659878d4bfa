"""One rule for which configuration a command reads, and the same for `serve`, which is asked to serve a folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from authproxy.config.find import (
    Found,
    NoConfiguration,
    embedded,
    find_configuration,
    find_home,
    find_to_serve,
    was_started,
)
from authproxy.errors import StartError

HERE = Path()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["authproxy"])
    return tmp_path


@pytest.fixture
def usual(folder: Path) -> Path:
    place = folder / "etc/config.yml"
    place.parent.mkdir()
    place.touch()
    return place


@pytest.fixture
def started(folder: Path) -> Path:
    """The embedded default has been started in this folder."""
    (folder / "data").mkdir()
    (folder / "data/htpasswd").touch()
    return folder


def test_the_order(started: Path, usual: Path) -> None:
    variable, places = {"REGISTRY_CONFIGURATION_PATH": "/var.yml"}, [usual]
    assert find_configuration(Path("named.yml"), variable, places) == Found(Path("named.yml"), HERE)
    assert find_configuration(None, variable, places) == Found(Path("/var.yml"), HERE)
    assert find_configuration(None, {}, places) == Found(None, HERE)
    (started / "data/htpasswd").unlink()
    assert find_configuration(None, {}, places) == Found(usual, HERE)


def test_the_first_usual_place_wins(usual: Path, folder: Path) -> None:
    second = folder / "second.yml"
    second.touch()
    assert find_configuration(None, {}, [folder / "none", usual, second]).file == usual


@pytest.mark.usefixtures("started")
def test_the_embedded_default_is_that_of_authproxy_home(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with pytest.raises(NoConfiguration, match=f"there is no {home}/data/htpasswd"):
        find_configuration(None, {"AUTHPROXY_HOME": str(home)}, [])
    (home / "data").mkdir(parents=True)
    (home / "data/htpasswd").touch()
    found = find_configuration(None, {"AUTHPROXY_HOME": str(home)}, [])
    assert (found, str(found)) == (Found(None, home), f"embedded default in {home}")
    assert str(find_configuration(None, {}, [])) == f"embedded default in {folder}"
    assert embedded({}).home == find_home({"AUTHPROXY_HOME": ""}) == HERE


def test_without_any_every_place_is_named(folder: Path) -> None:
    with pytest.raises(NoConfiguration) as raised:
        find_configuration(None, {}, [folder / "a", folder / "b"])
    for words in ("REGISTRY_CONFIGURATION_PATH is not set", "data/htpasswd", f"{folder}/a or {folder}/b", "--config"):
        assert words in str(raised.value)


def test_a_missing_file_that_is_named_is_not_replaced(started: Path, usual: Path) -> None:
    assert find_configuration(Path("gone"), {}, [usual]).file == Path("gone")
    assert find_to_serve(None, {"REGISTRY_CONFIGURATION_PATH": "gone"}, [usual]).file == Path("gone")


def test_a_folder_that_may_not_be_read_is_not_passed_over(monkeypatch: pytest.MonkeyPatch, usual: Path) -> None:
    def refuse(_home: str) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("authproxy.config.places.was_started", refuse)
    with pytest.raises(StartError, match="data/htpasswd: cannot be read: Permission denied; run this as its owner"):
        find_configuration(None, {}, [usual])


def test_a_start_takes_no_folder_by_itself(started: Path) -> None:
    assert was_started(started)
    with pytest.raises(NoConfiguration, match=f"was started in {started}: `authproxy serve --embedded` serves it"):
        find_to_serve(None, {}, [Path("none")])


def test_a_start_between_two_configurations_asks_which(started: Path, usual: Path) -> None:
    with pytest.raises(StartError) as raised:
        find_to_serve(None, {}, [usual])
    assert "`authproxy serve --embedded`" in str(raised.value)
    assert f"`authproxy serve {usual}`" in str(raised.value)
    assert find_to_serve(usual, {}, [usual]).file == usual


def test_a_start_without_any(folder: Path, usual: Path) -> None:
    assert find_to_serve(None, {}, [usual]).file == usual
    with pytest.raises(NoConfiguration, match=r"set REGISTRY_CONFIGURATION_PATH, or create .*/a; `serve --embedded`"):
        find_to_serve(None, {}, [folder / "a"])


def test_to_find_it_loads_nothing() -> None:
    code = "import sys; from authproxy.config.find import find_configuration; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"pydantic", "yaml", "cryptography", "structlog"} & set(loaded)
