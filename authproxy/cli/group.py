"""A group of commands: help is plain text, on a terminal and in a pipe, and `ls` and `rm` are other names.

Plain text has no colours, boxes or cut sentences, so `NO_COLOR`, `TERM=dumb` and `| grep` need no special case.
"""

import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from typing import TypeVar

    Function = TypeVar("Function", bound=Callable[..., Any])

# Names of commands elsewhere, and ours. Not completed and without a heading of their own: one name is enough to learn.
ALIASES: Mapping[str, tuple[str, ...]] = {"ls": ("list",), "rm": ("remove", "delete")}

# Wider paragraphs are hard to read.
_MAX_COLUMNS = 120
# The text about an option with a longer name begins on the next line.
_NAMES_COLUMNS = 40
# How typer shows arguments, and the type of a value.
_REQUIRED = re.compile(r"\{([^}]*)\}")
_OPTIONAL = re.compile(r"\[[a-z_-]+\]")
_TYPE = re.compile(r"<(?:list\[)?([\w. |-]+)\]?>")
# What a value is called by its type; a choice is shown as it is.
_KINDS = {"path": "PATH", "int": "N", "int range": "N", "str": "VALUE", "float": "VALUE", "float range": "VALUE"}


class PlainGroup(TyperGroup):
    """Commands below a word."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """With the width that help is wrapped at."""
        if parent is None:
            extra.setdefault("terminal_width", _width())
        return super().make_context(info_name, args, parent, **extra)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name, or of the name that it abbreviates; None where there is neither."""
        del ctx
        names = (cmd_name, *ALIASES.get(cmd_name, ()))
        return next((self.commands[name] for name in names if name in self.commands), None)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The options, and the commands with their first sentence."""
        _write_parameters(self, ctx, formatter)
        rows = [
            (", ".join((name, *aliases_of(name, self.commands))), command.get_short_help_str(sys.maxsize))
            for name, command in self.commands.items()
            if not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class PlainCommand(TyperCommand):
    """One command."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """With the width that help is wrapped at."""
        if parent is None:
            extra.setdefault("terminal_width", _width())
        return super().make_context(info_name, args, parent, **extra)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """`Usage: …`, with the names of arguments as the rest of the help has them."""
        pieces = " ".join(self.collect_usage_pieces(ctx))
        named = _REQUIRED.sub(lambda found: found[1].upper(), pieces)
        formatter.write_usage(ctx.command_path, _OPTIONAL.sub(lambda found: found[0].upper(), named))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The arguments and the options."""
        _write_parameters(self, ctx, formatter)


class Commands(typer.Typer):
    """Where the functions of a group are registered."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            cls=PlainGroup,
            no_args_is_help=True,
            add_completion=False,
            pretty_exceptions_enable=False,
            rich_markup_mode=None,
            **settings,
        )

    def command(self, name: str | None = None, **settings: Any) -> "Callable[[Function], Function]":
        """As typer's."""
        return super().command(name, cls=PlainCommand, **settings)


def aliases_of(name: str, commands: Mapping[str, Any]) -> tuple[str, ...]:
    """The other names of a command of a group."""
    return tuple(alias for alias, ours in ALIASES.items() if name in ours and alias not in commands)


def _width() -> int:
    """The terminal's width, or `COLUMNS`; in a pipe each paragraph and each option is one line."""
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return sys.maxsize
    return min(shutil.get_terminal_size().columns, _MAX_COLUMNS) - 1


def _write_parameters(command: TyperCommand | TyperGroup, ctx: Any, formatter: Any) -> None:
    sections: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            kind = parameter.param_type_name
            sections[kind].append((_shown(record[0], is_argument=kind == "argument"), record[1]))
    for kind, rows in sections.items():
        if rows:
            with formatter.section(f"{kind.capitalize()}s"):
                formatter.write_dl(rows, col_max=_NAMES_COLUMNS)


def _shown(names: str, *, is_argument: bool) -> str:
    """`REPOSITORY`, or `--group VALUE`: an argument by its name alone, an option with what it takes."""
    if is_argument:
        return _TYPE.sub("", names).strip().upper()
    return _TYPE.sub(lambda found: _KINDS.get(found[1], found[1]), names)
