"""One file a case: what it shows, a config.yml, variables, and the answer of `config check` and `config show`.

Files that variables name stand between them as `=== file NAME`; `FOLDER/` is where they are. Of what `config show`
prints a case has what differs from the defaults; those are the case `all-defaults`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from authproxy.config.document.schema import leaves
from authproxy.config.load import load
from authproxy.config.show import HIDDEN, show
from authproxy.errors import StartError

CASES = sorted((Path(__file__).parent / "golden").glob("*.txt"))


@dataclass(frozen=True, slots=True)
class Case:
    """What stands in a file of a case."""

    config: str
    environ: dict[str, str]
    files: dict[str, str]
    answer: str

    def lay_out(self, folder: Path) -> dict[str, str]:
        """Write the configuration and the files: the variables that lead there."""
        for name, text in {"config.yml": self.config, **self.files}.items():
            (folder / name).write_text(text, encoding="utf-8")
        return {name: value.replace("FOLDER/", f"{folder}/") for name, value in self.environ.items()}


def read(case: Path) -> Case:
    parts = re.split(r"^=== (.+)\n", case.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    return Case(
        sections["config.yml"],
        dict(line.split("=", 1) for line in sections["environment"].splitlines()),
        {title.removeprefix("file "): text for title, text in sections.items() if title.startswith("file ")},
        sections["answer"],
    )


def answer_to(folder: Path, case: Case, *, shows_all: bool = False) -> str:
    """Warnings, mode and effective configuration, or the lines of the error."""
    environ = case.lay_out(folder)
    try:
        loaded = load(folder / "config.yml", environ)
    except StartError as exc:
        text = f"{exc}\n"
    else:
        warnings = "".join(f"warning: {warning}\n" for warning in loaded.warnings)
        shown = show(loaded)
        text = f"{warnings}mode: {loaded.settings.mode.value}\n{shown if shows_all else without_defaults(shown)}"
    return text.replace(f"{folder}/", "")


def without_defaults(shown: str) -> str:
    """Without the values that nobody wrote, and without the sections that then have nothing in them."""
    lines: list[str] = []
    for line in reversed(shown.splitlines()):
        is_section = line.endswith(":")
        has_children = bool(lines) and indentation(lines[-1]) > indentation(line)
        if not line.endswith("# default") and (not is_section or has_children):
            lines.append(line)
    return "".join(f"{line}\n" for line in reversed(lines))


def indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" -"))


@pytest.mark.parametrize("case", CASES, ids=[case.stem for case in CASES])
def test_case(case: Path, tmp_path: Path) -> None:
    assert answer_to(tmp_path, read(case), shows_all=case.stem == "all-defaults") == read(case).answer


@pytest.mark.parametrize(
    "case", [c for c in CASES if not c.stem.startswith("refused")], ids=lambda case: str(case.stem)
)
def test_what_is_shown_loads_to_the_same_settings(case: Path, tmp_path: Path) -> None:
    environ = read(case).lay_out(tmp_path)
    first = load(tmp_path / "config.yml", environ)
    (tmp_path / "shown.yml").write_text(show(first), encoding="utf-8")
    again = load(tmp_path / "shown.yml", {}).settings
    assert dict(leaves(again)) == {
        path: SecretStr(HIDDEN) if isinstance(value, SecretStr) else value for path, value in leaves(first.settings)
    }


def test_refusals_name_no_secret() -> None:
    answers = [read(case).answer for case in CASES]
    assert not any("hunter2" in answer or "do not show" in answer for answer in answers)
