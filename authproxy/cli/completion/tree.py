"""The commands with what may follow them, as the scripts for shells need it."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints


@dataclass(frozen=True, slots=True)
class Value:
    """What an option or an argument takes: one of some words, a path, or any text."""

    choices: tuple[str, ...] = ()
    is_path: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `value` is None where it takes none."""

    names: tuple[str, ...]
    about: str
    value: Value | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A command or a group. `at` is the words that lead to it, each with a space before it: "" or " policy explain"."""

    at: str
    name: str
    about: str
    options: tuple[Option, ...]
    arguments: tuple[Value, ...]
    below: tuple["Command", ...]

    def every(self) -> Iterator["Command"]:
        """This one and all below it."""
        yield self
        for command in self.below:
            yield from command.every()


HELP = Option(("--help",), "Show this message and exit.")


def read_tree(command: Any, at: str = "", name: str = "authproxy") -> Command:
    """Read a command of typer's, with all below it."""
    children: Mapping[str, Any] = getattr(command, "commands", {})
    hints = _hints(command.callback)
    options = [_option(param, hints) for param in command.params if param.param_type_name == "option"]
    arguments = [_value(hints.get(param.name)) for param in command.params if param.param_type_name == "argument"]
    return Command(
        at,
        name,
        first_sentence(command.help or ""),
        (*options, HELP),
        tuple(arguments),
        tuple(read_tree(child, f"{at} {word}", word) for word, child in children.items()),
    )


def first_sentence(text: str) -> str:
    """The beginning of a help, on one line."""
    paragraph = " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].removesuffix(".")


def quoted(text: str) -> str:
    """A text that every shell takes as it is: in single quotes, of which it has none."""
    return "'" + text.replace("'", "\u2019").replace("\\", "/") + "'"


def paths_with_values(tree: Command) -> Iterator[tuple[str, Value]]:
    """Each option that takes a value, behind the command that it is for: " key export --for"."""
    for command in tree.every():
        for option in command.options:
            if option.value is not None:
                for name in option.names:
                    yield f"{command.at} {name}", option.value


def _option(param: Any, hints: Mapping[str, Any]) -> Option:
    names: Sequence[str] = (*param.opts, *param.secondary_opts)
    value = None if getattr(param, "is_flag", False) else _value(hints.get(param.name))
    return Option(tuple(names), first_sentence(param.help or ""), value)


def _hints(callback: Any) -> Mapping[str, Any]:
    return {} if callback is None else get_type_hints(inspect.unwrap(callback))


def _value(annotation: Any) -> Value:
    """By the types of `Path | None` or `list[Shell]`, whatever typer makes of them."""
    kinds = [annotation]
    for kind in kinds:
        kinds += get_args(kind)
    choices = [str(one.value) for kind in kinds if isinstance(kind, type) and issubclass(kind, Enum) for one in kind]
    return Value(tuple(choices), Path in kinds)
