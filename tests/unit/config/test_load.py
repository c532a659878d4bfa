from pathlib import Path
from typing import Any

import pytest

from authproxy.config.document.scalars import Address
from authproxy.config.load import find_file, load, load_values
from authproxy.config.mode import Mode
from authproxy.errors import StartError

SMALL = "version: 0.1\nstorage: filesystem\nauth: none\n"


def write(folder: Path, name: str, addr: str) -> Path:
    path = folder / name
    path.write_text(f"{SMALL}http: {{addr: '{addr}'}}\n", encoding="utf-8")
    return path


def test_the_path_given_comes_before_the_variable_and_that_before_the_usual_places(tmp_path: Path) -> None:
    given, named, usual = (write(tmp_path, name, f":{port}") for name, port in [("g", 1), ("n", 2), ("u", 3)])
    environ, places = {"REGISTRY_CONFIGURATION_PATH": str(named)}, [tmp_path / "missing", usual]
    assert load(given, environ, usual_places=places).settings.http.addr == Address("", 1)
    assert load(None, environ, usual_places=places).settings.http.addr == Address("", 2)
    assert load(None, {}, usual_places=places).settings.http.addr == Address("", 3)
    assert load(None, {}, usual_places=places).origin == str(usual)


def test_the_first_usual_place_wins(tmp_path: Path) -> None:
    first, second = write(tmp_path, "1", ":1"), write(tmp_path, "2", ":2")
    assert find_file({}, [first, second]) == first


def test_without_any_file_the_places_are_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"set REGISTRY_CONFIGURATION_PATH, or create .*/a or .*/b; --embed"):
        load(None, {}, usual_places=[tmp_path / "a", tmp_path / "b"])


def test_a_named_file_that_is_missing_is_not_replaced_by_a_usual_one(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="gone: cannot be read: No such file or directory"):
        load(None, {"REGISTRY_CONFIGURATION_PATH": str(tmp_path / "gone")}, usual_places=[write(tmp_path, "u", ":1")])


def values() -> dict[str, Any]:
    return {
        "version": "0.1",
        "http": {"addr": "localhost:5000", "workers": 2, "relativeurls": True, "trustedproxies": []},
        "storage": {"filesystem": {"rootdirectory": Path("data")}},
        "token": {"keys": "keys"},
        "identities": [{"users": {"path": "users.yaml"}}],
        "policies": {"path": "policies"},
    }


def test_values_of_a_program_are_settings_and_variables_apply_to_them() -> None:
    loaded = load_values(values(), "embedded default", {"REGISTRY_HTTP_ADDR": "127.0.0.1:0"})
    assert loaded.settings.mode is Mode.ISSUE
    assert loaded.settings.http.addr == Address("127.0.0.1", 0)
    assert (loaded.settings.http.workers, loaded.settings.http.relativeurls) == (2, True)
    assert loaded.warnings == ()
    assert loaded.origin == "embedded default"
    assert loaded.sources["http.addr"] == "REGISTRY_HTTP_ADDR"
    assert loaded.sources["http.workers"] == "embedded default"
    assert loaded.sources["identities.0.users.path"] == "embedded default"
    assert loaded.sources["token.lifetime"] == "default"


def test_a_fault_in_values_names_their_origin() -> None:
    with pytest.raises(StartError, match=r'^embedded default: htpp: unknown key \(did you mean "http"\?\)'):
        load_values(values() | {"htpp": {}}, "embedded default", {})


def test_an_upstream_by_variable_replaces_the_storage() -> None:
    settings = load_values(values(), "x", {"REGISTRY_UPSTREAM_URL": "http://127.0.0.1:5001"}).settings
    assert settings.upstream is not None
    assert (settings.upstream.url, settings.upstream.authorization) == ("http://127.0.0.1:5001", "strip")
