"""`authproxy images …` without a registry: what is refused before anybody is asked, help, and the reference page."""

import asyncio
import io
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from authproxy.cli import app
from authproxy.cli.images.app import app as images
from authproxy.cli.registry_run import INTERRUPTED, ask, printable
from tests.support.binaries import ROOT

REFERENCE = (ROOT / "docs/reference/images.md").read_text(encoding="utf-8")
COMMANDS = ("list", "inspect", "copy", "push", "pull", "tag", "delete")
HEX = "0" * 64


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without logins."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("DOCKER_HOST", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def invoke(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["images", *arguments])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


def said(result: Result) -> str:
    """What it said, without the frame and its line breaks."""
    return re.sub(r"[\s│╭╮╰╯─]+", " ", result.output)


WRONG = [
    ("list", "registry", "'registry' is not a registry for docker"),
    ("list", "oci:folder", "is in a file"),
    ("list", "alice:s@localhost:5000", "write localhost:5000 with --user USER"),
    ("list", "localhost:5000/app:v1", "a repository is named without a tag"),
    ("list", "--tree --json localhost:5000", "--json has a line for each image, and no tree"),
    ("list", "--password-stdin localhost:5000", "it needs --user"),
    ("inspect", "localhost:5000/APP", "is not an image name"),
    ("copy", "localhost:5000/a/* localhost:5000/b", "several images need a registry, or a prefix that ends with /"),
    ("copy", "localhost:5000/a localhost:5000/b --platform linux", "'linux' is not a platform"),
    ("copy", "localhost:5000/a:v1 registry", "'registry' is not a registry"),
    ("copy", "localhost:5000/A:v1 localhost:5001", "is not an image name"),
    ("copy", "docker-daemon:app localhost:5000", "images push --docker"),
    ("copy", "localhost:5000/a:v1 docker-archive:x.tar", "images pull REF -o FILE"),
    ("inspect", "::1/app", "an IPv6 address in brackets"),
    ("tag", "a:s@localhost:5000/a localhost:5000/b", "leave the login out"),
    ("delete", "https://a.b/v2/c/manifests/v1 --yes", "write a.b/c:TAG"),
    ("list", "localhost:5000/team/*", "--filter: authproxy images list --filter 'team/*' localhost:5000"),
    ("copy", "app.tar localhost:5000/a", "app.tar is a file: authproxy images push app.tar localhost:5000/a"),
    ("push", "localhost:5000", "name what to push and then where to, or --docker"),
    ("push", "app.tar registry", "'registry' is not a registry"),
    ("push", "app.tar oci:folder", "is in a file"),
    ("push", "docker-archive:app.tar localhost:5000", "write only the path, app.tar"),
    ("push", "--docker docker-daemon:app localhost:5000", "write --docker and only the name, app"),
    ("list", "--ca none.pem localhost:1", "'none.pem' does not exist"),
    ("push", "app.tar localhost:5000 --jobs 0", "greater than or equal to 1"),
    ("pull", "localhost:5000/a", "say where to: a file by -o, or --docker"),
    ("pull", "localhost:5000/a -o x.tar --docker", "say where to: a file by -o, or --docker"),
    ("pull", "localhost:5000/a -o docker-archive:x.tar", "write only the path, x.tar"),
    ("pull", "docker-daemon:app -o x.tar", "is in the local docker daemon"),
    ("pull", "localhost:5000/a -o x", "the name has no known ending"),
    ("pull", "localhost:5000/a --docker --format oci", "is given what docker load takes"),
    ("tag", "localhost:5000/a:v1 localhost:5001/a:v2", "it is in another registry"),
    ("tag", f"localhost:5000/a:v1 localhost:5000/a@sha256:{HEX}", "a new name is repository:tag, without a digest"),
    ("delete", "localhost:5000/a", "standard input is not a terminal, so nobody can confirm"),
    ("delete", "localhost:5000/a:v1 --keep 3 --yes", "rules are for a whole repository: leave out its tag"),
    ("delete", "localhost:5000/a --older-than 3y --yes", "'3y' is no age: 12h, 30d or 8w"),
    (
        "delete",
        "localhost:5000/a:v1",
        "standard input is not a terminal, so nobody can confirm; use --yes or --dry-run",
    ),
]


@pytest.mark.parametrize(("command", "arguments", "why"), WRONG, ids=[" ".join(row[:2]) for row in WRONG])
def test_wrong_command_is_exit_code_2_with_a_sentence(command: str, arguments: str, why: str) -> None:
    result = invoke(command, *arguments.split())
    assert result.exit_code == 2, result.output
    assert why in said(result)


FAILED = [
    ("push", "none.tar localhost:1", "none.tar: cannot be read: No such file or directory"),
    ("push", "--docker localhost:1", "there is no such socket: start docker"),
    ("list", "localhost:1", "localhost:1 cannot be reached: nothing listens there\n"),
]


@pytest.mark.parametrize(("command", "arguments", "why"), FAILED, ids=[" ".join(row[:2]) for row in FAILED])
def test_failure_is_exit_code_1_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, command: str, arguments: str, why: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    result = invoke(command, *arguments.split())
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("authproxy: ")
    assert why in result.stderr


def commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(images)
    return dict(group.commands)


@pytest.mark.parametrize("width", ["80", "200"])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_a_line_each(monkeypatch: pytest.MonkeyPatch, command: str, width: str) -> None:
    monkeypatch.setenv("COLUMNS", width)
    lines = [line.strip() for line in invoke(command, "--help").stdout.splitlines()]
    examples = [line for line in lines[lines.index("Examples:") + 1 :] if line]
    assert len(examples) >= 2
    assert all(line.startswith(f"authproxy images {command} ") for line in examples)


def test_every_command_is_here() -> None:
    assert tuple(commands()) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_reference_has_every_option_of_a_command_and_no_other(command: str) -> None:
    own = {option for each in commands()[command].params for option in each.opts if option.startswith("--")}
    common = options_in("Options of all commands")
    assert options_in(f"`images {command}`") == own - common - {"--help"}
    assert common <= own | {"--jobs"}


def options_in(heading: str) -> set[str]:
    """The options in the table below a heading of the reference."""
    section = REFERENCE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE))


def test_reference_has_the_exit_codes() -> None:
    section = REFERENCE.partition("\n## Exit codes")[2].partition("\n## ")[0]
    assert re.findall(r"^\| ([0-9]+) \|", section, re.MULTILINE) == ["0", "1", "2", "130", "143"]


def test_what_registries_say_is_safe_on_a_terminal() -> None:
    assert printable("a\x1b[31mb\u202ec\n") == "a\\x1b[31mb\\u202ec\n"


class _Impatient(io.StringIO):
    """A terminal whose reader presses Ctrl-C as soon as the question is there."""

    def flush(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_in_the_moment_of_the_question_ends_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    async def command() -> bool:
        return ask("Delete 1 image? [y/N] ")

    monkeypatch.setattr("sys.stderr", _Impatient())
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises((typer.Exit, KeyboardInterrupt)) as ended:
        asyncio.run(command())
    assert isinstance(ended.value, typer.Exit), "asyncio took it, and waited for the answer"
    assert ended.value.exit_code == INTERRUPTED
