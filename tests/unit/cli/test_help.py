"""Every command says how it is called: with examples that are commands which there are."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from authproxy.cli import app

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
    first, *lines = [line.strip() for line in (command.epilog or "").splitlines() if line.strip()] or [""]
    return lines if first == "Examples:" else []


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_examples(path: tuple[str, ...]) -> None:
    lines = examples_of(COMMANDS[path])
    assert lines, f"authproxy {' '.join(path)} --help has no examples"
    calling = [line for line in lines if re.search(rf"\bauthproxy {' '.join(path)}(?![\w-])", line)]
    assert calling == lines, "an example of another command"


EXAMPLES = [line for command in (TREE, *COMMANDS.values()) for line in examples_of(command)]


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_is_a_command_that_there_is(line: str) -> None:
    assert "[" not in line, "it would be read as markup"
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
    shown = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert shown.exit_code == 0
    lines = [line.strip() for line in shown.stdout.splitlines()]
    missing = [line for line in examples_of(COMMANDS.get(path, TREE)) if line not in lines]
    assert missing == []
