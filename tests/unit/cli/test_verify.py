"""`authproxy verify`: its report, its exit codes, and what it refuses."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from authproxy.cli import app
from authproxy.cli.reference.json_shapes import SHAPES
from authproxy.digest import Digest
from authproxy.reference import Repository
from authproxy.storage import layout
from authproxy.storage.filesystem.driver import FilesystemDriver
from tests.support.registry import connect, image, push_blob, push_manifest
from tests.support.server import contents
from tests.unit.cli.reference.test_json_shapes import keys_of, names_in

APP = Repository("team/app")
CONFIG, LAYER = b"{}", b"layer " * 50_000
MANIFEST = image(CONFIG, [LAYER])
LAYER_DIGEST = Digest.of(LAYER)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A storage with one image."""
    asyncio.run(_fill(tmp_path / "storage"))
    return tmp_path / "storage"


async def _fill(root: Path) -> None:
    driver = FilesystemDriver(root, threads=2)
    async with connect(driver) as client:
        await push_blob(client, APP, CONFIG)
        await push_blob(client, APP, LAYER)
        await push_manifest(client, APP, "v1", MANIFEST)
    await driver.close()


@pytest.fixture
def config(root: Path) -> Path:
    """A configuration of this storage."""
    file = root.parent / "config.yml"
    file.write_text(f"version: 0.1\nauth: none\nstorage: {{filesystem: {{rootdirectory: {root}}}}}\n")
    return file


