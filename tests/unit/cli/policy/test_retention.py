"""`authproxy policy retention`: what it shows, removes and refuses."""

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from authproxy.cli import app
from authproxy.cli.policy import retention as command
from authproxy.cli.reference.json_shapes import SHAPES
from authproxy.clock import boot_id
from authproxy.storage import state_layout
from authproxy.storage.filesystem.driver import FilesystemDriver
from tests.support.registry import connect, push_image
from tests.unit.cli.reference.test_json_shapes import names_in

POLICY = """version: 1
rules:
  - {name: all, allow: [pull], to: {everyone: true}, on: {repositories: ["**"]}}
  - {name: stay, deny: [delete], to: {everyone: true}, on: {repositories: [team/app], tags: [stable]}}
retention:
  - name: builds
    on: {repositories: ["team/**"]}
    keep:
      - tags: ["v*"]
  - name: later
    on: {repositories: [later]}
    keep: [{newest: 1}]
    dry-run: true
"""


async def fill(root: Path) -> None:
    driver = FilesystemDriver(root, threads=2)
    async with connect(driver) as client:
        for name, tag in (
            ("team/app", "v1"),
            ("team/app", "pr-1"),
            ("team/app", "stable"),
            ("team/b", "x"),
            ("c", "x"),
        ):
            await push_image(client, name, tag)
        for tag in ("old", "new"):
            await push_image(client, "later", tag)
    await driver.close()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(POLICY, encoding="utf-8")
    asyncio.run(fill(tmp_path / "store"))
    return tmp_path / "store"


def retention(root: Path, *arguments: str, stdin: str | None = None) -> Result:
    asked = ["policy", "retention", "--policies", "p.yaml", "--storage", str(root), *arguments]
    return CliRunner().invoke(app, asked, input=stdin)


def tags(root: Path, repository: str) -> list[str]:
    folder = root / "docker/registry/v2/repositories" / repository / "_manifests/tags"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def tree(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_dry_run_explains_each_image_and_changes_no_byte(root: Path) -> None:
    before = tree(root)
    result = retention(root, "--dry-run")
    assert (result.exit_code, tree(root)) == (0, before)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    freed = re.findall(r" unknown (\d+B) ", "\n".join(lines))
    assert len(freed) == 3
    new = "pushed 0m ago pulled unknown"
    assert lines[:-1] == [
        "later: 2 images, 0 to remove",
        f'keep new {new} kept by p.yaml:12 "later": newest 1',
        f'report old {new} {freed[0]} would be removed by p.yaml:10 "later", which has dry-run',
        f"team/app: 3 images, 1 to remove, frees {freed[1]}",
        f'remove pr-1 {new} {freed[1]} removed by p.yaml:6 "builds": nothing in it keeps this',
        f'keep stable {new} may not be deleted: p.yaml:4 "stay" denies it',
        f'keep v1 {new} kept by p.yaml:9 "builds": tags v*',
        f"team/b: 1 image, 1 to remove, frees {freed[2]}",
        f'remove x {new} {freed[2]} removed by p.yaml:6 "builds": nothing in it keeps this',
    ]
    assert re.fullmatch(r"would free \d+B in 2 repositories", lines[-1])


def test_it_removes_what_it_showed(root: Path) -> None:
    result = retention(root, "--yes")
    assert result.exit_code == 0, result.output
    assert "team/app: removed 1 image\n" in result.stdout
    assert re.search(
        r"removed 2 images in 2 repositories, into the trash; collection is off; `authproxy gc --enable` frees \d+B\n$",
        result.stdout,
    )
    assert [tags(root, name) for name in ("team/app", "team/b", "c", "later")] == [
        ["stable", "v1"],
        [],
        ["x"],
        ["new", "old"],
    ]


def test_what_was_removed_is_in_the_audit_log(root: Path) -> None:
    Path("htpasswd").touch()
    Path("config.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {root}}}}}\naudit: {{file: {{path: audit.log}}}}\n"
        "auth: {htpasswd: {realm: r, path: htpasswd}}\n"
    )
    asked = ["policy", "retention", "--policies", "p.yaml", "--config", "config.yml"]
    for more in ("--dry-run", "--yes", "--yes"):
        assert CliRunner().invoke(app, [*asked, more]).exit_code == 0
    [line] = Path("audit.log").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["reason"] == "removed 2 images in 2 repositories by the retention of p.yaml"


def test_only_named_repositories(root: Path) -> None:
    result = retention(root, "--yes", "team/b", "c", "gone")
    assert result.exit_code == 1
    assert "authproxy: gone: there is no such repository\n" in result.stderr
    assert "c: no entry of retention is about it, so all stays\n" in result.stderr
    assert [tags(root, name) for name in ("team/app", "team/b")] == [["pr-1", "stable", "v1"], []]


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, []), ("n\n", 1, ["x"]), ("", 1, ["x"])])
def test_it_asks(root: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, left: list[str]) -> None:
    monkeypatch.setattr(
        command, "ask", lambda question: "Remove 1 image of team/b? [y/N]" in question and answer == "y\n"
    )
    monkeypatch.setattr(command, "sys", type("Terminal", (), {"stdin": type("In", (), {"isatty": lambda: True})}))
    result = retention(root, "team/b")
    assert (result.exit_code, tags(root, "team/b")) == (code, left)
    assert sys.stdin is not None


