"""One file a case: what it shows, a config.yml, variables, and the answer of `config check` and `config show`.

Of what `config show` prints a case has what differs from the defaults; those are the case `all-defaults`.
"""

from pathlib import Path

import pytest
from pydantic import SecretStr

from authproxy.config.load import load
from authproxy.config.schema import leaves
from authproxy.config.show import HIDDEN, show
from authproxy.errors import StartError

CASES = sorted((Path(__file__).parent / "golden").glob("*.txt"))


def sections(case: Path) -> tuple[str, dict[str, str], str]:
    """The configuration, the variables and the answer of a case."""
    rest = case.read_text(encoding="utf-8").partition("=== config.yml\n")[2]
    config, _, rest = rest.partition("=== environment\n")
    variables, _, answer = rest.partition("=== answer\n")
    return config, dict(line.split("=", 1) for line in variables.splitlines()), answer


def answer_to(folder: Path, config: str, environ: dict[str, str], *, shows_all: bool = False) -> str:
    """Warnings, mode and effective configuration, or the lines of the error."""
    path = folder / "config.yml"
    path.write_text(config, encoding="utf-8")
    try:
        loaded = load(path, environ)
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
    config, environ, answer = sections(case)
    assert answer_to(tmp_path, config, environ, shows_all=case.stem == "all-defaults") == answer


@pytest.mark.parametrize(
    "case", [c for c in CASES if not c.stem.startswith("refused")], ids=lambda case: str(case.stem)
)
def test_what_is_shown_loads_to_the_same_settings(case: Path, tmp_path: Path) -> None:
    config, environ, _ = sections(case)
    (tmp_path / "config.yml").write_text(config, encoding="utf-8")
    first = load(tmp_path / "config.yml", environ)
    (tmp_path / "shown.yml").write_text(show(first), encoding="utf-8")
    again = load(tmp_path / "shown.yml", {}).settings
    assert dict(leaves(again)) == {
        path: SecretStr(HIDDEN) if isinstance(value, SecretStr) else value for path, value in leaves(first.settings)
    }


def test_refusals_name_no_secret() -> None:
    answers = [sections(case)[2] for case in CASES]
    assert not any("hunter2" in answer or "do not show" in answer for answer in answers)
