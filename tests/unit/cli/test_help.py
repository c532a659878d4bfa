"""Every command says how it is called: with examples that are commands which there are."""

import contextlib
import os
import pty
import re
import shlex
import subprocess
import sys
import termios
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from authproxy.cli import app
from authproxy.cli.examples import example_lines
from authproxy.cli.group import ALIASES, PlainCommand, PlainGroup

# What of a line is the command itself: behind variables and pipes, before what takes its output or gives it input.
COMMAND = re.compile(r"(?:^|[|(] *|[A-Z_]+=\S+ )authproxy(?= |$)([^|<>()&]*)")

TREE = typer.main.get_command(app)


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that call it; groups are none."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    for name, child in below.items():
        yield from commands(child, (*path, name))


COMMANDS = dict(commands(TREE))


def examples_of(command: Any) -> list[str]:
    """The lines below `Examples:`."""
    return example_lines(command.epilog)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_examples(path: tuple[str, ...]) -> None:
    lines = examples_of(COMMANDS[path])
    assert lines, f"authproxy {' '.join(path)} --help has no examples"
    calling = [line for line in lines if re.search(rf"\bauthproxy {' '.join(path)}(?![\w-])", line)]
    assert calling == lines, "an example of another command"


EXAMPLES = [line for command in (TREE, *COMMANDS.values()) for line in examples_of(command)]


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_is_a_command_that_there_is(line: str) -> None:
    found = COMMAND.findall(line)
    assert found, "it calls no authproxy"
    for words in found:
        parse(shlex.split(words))


def parse(words: list[str]) -> None:
    """Read a command line to its end, without doing what it says. Raises UsageError."""
    command: Any = TREE
    path, context = "authproxy", None
    while below := getattr(command, "commands", None):
        assert words, f"{path} is a group"
        name, *words = words
        assert name in below, f"{path} {name} is no command"
        command, path = below[name], f"{path} {name}"
    context = command.make_context(path, list(words))
    context.close()


@pytest.mark.parametrize("wrong", ["serve --nothing", "policy expl", "user", "key retire", "images list"])
def test_what_is_no_command_is_refused(wrong: str) -> None:
    """Of the test itself: it can tell."""
    with pytest.raises(Exception, match=r"o such option|no command|is a group|issing argument|Missing"):
        parse(shlex.split(wrong))


@pytest.mark.parametrize("path", [(), *COMMANDS], ids=" ".join)
def test_help_shows_each_example_on_a_line(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80"})
    assert shown.exit_code == 0
    lines = [line.strip() for line in shown.stdout.splitlines()]
    missing = [line for line in examples_of(COMMANDS.get(path, TREE)) if line not in lines]
    assert missing == []


def run_in_pipe(*arguments: str) -> str:
    """Both outputs of the program with pipes behind it."""
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    program = [sys.executable, "-c", "from authproxy.cli import main; main()", *arguments]
    done = subprocess.run(program, capture_output=True, text=True, env=environment, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("arguments", ["--help", "user add --help", "policy --help", "user ad", "user add", "user"])
def test_help_and_usage_errors_are_plain_text_in_a_pipe(arguments: str) -> None:
    shown = run_in_pipe(*arguments.split())
    assert "Usage: " in shown
    assert re.findall(r"\x1b|[\u2500-\u257f]|\w\.\.\.$| +$|…", shown, re.MULTILINE) == []


def test_help_in_a_pipe_has_a_line_for_each_option_and_sentence() -> None:
    lines = run_in_pipe("user", "add", "--help").splitlines()
    about = "The last day to log in, 2026-12-31 (UTC), or a time, 2026-12-31T18:00:00Z."
    assert [line.split("  ")[-1].strip() for line in lines if "--expires" in line and "authproxy" not in line] == [
        about
    ]


def test_help_on_a_terminal_is_as_wide_as_it_and_plain() -> None:
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 60))
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"} | {"TERM": "xterm-256color"}
    program = [sys.executable, "-c", "from authproxy.cli import main; main()", "user", "add", "--help"]
    with subprocess.Popen(program, stdin=end, stdout=end, stderr=end, env=environment) as process:
        os.close(end)
        shown = b""
        with contextlib.suppress(OSError):  # the other end is closed: the program has ended
            while piece := os.read(terminal, 1000):
                shown += piece
        assert process.wait(60) == 0
    os.close(terminal)
    text = shown.decode()
    assert "\x1b" not in text
    head = text.partition("Examples:")[0]
    assert max(len(line) for line in head.splitlines()) <= 60


GROUPS_WITH_ALIASES = [
    (path[:-1], path[-1], alias) for path in COMMANDS for alias, names in ALIASES.items() if path[-1] in names
]


@pytest.mark.parametrize(
    ("group", "name", "alias"), GROUPS_WITH_ALIASES, ids=[" ".join((*one[0], one[2])) for one in GROUPS_WITH_ALIASES]
)
def test_ls_and_rm_are_the_commands_that_list_and_remove(group: tuple[str, ...], name: str, alias: str) -> None:
    ours, other = (CliRunner().invoke(app, [*group, word, "--help"]).stdout for word in (name, alias))
    assert other.partition("\n")[2] == ours.partition("\n")[2] != ""
    assert f"  {name}, {alias} " in CliRunner().invoke(app, [*group, "--help"]).stdout


def test_the_names_of_a_group_without_a_list_have_no_other_names() -> None:
    assert {" ".join((*group, alias)) for group, _, alias in GROUPS_WITH_ALIASES} >= {
        "user ls",
        "user rm",
        "key ls",
        "images ls",
        "images rm",
    }
    assert CliRunner().invoke(app, ["token", "rm"]).exit_code == 2


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_its_groups_have_plain_help(path: tuple[str, ...]) -> None:
    """A group made by typer itself has neither plain help nor other names of its commands."""
    assert isinstance(COMMANDS[path], PlainCommand)
    command: Any = TREE
    for name in path:
        assert isinstance(command, PlainGroup)
        command = command.commands[name]


SHOWN = [
    (("policy", "import", "zot"), "--report text|json"),
    (("key", "export"), "--for distribution"),
    (("key", "export"), "--output PATH"),
    (("user", "add"), "--group VALUE"),
    (("user", "add"), "--cost N"),
    (("health",), "--timeout VALUE"),
    (("doctor",), "--version 2.8|3.0|3.1"),
]


@pytest.mark.parametrize(("path", "text"), SHOWN, ids=[text for _, text in SHOWN])
def test_an_option_is_shown_with_what_it_takes(path: tuple[str, ...], text: str) -> None:
    assert f"  {text} " in CliRunner().invoke(app, [*path, "--help"]).stdout


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_no_type_of_python_is_in_the_help(path: tuple[str, ...]) -> None:
    assert re.findall(r"<[^>]*>", CliRunner().invoke(app, [*path, "--help"]).stdout.partition("Examples:")[0]) == []