def test_without_a_terminal_it_does_not_ask(root: Path) -> None:
    result = retention(root)
    assert (result.exit_code, "use --yes or --dry-run" in result.stderr) == (2, True)


def test_json(root: Path) -> None:
    dry = [json.loads(line) for line in retention(root, "--dry-run", "--json").stdout.splitlines()]
    assert [(one["repository"], one["tag"], one["outcome"]) for one in dry] == [
        ("later", "new", "kept"),
        ("later", "old", "would be removed"),
        ("team/app", "pr-1", "would be removed"),
        ("team/app", "stable", "kept"),
        ("team/app", "v1", "kept"),
        ("team/b", "x", "would be removed"),
    ]
    named = names_in(SHAPES["policy retention"])
    assert all(set(one) <= named for one in dry)
    done = [json.loads(line) for line in retention(root, "--yes", "--json", "team/app").stdout.splitlines()]
    assert [(one["tag"], one["outcome"]) for one in done] == [("stable", "kept"), ("v1", "kept"), ("pr-1", "removed")]


def test_files_that_cannot_be_used_end_it(root: Path) -> None:
    policy = root.parent / "p.yaml"
    policy.write_text(POLICY.replace('tags: ["v*"]', "images: running"), encoding="utf-8")
    result = retention(root, "--yes")
    assert result.exit_code == 2
    assert "p.yaml:9: running: cannot be read: No such file or directory; so nothing was decided" in result.stderr
    policy.write_text(POLICY.partition("retention:")[0], encoding="utf-8")
    result = retention(root, "--yes")
    assert (result.exit_code, "has no entry of retention" in result.stderr) == (2, True)
    policy.write_text("version: 1\nretention: [{name: x}]\n", encoding="utf-8")
    assert retention(root, "--yes").exit_code == 2
    assert retention(root / "gone", "--dry-run").exit_code == 2
    assert retention(root, "--dry-run", "Team/App").exit_code == 2
    assert tags(root, "team/app") == ["pr-1", "stable", "v1"]


def test_after_a_step_of_the_clock_somebody_has_to_look(root: Path) -> None:
    async def note() -> None:
        driver = FilesystemDriver(root, threads=2)
        last = {
            "looked": "2999-01-01T00:00:00+00:00",
            "steady_since": "2000-01-01T00:00:00+00:00",
            "boot": boot_id(),
            "uptime_s": 1.0,
            "version": "1.0",
            "nonce": "a",
        }
        await driver.write(state_layout.retention_clock(), json.dumps(last).encode())
        await driver.close()

    asyncio.run(note())
    result = retention(root, "--yes")
    assert result.exit_code == 2
    assert (
        "the clock is behind the last look at 2999-01-01T00:00:00Z; if the time is right, run this without --yes"
        in result.stderr
    )
    assert tags(root, "team/b") == ["x"]
