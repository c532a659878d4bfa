"""Names that docs/reference/stability.md promises to keep do not go away unnoticed: tests/kept.json has them all."""

import json
from pathlib import Path
from typing import Any

import pytest

import authproxy
from tests.support import kept
from tests.support.binaries import ROOT

PAGE = ROOT / "docs/reference/stability.md"
# What tests/kept.json had under `kept` when a version was released.
RELEASES = sorted((ROOT / "tests/fixtures").glob("*/names.json"))

RETIRE = (
    "is gone, and operators build on it. Put it back; to retire it, let it cause a warning for one minor version, list"
    " it under `retired` in tests/kept.json with the version that warns, and remove it in the next minor version"
)


def minor_of(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)


def problems(record: dict[str, Any], found: dict[str, list[str]], version: str) -> list[str]:
    """What is wrong with the names of a version, a sentence each."""
    retired = {(row["kind"], row["name"]): row for row in record["retired"]}
    wrong = []
    for kind, every in record["kept"].items():
        for name in sorted(set(every) - set(found.get(kind, []))):
            row = retired.get((kind, name))
            if row is None or minor_of(row["warns_since"]) >= minor_of(version):
                wrong.append(f"{kind} {name!r} {RETIRE}")
    for kind, every in found.items():
        new = sorted(set(every) - set(record["kept"].get(kind, [])))
        wrong.extend(f"{kind} {name!r} is new: `python -m tests.support.kept` records it" for name in new)
    return wrong


def test_every_name_is_kept_and_recorded() -> None:
    assert problems(kept.recorded(), kept.names(), authproxy.__version__) == []


@pytest.mark.parametrize("release", RELEASES, ids=lambda file: file.parent.name)
def test_no_name_of_a_release_is_struck_from_the_record(release: Path) -> None:
    every = kept.recorded()["kept"]
    released: dict[str, list[str]] = json.loads(release.read_text())
    assert {kind: gone for kind, names in released.items() if (gone := sorted(set(names) - set(every[kind])))} == {}


def test_a_retired_name_is_described() -> None:
    text = PAGE.read_text()
    for row in kept.recorded()["retired"]:
        assert set(row) == {"kind", "name", "warns_since", "instead"}
        assert f"`{row['name']}`" in text


def record(**retired: str) -> dict[str, Any]:
    rows = [{"kind": "metric", "name": name, "warns_since": since, "instead": "b"} for name, since in retired.items()]
    return {"kept": {"metric": ["a"]}, "retired": rows}


@pytest.mark.parametrize(
    ("retired", "version", "is_right"),
    [({}, "0.3.0", False), ({"a": "0.3.0"}, "0.3.1", False), ({"a": "0.2.0"}, "0.3.0", True)],
    ids=["never retired", "retired in this minor version", "warned of in the one before"],
)
def test_a_name_goes_only_after_a_minor_version_with_a_warning(
    retired: dict[str, str], version: str, *, is_right: bool
) -> None:
    assert (problems(record(**retired), {"metric": []}, version) == []) is is_right


def test_a_new_name_has_to_be_recorded() -> None:
    (sentence,) = problems(record(), {"metric": ["a", "b"]}, "0.3.0")
    assert sentence == "metric 'b' is new: `python -m tests.support.kept` records it"


def test_recording_removes_nothing() -> None:
    assert kept.with_new(record(), {"metric": ["b"]})["kept"] == {"metric": ["a", "b"]}


def test_the_page_names_every_kind() -> None:
    text = PAGE.read_text()
    assert [kind for kind in kept.recorded()["kept"] if f"{kind}s" not in text] == []
