"""The scripts hold every command, option and value that there is; what shells make of them: tests/clients."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from authproxy.cli import app
from authproxy.cli.completion.tree import Option, Value, first_sentence, quoted, read_tree

TREE = read_tree(typer.main.get_command(app))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_holds_every_command_and_option(shell: str) -> None:
    result = CliRunner().invoke(app, ["completion", shell])
    assert result.exit_code == 0
    names = [option for command in TREE.every() for one in command.options for option in one.names]
    wanted = [command.name for command in TREE.every()] + names
    if shell == "fish":
        wanted = [f"-l {name[2:]}" if name.startswith("--") else name.removeprefix("-") for name in wanted]
    assert [word for word in wanted if word not in result.stdout] == []


def test_another_shell_is_a_wrong_command() -> None:
    result = CliRunner().invoke(app, ["completion", "tcsh"])
    assert result.exit_code == 2
    assert "tcsh" in result.stderr


class Kind(StrEnum):
    ONE = "one"
    TWO = "two"


def test_a_command_is_read_by_the_types_of_its_parameters() -> None:
    small = typer.Typer(add_completion=False)

    @small.command()
    def move(
        source: list[Path],
        kind: Annotated[Kind | None, typer.Option("--kind", "-k", help="Which. And more.")] = None,
        loud: Annotated[bool, typer.Option("--loud/--quiet", help="How.")] = False,  # noqa: FBT002 - typer's way
        name: str = "",
    ) -> None:
        """Move it. Some more words."""

    tree = read_tree(typer.main.get_command(small))
    assert (tree.at, tree.about, tree.arguments) == ("", "Move it", (Value(is_path=True),))
    assert tree.options == (
        Option(("--kind", "-k"), "Which", Value(("one", "two"))),
        Option(("--loud", "--quiet"), "How"),
        Option(("--name",), "", Value()),
        Option(("--help",), "Show this message and exit."),
    )


@pytest.mark.parametrize(
    ("text", "first"), [("", ""), ("Do it.", "Do it"), ("Do\n  it. Then more.", "Do it"), ("Do\n\nmore", "Do")]
)
def test_the_first_sentence_is_one_line(text: str, first: str) -> None:
    assert first_sentence(text) == first


def test_a_quoted_text_cannot_end_its_quotes() -> None:
    assert quoted("a user's \\ $(x) `y`").count("'") == 2
