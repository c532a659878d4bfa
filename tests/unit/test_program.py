"""Commands in messages can be typed as they are printed."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from authproxy.program import called, command, exec_prefix, remember_config


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "bin/authproxy"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_program_that_path_finds_is_called_by_its_name(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(program.parent))
    assert called(str(program)) == "authproxy"


def test_another_is_called_as_it_was_started(program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert called(str(program)) == str(program)
    monkeypatch.chdir(tmp_path)
    assert called("bin/authproxy") == "bin/authproxy"
    other = tmp_path / "other bin/authproxy"
    other.parent.mkdir()
    other.write_text("")
    monkeypatch.setenv("PATH", str(program.parent))
    assert called(str(other)) == f"'{other}'"


def test_a_module_is_called_by_its_interpreter_where_path_does_not_find_the_program(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(program.with_name("python3")))
    monkeypatch.setenv("PATH", "/nowhere")
    assert called("/lib/authproxy/__main__.py") == f"{program.parent}/python3 -m authproxy"
    monkeypatch.setenv("PATH", str(program.parent))
    assert called("/lib/authproxy/__main__.py") == "authproxy"


def test_another_program_that_runs_our_code_is_none_of_ours() -> None:
    assert called("/usr/bin/pytest") == "authproxy"


def test_the_configuration_that_was_named_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/nowhere/pytest"])
    remember_config(Path("my config.yml"))
    try:
        assert command("user add alice") == "authproxy user add alice --config 'my config.yml'"
        assert command("serve --embedded") == "authproxy serve --embedded"
    finally:
        remember_config(None)
    assert command("user add alice") == "authproxy user add alice"


@pytest.mark.parametrize(
    ("set_by_image", "host", "expected"),
    [
        (False, "0123456789ab", ""),
        (True, "0123456789ab", "docker exec -it 0123456789ab "),
        (True, "nas.lan", "docker exec -it CONTAINER "),
    ],
)
def test_in_our_image_a_command_is_typed_outside_of_the_container(
    monkeypatch: pytest.MonkeyPatch, *, set_by_image: bool, host: str, expected: str
) -> None:
    monkeypatch.delenv("AUTHPROXY_RUN_AS", raising=False)
    if set_by_image:
        monkeypatch.setenv("AUTHPROXY_RUN_AS", "65532:65532")
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(nodename=host))
    assert exec_prefix() == expected
