import json
import platform

from typer.testing import CliRunner

from authproxy import __version__
from authproxy.cli import app
from authproxy.cli.version import LIBRARIES


def test_what_runs_here_is_told_as_text_and_as_json() -> None:
    said = CliRunner().invoke(app, ["version"])
    assert said.exit_code == 0
    words = dict(line.split(maxsplit=1) for line in said.stdout.splitlines())
    content = json.loads(CliRunner().invoke(app, ["version", "--json"]).stdout)
    assert set(content) == {"authproxy", "python", "system", "openssl", "libraries"}
    assert set(content["libraries"]) == set(LIBRARIES)
    assert (content["authproxy"], content["python"]) == (__version__, platform.python_version())
    libraries = content.pop("libraries")
    assert words == content | libraries
