"""`authproxy usage`: the tables, and what is unknown."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from authproxy.cli import app
from authproxy.cli.reference.json_shapes import SHAPES
from authproxy.digest import Digest
from authproxy.errors import StartError
from authproxy.reference import Repository, Tag
from authproxy.registry import history
from authproxy.registry.pull_log import PullLog
from authproxy.storage import layout
from authproxy.storage.filesystem.driver import FilesystemDriver
from tests.deploy import pages
from tests.support.gc_store import APP, GcStore
from tests.support.server import contents
from tests.unit.cli.reference.test_json_shapes import keys_of, names_in

OTHER = Repository("team/other")
PUSHED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PULLED = datetime(2026, 5, 6, 7, 8, tzinfo=UTC)
BEGAN = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A storage as another program leaves it: without our records."""
    asyncio.run(_fill(tmp_path / "storage"))
    return tmp_path / "storage"


async def _fill(root: Path) -> None:
    driver = FilesystemDriver(root, threads=2)
    store = GcStore(driver)
    pushed = await store.push_image("a", "v1", "v2")
    await store.link_layer(pushed.layer, OTHER)
    await store.put_blob(b"o" * 2000, OTHER)
    await store.put_bytes(b"u" * 4000)
    await driver.close()


def record(root: Path, subject: str) -> None:
    asyncio.run(_record(root, subject))


async def _record(root: Path, subject: str) -> None:
    driver = FilesystemDriver(root, threads=2)
    [link] = await driver.read([layout.tag_current(APP, Tag("v1"))])
    digest = Digest("sha256", (link or b"").decode().partition(":")[2])
    await driver.write(*history.entry_of(APP, history.Push(digest, Tag("v1"), PUSHED, "1"), subject))
    now = BEGAN.timestamp()
    log = PullLog(driver, now=lambda: now)
    async with log.recording():
        log.note(APP, Tag("v1"), digest, subject)
        now = PULLED.timestamp()
    await driver.close()


def usage(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["usage", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def document(*arguments: str) -> Any:
    return json.loads(usage("--json", *arguments).stdout)


def test_repositories_of_another_programs_storage_in_a_table_and_nothing_is_written(root: Path) -> None:
    before = contents(root)
    lines = usage("--storage", str(root)).stdout.splitlines()
    assert contents(root) == before
    assert [line.split() for line in lines[:3]] == [
        ["NAME", "OWN", "SHARED", "TAGS", "MANIFESTS", "PUSHED", "PULLED"],
        ["team/other", "2kB", "10B", "0", "0", "-", "-"],
        ["team/app", "420B", "10B", "2", "1", "-", "-"],
    ]
    assert lines[3:] == [
        "in all: 6.43kB in 5 blobs",
        "of that 4kB in 1 blob that no repository holds: authproxy gc removes them",
        "pulls: not recorded in this storage",
    ]


def test_tags_with_times_and_names(root: Path) -> None:
    record(root, "alice")
    lines = usage("--storage", str(root), "--tags", "--sort", "name").stdout.splitlines()
    assert [line.split("  ") for line in (" ".join(line.split()) for line in lines[:3])] == [
        ["TAG SIZE PUSHED BY PULLED BY"],
        ["team/app:v1 430B 2026-01-02 03:04 alice 2026-05-06 07:08 alice"],
        ["team/app:v2 430B - - - -"],
    ]
    assert lines[-1] == "pulls: recorded since 2026-04-01 00:00"
    rows = document("--storage", str(root), "--sort", "pulled", "team/app")["rows"]
    assert [(row["last_pushed"], row["last_pulled"]) for row in rows] == [
        ("2026-01-02T03:04:05Z", "2026-05-06T07:08:00Z")
    ]


def test_namespaces(root: Path) -> None:
    [row] = document("--storage", str(root), "--namespaces")["rows"]
    assert (row["namespace"], row["own_bytes"], row["shared_bytes"], row["repositories"]) == ("team/", 2430, 0, 2)
    head, line, *_ = usage("--storage", str(root), "--namespaces").stdout.splitlines()
    assert head.split() == ["NAME", "OWN", "SHARED", "REPOSITORIES", "TAGS", "MANIFESTS"]
    assert line.split()[3:] == [str(row[name]) for name in ("repositories", "tags", "manifests")]


def test_one_place(root: Path) -> None:
    assert [row["repository"] for row in document("--storage", str(root), "team/app")["rows"]] == ["team/app"]
    assert len(document("--storage", str(root), "team/")["rows"]) == 2
    assert document("--storage", str(root), "--tags", "team/other")["rows"] == []
    with pytest.raises(StartError, match="nothing in team here; a namespace ends with a slash"):
        usage("--storage", str(root), "team")


@pytest.mark.parametrize("arguments", [["--tags"], ["--namespaces"], []], ids=lambda found: "".join(found) or "plain")
def test_fields_are_those_of_the_page(root: Path, arguments: list[str]) -> None:
    record(root, "alice")
    assert set(keys_of(document("--storage", str(root), *arguments))) <= names_in(SHAPES["usage"])


@pytest.mark.parametrize("subject", ["\x1b[2J\x1b]0;owned\x07", "a\nb", "\u202egnp.exe"], ids=ascii)
def test_names_can_do_nothing_to_a_terminal(root: Path, subject: str) -> None:
    record(root, subject)
    lines = usage("--storage", str(root), "--tags").stdout.splitlines()
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 6
    assert document("--storage", str(root), "--tags", "--sort", "name")["rows"][0]["pulled_by"] == subject


def test_tags_and_namespaces_exclude_each_other(root: Path) -> None:
    assert usage("--storage", str(root), "--tags", "--namespaces").exit_code == 2


@pytest.mark.parametrize("line", pages.commands("see-what-uses-the-space"))
def test_the_commands_of_the_page_run(root: Path, line: str) -> None:
    program, command, *arguments = line.replace("--storage /var/lib/registry", "").split()
    assert (program, command) == ("authproxy", "usage")
    assert usage(*arguments, "--storage", str(root)).exit_code == 0
