"""Every decision has a number, a status and a row in the index."""

import re
from pathlib import Path

import pytest

from tests.support.binaries import ROOT

FOLDER = ROOT / "docs" / "decisions"
PAGES = sorted(page for page in FOLDER.glob("*.md") if page.name != "README.md")

NAME = re.compile(r"(\d{4})(-[a-z0-9]+)+\.md")
TITLE = re.compile(r"# (\d{4}): (.+)")
# `amended by` where a later page changes a part, `superseded by` where it takes the place of the whole.
_LINKS = r"(?:\[\d{4}\]\([^)]+\))(?:, \[\d{4}\]\([^)]+\))*"
STATUS = re.compile(rf"Status: (accepted \(\d{{4}}-\d\d-\d\d\)(?:, (?:amended|superseded) by {_LINKS})?)")
LINK = re.compile(r"\[(\d{4})\]\(([^)]+)\)")


def lines_of(page: Path) -> list[str]:
    return page.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_decision_has_a_title_with_its_number_and_a_status_below_it(page: Path) -> None:
    title, blank, status, *_ = lines_of(page)
    assert NAME.fullmatch(page.name)
    assert (found := TITLE.fullmatch(title))
    assert found[1] == page.name[:4]
    assert blank == ""
    assert STATUS.fullmatch(status), f"{status!r}: write 'Status: accepted (YYYY-MM-DD)[, amended by [NNNN](…)]'"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_decision_is_amended_by_a_later_one(page: Path) -> None:
    for number, target in LINK.findall(lines_of(page)[2]):
        assert page.name[:4] < number == target[:4]


def test_numbers_have_no_gap_and_none_is_given_twice() -> None:
    assert [int(page.name[:4]) for page in PAGES] == list(range(1, len(PAGES) + 1))


def test_the_index_lists_every_decision_with_its_title_and_status() -> None:
    index = [line for line in lines_of(FOLDER / "README.md") if line.startswith("| [")]
    assert index == [row_of(page) for page in PAGES], "docs/decisions/README.md has one such row for each page"


def row_of(page: Path) -> str:
    title, _, status, *_ = lines_of(page)
    number = page.name[:4]
    return f"| [{number}]({page.name}) | {title.removeprefix(f'# {number}: ')} | {status.removeprefix('Status: ')} |"