def verify(*arguments: str | Path, code: int) -> Result:
    result = CliRunner().invoke(app, ["verify", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def spoil(root: Path) -> None:
    (root / layout.blob(LAYER_DIGEST)).write_bytes(b"broken")


def test_a_sound_storage_needs_nothing(root: Path) -> None:
    assert verify("--storage", root, code=0).stdout.splitlines() == [
        "read 3 blobs (300kB) and 1 repository: 0 damaged, 0 unknown, 0 warnings",
        "nothing to do",
    ]


def test_the_report_says_what_is_damaged_who_is_hit_and_what_to_do(root: Path) -> None:
    spoil(root)
    assert verify("--storage", root, code=1).stdout.splitlines() == [
        f"damaged: {LAYER_DIGEST} is 6 bytes of something else",
        f"  in {layout.blob(LAYER_DIGEST)}",
        "  hits team/app:v1",
        f"  fix: push it again, or fetch it from a registry that has it: {_words(root)} --repair --from REGISTRY",
        f"read 3 blobs ({len(CONFIG + MANIFEST) + 6}B) and 1 repository: 1 damaged, 0 unknown, 0 warnings",
        f"to do: push team/app:v1, or fetch it from a registry that has it: {_words(root)} --repair --from REGISTRY",
    ]


def _words(root: Path) -> str:
    return f"authproxy verify --storage {root}"


def test_json_has_the_fields_of_the_page(root: Path) -> None:
    spoil(root)
    report = json.loads(verify("--storage", root, "--json", code=1).stdout)
    assert set(keys_of(report)) == names_in(SHAPES["verify"])
    assert report["findings"][0]["hit"] == ["team/app:v1"]


@pytest.mark.parametrize("options", [["--dry-run"], ["--storage"]], ids=["a dry run", "a folder"])
def test_nothing_is_written(root: Path, config: Path, options: list[str]) -> None:
    spoil(root)
    before = contents(root)
    verify(*options, root if options == ["--storage"] else config, code=1)
    assert contents(root) == before


def test_a_registry_in_read_only_mode_is_left_alone(root: Path, config: Path) -> None:
    spoil(root)
    config.write_text(config.read_text().replace("}}", "}, maintenance: {readonly: {enabled: true}}}"))
    before = contents(root)
    verify(config, code=1)
    refused = verify(config, "--repair", code=2)
    assert "storage.maintenance.readonly is on, so nothing is repaired" in refused.output
    assert contents(root) == before


def test_damage_goes_into_quarantine(root: Path, config: Path) -> None:
    spoil(root)
    report = json.loads(verify(config, "--json", code=1).stdout)
    assert report["quarantined"] == [str(LAYER_DIGEST)]


def test_a_link_is_repaired_and_then_nothing_is_to_be_done(root: Path) -> None:
    (root / layout.layer_link(APP, LAYER_DIGEST)).unlink()
    lines = verify("--storage", root, "--repair", code=0).stdout.splitlines()
    assert lines[0].startswith("repaired: the manifest ")
    assert lines[-2:] == [
        "read 3 blobs (300kB) and 1 repository: 0 damaged, 0 unknown, 0 warnings, 1 repaired",
        "nothing to do",
    ]
    verify("--storage", root, code=0)


def test_what_was_changed_is_in_the_audit_log(root: Path, config: Path) -> None:
    log, users = root.parent / "audit.log", root.parent / "htpasswd"
    users.touch()
    config.write_text(
        config.read_text().replace("auth: none", f"auth: {{htpasswd: {{realm: r, path: {users}}}}}")
        + f"audit: {{file: {{path: {log}}}}}\n"
    )
    verify(config, code=0)
    assert not log.exists()
    spoil(root)
    verify(config, code=1)
    (root / layout.layer_link(APP, Digest.of(CONFIG))).unlink()
    verify(config, "--repair", code=1)
    assert [json.loads(line)["reason"] for line in log.read_text().splitlines()] == [
        f"verified {root}: put 1 blob in quarantine",
        f"verified {root}: put 1 blob in quarantine, repaired 1 fault",
    ]


def test_what_cannot_be_read_is_another_exit_code(root: Path) -> None:
    (root / layout.blob(LAYER_DIGEST)).unlink()
    (root / layout.blob(LAYER_DIGEST)).mkdir()
    lines = verify("--storage", root, code=2).stdout.splitlines()
    assert lines[-1] == "to do: find out why the disk or the system refuses it, then verify again"


def test_a_sample_says_how_to_repeat_it(root: Path) -> None:
    result = verify("--storage", root, "--sample", "2", "--seed", "abc", code=0)
    assert result.stdout.splitlines()[0] == "a sample of 2; the same again: --sample 2 --seed abc"
    assert "read 2 blobs" in result.stdout


def test_an_image_without_any_name_is_named_by_its_digest(root: Path) -> None:
    spoil(root)
    (root / layout.tags(APP) / "v1/current/link").unlink()
    assert f"  hits team/app@{Digest.of(MANIFEST)}" in verify("--storage", root, code=1).stdout.splitlines()


REFUSED = [
    ("no sample", ["--sample", "many"], "write a share, 5%, or a number of blobs, 1000"),
    ("a seed alone", ["--seed", "x"], "it needs --sample"),
    ("no rate", ["--rate", "fast"], "is not a size"),
    ("a rate of nothing", ["--rate", "0MB/s"], "nothing would ever be read"),
    ("a rate without a unit", ["--rate", "50"], "write the unit, such as 50MB/s"),
    ("a source alone", ["--from", "r.example.org"], "it needs --repair"),
    ("no source", ["--repair", "--from", "r.example.org/UPPER"], "write HOST, or HOST/PREFIX"),
    ("a repair that is none", ["--repair", "--dry-run"], "--repair writes: leave out one of the two"),
    ("no storage", ["--storage", "/proc"], "holds no registry's content"),
    ("a link as a file of progress", ["--resume", "link"], "--resume link: "),
    ("a device as a file of progress", ["--resume", "/dev/null"], "it is not a file"),
]


@pytest.mark.parametrize(("arguments", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(root: Path, arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to(tmp_path / "elsewhere")
    given = arguments if "--storage" in arguments else ["--storage", str(root), *arguments]
    assert words in " ".join(verify(*given, code=2).output.split())
    assert not (tmp_path / "elsewhere").exists()


def test_the_progress_of_another_sample_is_not_continued(root: Path, tmp_path: Path) -> None:
    from authproxy.maintenance.verify.position import Position

    progress = tmp_path / "progress.json"
    progress.write_text(json.dumps(Position("abc", "5%").to_json()))
    refused = verify("--storage", root, "--resume", progress, code=2)
    assert "the run before had --sample 5% --seed abc; repeat that, or remove the file" in refused.output
