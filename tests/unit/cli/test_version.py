import json
import platform
from pathlib import Path

import pytest
from typer.testing import CliRunner

import authproxy
from authproxy import __version__
from authproxy.cli import app
from authproxy.cli.version import LIBRARIES, revision


def test_what_runs_here_is_told_as_text_and_as_json() -> None:
    said = CliRunner().invoke(app, ["version"])
    assert said.exit_code == 0
    words = dict(line.split(maxsplit=1) for line in said.stdout.splitlines())
    content = json.loads(CliRunner().invoke(app, ["version", "--json"]).stdout)
    assert set(content) == {"authproxy", "revision", "python", "system", "openssl", "libraries"}
    assert set(content["libraries"]) == set(LIBRARIES)
    assert (content["authproxy"], content["python"]) == (__version__, platform.python_version())
    libraries = content.pop("libraries")
    if content["revision"] is None:
        del content["revision"]
    assert words == content | libraries


def test_a_release_says_of_which_commit_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authproxy, "__file__", str(tmp_path / "__init__.py"))
    assert revision() is None
    (tmp_path / "revision").write_text("0123abc-dirty\n")
    assert revision() == "0123abc-dirty"
    assert "revision      0123abc-dirty\n" in CliRunner().invoke(app, ["version"]).stdout
