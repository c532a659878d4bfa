"""The pages about policies say what the code does: every word has its row, and every example loads."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from authproxy.access import Access
from authproxy.config.document.tree import parse_document
from authproxy.policy import DEFAULT_POLICY
from authproxy.policy.case_schema import CallerEntry, CaseEntry, RequestEntry
from authproxy.policy.cases import run_cases
from authproxy.policy.decide import decide
from authproxy.policy.facts import NAMES
from authproxy.policy.field_types import Entry
from authproxy.policy.file_schema import FileEntry, ResourcesEntry, RuleEntry, SubjectsEntry, parse_policy
from authproxy.policy.glob import PLACEHOLDERS, Glob
from authproxy.policy.load import load_policies
from authproxy.policy.model import Action, PolicySet
from authproxy.policy.retention_schema import (
    CaseImageEntry,
    KeepEntry,
    RetainedEntry,
    RetentionCaseEntry,
    RetentionEntry,
)
from authproxy.principal import ANONYMOUS, Principal
from tests.support.binaries import ROOT

DOCS = ROOT / "docs"
REFERENCE = (DOCS / "reference/policies.md").read_text(encoding="utf-8")
HOW_TO = (DOCS / "how-to/write-a-policy.md").read_text(encoding="utf-8")
RETENTION = (DOCS / "how-to/keep-what-matters.md").read_text(encoding="utf-8")


ENTRIES: tuple[tuple[str, type[Entry]], ...] = (
    ("", FileEntry),
    ("rules[].", RuleEntry),
    ("", SubjectsEntry),
    ("", ResourcesEntry),
    ("tests[].", CaseEntry),
    ("who.", CallerEntry),
    ("request.", RequestEntry),
    ("retention[].", RetentionEntry),
    ("on.", RetainedEntry),
    ("keep[].", KeepEntry),
    ("retention-tests[].", RetentionCaseEntry),
    ("images.TAG.", CaseImageEntry),
)


def words() -> Iterator[str]:
    for prefix, entry in ENTRIES:
        yield from (prefix + (field.alias or name) for name, field in entry.model_fields.items())
    yield from Action
    yield from PLACEHOLDERS
    yield from NAMES


@pytest.mark.parametrize("word", list(words()))
def test_every_word_has_its_row(word: str) -> None:
    assert f"\n| `{word}` |" in REFERENCE


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", REFERENCE + HOW_TO + RETENTION, re.DOTALL))
def test_every_example_loads(text: str) -> None:
    parsed = parse_policy(parse_document(text, "example"))
    assert parsed.rules or parsed.retention
    assert run_cases(PolicySet(parsed.rules), parsed.cases, parsed.retention, parsed.retention_cases).failed == ()


def test_the_table_of_globs_is_right() -> None:
    table = REFERENCE.partition("| glob |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(.*?)` \| (.*?) \| (.*?)\|$", table, re.MULTILINE)
    shown = [row for row in rows if "`" in row[1] + row[2]]
    assert len(shown) == 5
    for glob, matching, other in shown:
        for column, is_match in ((matching, True), (other, False)):
            for name in re.findall(r"`(.*?)`", column):
                assert Glob.parse(glob).matches(name.split("/"), ANONYMOUS) is is_match, (glob, name)


def test_the_rule_of_the_tutorial_lets_alice_push(tmp_path: Path) -> None:
    tutorial = (DOCS / "tutorial/first-push.md").read_text(encoding="utf-8")
    typed = re.search(r"^cat > (policies/local\.yaml) <<'END'\n(.*?)^END$", tutorial, re.MULTILINE | re.DOTALL)
    assert typed is not None
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/default.yaml").write_text(DEFAULT_POLICY, encoding="utf-8")
    alice, asked = Principal("alice"), Access("repository", "team/busybox", "push")
    assert not decide(load_policies(tmp_path / "policies"), alice, asked).allowed
    (tmp_path / typed[1]).write_text(typed[2], encoding="utf-8")
    assert decide(load_policies(tmp_path / "policies"), alice, asked).allowed


def test_git_ignores_the_file_of_local_rules_which_the_default_names() -> None:
    assert "policies/local.yaml" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "Write your own rules to local.yaml" in DEFAULT_POLICY
    assert "`policies/local.yaml`" in HOW_TO
