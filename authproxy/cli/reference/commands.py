"""The page docs/reference/cli.md, made from the commands themselves.

python -m authproxy.cli.reference.commands > docs/reference/cli.md
"""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer

from authproxy.cli import app
from authproxy.cli.completion.tree import Command, Value, read_tree
from authproxy.cli.examples import example_lines
from authproxy.cli.group import aliases_of
from authproxy.cli.reference.json_shapes import SHAPES

INTRODUCTION = """\
# Commands

Every command that there is, as `authproxy … --help` describes it. This page is made from the code:
`python -m authproxy.cli.reference.commands`. How shells complete them: [completion](../how-to/complete-commands.md).

- Exit code 0 is success, 1 a failure, which one sentence describes, and 2 a command that is wrong, or a question that
  cannot be answered; commands that give the codes another meaning say so.
- Results are on standard output, all else on standard error; `--json` is for programs. Below, `JSON:` has the names
  of all fields: `…` behind a name is a list, `{…}` an object. Fields without a value may be null or absent.
- `authproxy CONFIG.yml` is `authproxy serve CONFIG.yml`: so CNCF Distribution's container image is called.
"""


_OBJECT = re.compile(r"\{.*\}")


def page() -> str:
    """All of it."""
    command = typer.main.get_command(app)
    return "\n".join([INTRODUCTION, *_sections(command, read_tree(command))])


def _sections(command: Any, read: Command, aliases: Sequence[str] = ()) -> Iterator[str]:
    children: Mapping[str, Any] = getattr(command, "commands", {})
    if read.at:
        yield from (f"#{'#' * read.at.count(' ')} `authproxy{read.at}`", "", *_text(command.help))
        if aliases:
            group = read.at.removesuffix(read.name)
            yield from ("Also: " + ", ".join(f"`authproxy{group}{alias}`" for alias in aliases) + ".", "")
    if not children:
        yield from _usage(command, read)
    for child in sorted(read.below, key=lambda child: (bool(child.below), child.name)):
        yield from _sections(children[child.name], child, aliases_of(child.name, children))


def _text(text: str | None) -> Iterator[str]:
    """A help text as Markdown: what would be markup there is not meant as such."""
    for line in inspect.cleandoc(text or "").splitlines():
        yield line.replace("*", "\\*").replace("<", "\\<") if "`" not in line else line
    yield ""


def _usage(command: Any, read: Command) -> Iterator[str]:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    words = [f"authproxy{read.at}", "[OPTIONS]", *(_shown(param) for param in arguments)]
    yield from ("```", " ".join(words), "```", "")
    rows = [*_argument_rows(arguments), *_option_rows(command, read)]
    yield from ("| | |", "|---|---|", *rows, "")
    if shape := SHAPES.get(read.at.strip()):
        yield from (f"JSON: {'; '.join(_OBJECT.sub(_as_code, part) for part in shape.split('; '))}.", "")
    yield from ("```", *example_lines(command.epilog), "```", "")


def _as_code(found: re.Match[str]) -> str:
    return f"`{found[0]}`"


def _shown(param: Any) -> str:
    name = (param.metavar or param.name).strip("{}").upper().replace("_", "-")
    shown = f"{name}…" if param.nargs == -1 else name
    return shown if param.required else f"[{shown}]"


def _argument_rows(arguments: list[Any]) -> Iterator[str]:
    for param in arguments:
        yield f"| `{_shown(param).strip('[]')}` | {_cell(param.help)} |"


def _option_rows(command: Any, read: Command) -> Iterator[str]:
    about = {param.opts[0]: param for param in command.params if param.param_type_name == "option"}
    for option in read.options:
        param = about.get(option.names[0])
        names = ", ".join(f"`{name}{_value(option.value)}`" for name in option.names)
        yield f"| {names} | {_cell(param.help if param is not None else option.about)} |"


def _value(value: Value | None) -> str:
    if value is None:
        return ""
    if value.choices:
        return " " + "\\|".join(value.choices)
    return " PATH" if value.is_path else " VALUE"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|").replace("*", "\\*")


if __name__ == "__main__":
    typer.echo(page(), nl=False)
