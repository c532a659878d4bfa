import pytest
import typer

from authproxy.cli import app
from authproxy.cli.completion.tree import Command, read_tree
from authproxy.cli.reference.commands import page
from tests.support.binaries import ROOT

PAGE = ROOT / "docs" / "reference" / "cli.md"
COMMANDS = [command for command in read_tree(typer.main.get_command(app)).every() if command.at]


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m authproxy.cli.reference.commands > " + str(PAGE)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.at.strip())
def test_every_command_has_a_heading_and_its_options(command: Command) -> None:
    text = PAGE.read_text(encoding="utf-8")
    heading = f"# `authproxy{command.at}`\n"
    assert heading in text
    section = text.partition(heading)[2].partition("\n#")[0]
    missing = [name for option in command.options for name in option.names if f"`{name}" not in section]
    assert command.below or missing == []
