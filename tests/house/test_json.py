"""What a command prints can be read by programs: with `--json`, in a shape that the page of commands has."""

import typer

from authproxy.cli import app
from authproxy.cli.completion.tree import read_tree
from authproxy.cli.reference.json_shapes import SHAPES

# Commands without --json, and why.
WITHOUT = {
    "serve": "it serves; its log can be JSON by log.formatter",
    "garbage-collect": "it has the options of CNCF Distribution; `gc` is the same with --json",
    "health": "the exit code is the answer",
    "completion": "it prints a script for a shell",
    "key export": "it prints a key set, which is JSON, or lines for another program's configuration",
    "policy schema": "it prints JSON",
    "policy import docker_auth": "it prints a policy file; its report is JSON with --report json",
    "policy import zot": "it prints a policy file; its report is JSON with --report json",
}

COMMANDS = {
    command.at.strip(): [name for option in command.options for name in option.names]
    for command in read_tree(typer.main.get_command(app)).every()
    if command.at and not command.below
}


def test_every_command_has_json_or_a_reason_against_it() -> None:
    without = {name for name, options in COMMANDS.items() if "--json" not in options}
    assert without == set(WITHOUT), "give it --json, or name the reason here"


def test_every_json_has_its_shape_on_the_page() -> None:
    with_json = {name for name, options in COMMANDS.items() if "--json" in options}
    assert with_json == set(SHAPES), "write its fields to authproxy/cli/reference/json_shapes.py"
