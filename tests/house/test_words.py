"""Plain English, held by a list: words that readers stumble over, which no page and no package may have."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.binaries import ROOT

# Each with what to say instead. Matched between word boundaries, whatever the case and the line breaks.
BANNED = {
    r"anew": "again",
    r"in vain": "without effect",
    r"is to be had|to be had": "is available",
    r"told": "gets, receives, learns; name who says what",
    r"tells? (?:of|apart)": "report, distinguish",
    r"what is none|that is none|which is none": "name the noun: anything but a …",
    r"none such": "none of these",
    r"who(?:so)?ever": "the client, the caller, anyone who",
    r"somebody who|nobody who": "a user who, no user who",
    r"mended|mends": "fixed, repaired",
    r"thereby": "so",
    r"unsaid": "unknown",
    r"by turns": "alternately",
    r"cannot be told|can't be told": "is unknown",
    r"(?:be|is|are) believed": "accepted, trusted",
    r"as it stands|as they stand": "unchanged",
    r"stands|stand (?:in|on|at|there|here|behind|before|for|beside|below|above)": "is in; means",
    r"(?:of|at) the least|at the most": "at least, at most",
    r"what came of it": "the result",
    r"wherewith|whereof|whence": "with which",
}
WORDS = {words: re.compile(r"(?i)\b(?:" + words.replace(" ", r"\s+") + r")\b") for words in BANNED}

# Pages and folders, relative to the repository. Generated pages follow the docstrings that they are made from.
ROOTS = (
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md"),
    *("authproxy", "benchmarks", "deploy", "docs", "policies", "release"),
)
KINDS = {".md", ".py", ".yaml", ".yml", ".service"}
# Of Python code only these count: names follow other rules.
PROSE = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
# What a program prints is quoted letter for letter.
QUOTED = re.compile(r"^( *)```.*?^\1```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def files(root: str) -> Iterator[Path]:
    """The file itself, or all files of a folder that people write."""
    path = ROOT / root
    found = [path] if path.is_file() else sorted(path.rglob("*"))
    yield from (file for file in found if file.suffix in KINDS)


@pytest.mark.parametrize("root", ROOTS)
def test_a_root_is_in_plain_english(root: str) -> None:
    assert list(files(root)), "nothing there: remove the root, or name its new place"
    assert [hit for file in files(root) for hit in hits(file)] == []


def hits(file: Path) -> Iterator[str]:
    """Where a file has a word of the list: `path:line: word: what to say instead`."""
    text = file.read_text(encoding="utf-8")
    text = QUOTED.sub(lambda quoted: re.sub(r"[^\n]", " ", quoted[0]), prose(text) if file.suffix == ".py" else text)
    for words, pattern in WORDS.items():
        for found in pattern.finditer(text):
            number = text.count("\n", 0, found.start()) + 1
            yield f"{file.relative_to(ROOT)}:{number}: {' '.join(found[0].split())!r}: {BANNED[words]}"


def prose(code: str) -> str:
    """The comments and string literals of Python code, docstrings included, in their places; all else is blank."""
    source = code.splitlines(keepends=True)
    kept = [re.sub(r"[^\n]", " ", line) for line in source]
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type not in PROSE:
            continue
        (first, start), (last, end) = token.start, token.end
        for row in range(first - 1, last):
            begin, stop = start if row == first - 1 else 0, end if row == last - 1 else len(source[row])
            kept[row] = kept[row][:begin] + source[row][begin:stop] + kept[row][stop:]
    return "".join(kept)


def test_words_are_found_across_lines_and_not_in_quotations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.house.test_words.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("Done in\nvain, and `in vain`.\n```\nanew\n```\nIt is Told.\nrenewed, untold\n")
    assert [hit.partition(":")[2].partition(": ")[0] for hit in hits(page)] == ["1", "6"]


def test_of_python_code_only_comments_and_strings_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.house.test_words.ROOT", tmp_path)
    module = tmp_path / "module.py"
    module.write_text('"""Done in\nvain."""\nunsaid = 1\nx = f"{x} anew"  # it is told\n')
    assert sorted(hit.partition(":")[2].partition(": ")[0] for hit in hits(module)) == ["1", "4", "4"]
