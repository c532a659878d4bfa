"""What no file of ours may hold, and what every page must keep true."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.binaries import ROOT

FOLDERS = ("authproxy", "benchmarks", "deploy", "docs", "policies", "release", "tests", ".ci")
KINDS = {".py", ".md", ".yaml", ".yml", ".toml", ".html", ".txt", ""}

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b|DO NOT SUBMIT|NotImplementedError")
SKIPPED = re.compile(r"\b(skip|skipif|xfail|importorskip)\(|mark\.(skip|xfail)")

# [text](target), without images of other hosts and anchors of the same page.
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(?:#[^)]*)?\)")
# A file of the package as the pages name it: `edge/accesslog.py`, `app.py`.
MODULE = re.compile(r"`(?:authproxy/)?((?:[a-z_]+/)*[a-z_]+\.py)`")

ARCHITECTURE = ROOT / "docs" / "architecture.md"
WALK = re.compile(r"^## Walk: (.+)\n((?:(?!## ).*\n)+)", re.MULTILINE)
STEP = re.compile(r"^\d+\. .*(?:\n   .*)*", re.MULTILINE)


def files(*kinds: str) -> list[Path]:
    """Our own files: those at the top and below the folders that people write in."""
    below = (file for folder in FOLDERS for file in (ROOT / folder).rglob("*"))
    every = [*ROOT.iterdir(), *below]
    return sorted(
        file
        for file in every
        if file.is_file()
        and file.suffix in kinds
        and not {"__pycache__", "results"} & set(file.parts)
        and file != Path(__file__)  # it has to write what it looks for
    )


def findings(pattern: re.Pattern[str], paths: list[Path]) -> Iterator[str]:
    """Where a pattern stands: `path:line: text`."""
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if found := pattern.search(line):
                yield f"{path.relative_to(ROOT)}:{number}: {found[0]}"


def name_of(path: Path) -> str:
    """A test's id."""
    return str(path.relative_to(ROOT))


def test_nothing_is_left_for_later() -> None:
    assert list(findings(UNFINISHED, files(*KINDS))) == []


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    assert list(findings(SKIPPED, [file for file in files(".py") if "tests" in file.parts])) == []


@pytest.mark.parametrize("page", files(".md"), ids=name_of)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", files(".md"), ids=name_of)
def test_modules_that_a_page_names_by_their_path_exist(page: Path) -> None:
    named = {name for name in MODULE.findall(page.read_text(encoding="utf-8")) if "/" in name or page == ARCHITECTURE}
    places = (ROOT / "authproxy", ROOT)
    assert {name for name in named if not any((place / name).is_file() for place in places)} == set()


def test_each_step_of_a_walk_names_a_file() -> None:
    walks = WALK.findall(ARCHITECTURE.read_text(encoding="utf-8"))
    assert {title for title, _ in walks} == {"one push", "one token", "one copy", "one value from YAML to its use"}
    for title, text in walks:
        steps = STEP.findall(text)
        assert len(steps) > 3, title
        assert [step for step in steps if not MODULE.search(step) and "next walk" not in step] == [], title
