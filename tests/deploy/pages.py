"""The command lines that the pages of docs/ print, so that tests run what people copy."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from tests.support.binaries import ROOT

HOW_TO = ROOT / "docs/how-to"

# A block of commands has no language, and may be indented below an entry of a list. Mere output is `text`.
BLOCK = re.compile(r"^( *)```(.*?)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"(^|\s+)#( .*)?$")


def commands(page: str) -> list[str]:
    """Every command line of a page: comments away, continued lines joined."""
    return commands_of((HOW_TO / f"{page}.md").read_text(encoding="utf-8"))


def commands_of(text: str) -> list[str]:
    """The same of a text in Markdown."""
    return [line for _, language, block in BLOCK.findall(text) if not language for line in _commands_of(block)]


def _commands_of(block: str) -> Iterator[str]:
    """Of a block with prompts what stands behind them, else every line. `&&` joins two."""
    lines = [COMMENT.sub("", line).strip() for line in block.replace("\\\n", " ").splitlines()]
    prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    for line in prompted or lines:
        yield from filter(None, line.split(" && "))


def command(page: str, start: str) -> str:
    """The only command line of a page that begins so."""
    found = [line for line in commands(page) if line.startswith(start)]
    assert len(found) == 1, f"{page}.md has {len(found)} commands that begin with {start!r}: {commands(page)}"
    return found[0]


def typed(page: str, start: str, folder: Path) -> list[str]:
    """The words of such a command, typed in `folder`, without the terminal that a test has not."""
    line = command(page, start).replace("$(pwd)", str(folder))
    return ["-i" if word == "-it" else word for word in shlex.split(line)]
