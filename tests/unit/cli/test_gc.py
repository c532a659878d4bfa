"""`authproxy gc`: the report, and which storage it reads."""

import asyncio
import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from authproxy.cli import app
from authproxy.cli.reference.json_shapes import SHAPES
from authproxy.digest import Digest
from authproxy.errors import StartError
from authproxy.reference import Repository, Tag
from authproxy.registry.trash import Links, Trash
from authproxy.storage import layout, state_layout
from authproxy.storage.filesystem.driver import FilesystemDriver
from tests.support.gc_store import APP, GcStore
from tests.unit.cli.reference.test_json_shapes import keys_of, names_in

OTHER = Repository("team/other")
KEPT = Repository("team/kept")
NONSENSE = Digest.of(b"nonsense")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A storage with garbage of each kind."""
    asyncio.run(_fill(tmp_path / "storage"))
    return tmp_path / "storage"


async def _fill(root: Path) -> None:
    driver = FilesystemDriver(root, threads=2)
    store = GcStore(driver)
    await store.push_image("a", "v1")
    await store.push_image("b")
    shared = await store.put_blob(b"s" * 1000)
    await store.link_layer(shared, OTHER)
    await store.put_blob(b"o" * 2000)
    await store.put_bytes(b"u" * 4000)
    await store.put_manifest(b"nonsense", KEPT)
    session = layout.upload(OTHER, UUID(int=1))
    async with driver.create_upload(session, started=datetime.now(UTC) - timedelta(days=8)) as upload:
        await upload.write(b"p" * 3000)
    await driver.write(layout.layer_link(OTHER, Digest("md5", "\x1b[31mred")), b"nonsense")
    await driver.close()


@pytest.fixture(autouse=True)
def _not_nice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of the tests keeps its share."""
    monkeypatch.setattr(os, "nice", lambda _: 0)


def gc(*arguments: str) -> Result:
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_the_report_says_by_repository_what_would_go_and_how_much_it_frees(root: Path) -> None:
    result = gc("gc", "--storage", str(root))
    assert result.stdout.splitlines() == [
        "team/app: 2 layers that no manifest names; frees 2kB, and 1kB with other repositories",
        "team/other: 1 layer that no manifest names; frees 0B, and 1kB with other repositories",
        f"team/kept: kept whole: the manifest {NONSENSE} can't be read: the manifest is not JSON in UTF-8",
        "no repository: 1 blob, 4kB",
        "1 abandoned upload: 3kB",
        r"note: team/other: the link _layers/md5:\x1b[31mred is damaged; it is kept",
        "would free 7kB of 7.87kB: 3 of 10 blobs, in 2 of 3 repositories",
    ]
    assert "a dry run: nothing is removed" in result.stderr


def test_untagged_manifests_go_where_asked(root: Path) -> None:
    lines = gc("gc", "--storage", str(root), "--delete-untagged", "--dry-run").stdout.splitlines()
    assert lines[0].startswith(
        "team/app: 1 untagged manifest, 2 layers of untagged manifests, 2 layers that no manifest names; frees 2."
    )


def test_the_json_has_the_fields_of_the_page(root: Path) -> None:
    document = json.loads(gc("gc", "--storage", str(root), "--json").stdout)
    assert (document["would_free_bytes"], document["totals"]["bytes"]) == (7000, 7868)
    assert document["abandoned_uploads"] == {"uploads": 1, "bytes": 3000}
    assert [row["repository"] for row in document["repositories"]] == [APP, OTHER, KEPT]
    assert document["notices"] == [
        {"repository": OTHER, "what": "the link _layers/md5:\x1b[31mred is damaged; it is kept"}
    ]
    assert set(keys_of(document)) == names_in(SHAPES["gc"])


def test_the_json_of_an_empty_storage_is_json(tmp_path: Path) -> None:
    (tmp_path / layout.ROOT).mkdir(parents=True)
    assert json.loads(gc("gc", "--storage", str(tmp_path), "--json").stdout)["repositories"] == []


@pytest.mark.parametrize("inner", ["", "docker", "docker/registry", "docker/registry/v2"])
def test_the_storage_may_be_named_by_any_of_its_folders(root: Path, inner: str) -> None:
    assert json.loads(gc("gc", "--json", "--storage", str(root / inner)).stdout)["storage"] == str(root)


def test_a_folder_without_content_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"holds no registry's content: there is no folder .*docker/registry/v2"):
        gc("gc", "--storage", str(tmp_path))


def test_the_storage_of_the_configuration_is_read(root: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text(f"version: 0.1\nhttp: {{addr: ':5000'}}\nstorage: {{filesystem: {{rootdirectory: {root}}}}}\n")
    for arguments in (["gc", str(config)], ["gc", "--config", str(config)], ["garbage-collect", "-d", str(config)]):
        assert gc(*arguments).stdout.splitlines()[-1].startswith("would free 7kB of")


def test_the_arguments_of_cncf_distribution_work(root: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text(f"version: 0.1\nhttp: {{addr: ':5000'}}\nstorage: {{filesystem: {{rootdirectory: {root}}}}}\n")
    [line] = gc("garbage-collect", "--dry-run", "-m", "--quiet", str(config)).stdout.splitlines()
    assert line.startswith("would free 7.")


def configure(root: Path, storage: str) -> str:
    config = root.parent / "config.yml"
    config.write_text(f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {root}}}, {storage}}}\n")
    return str(config)


def test_a_dry_run_is_by_the_settings_as_a_run_is(root: Path) -> None:
    config = configure(root, "gc: {untagged: remove}")
    document = json.loads(gc("gc", "--dry-run", "--json", config).stdout)
    assert document["untagged"] == "remove"
    assert document["repositories"][0]["untagged"] == 1


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("storage: {inmemory: {}}", "in the memory of the server"),
        ("upstream: {url: 'http://r:1'}", "no storage section"),
    ],
)
def test_a_configuration_without_a_folder_is_refused(tmp_path: Path, section: str, message: str) -> None:
    config = tmp_path / "config.yml"
    config.write_text(f"version: 0.1\nhttp: {{addr: ':5000'}}\n{section}\n")
    with pytest.raises(StartError, match=message):
        gc("gc", str(config))


def test_a_folder_that_cannot_be_read_ends_the_command(root: Path) -> None:
    loop = root / layout.repositories() / "loop"
    loop.symlink_to(loop)
    with pytest.raises(StartError, match=r"loop can't be read \(.*\); nothing may be collected until it can"):
        gc("gc", "--storage", str(root))


def test_temporary_files_that_cannot_be_written_are_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("authproxy.maintenance.gc.findings.temporary_file", refuse)
    with pytest.raises(StartError, match=r"temporary file can't be written \(No space left on device\).*TMPDIR"):
        gc("gc", "--storage", str(root))


def test_two_places_are_refused(root: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["gc", "--storage", str(root), str(tmp_path / "config.yml")])
    assert result.exit_code == 2


# Collecting.


def refused(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_nothing_is_removed_before_collection_is_enabled(root: Path) -> None:
    before = sorted(root.rglob("*"))
    assert "collection is off until `authproxy gc --enable`" in gc("gc", "--storage", str(root)).stderr
    assert sorted(root.rglob("*")) == before


def test_a_run_condemns_and_a_later_one_removes(root: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {root}}}, gc: {{grace: 1s, untagged: remove}}}}"
    )
    assert "collection is on" in gc("gc", "--enable", str(config)).stdout
    first = gc("gc", str(config)).stdout
    assert first.startswith("1 abandoned upload of 3kB removed\nnothing else was removed\ncondemned: ")
    assert "after their grace of 1 min" in first
    assert "wait for the end of their grace" in gc("gc", str(config)).stdout
    last = ""
    for _ in range(20):
        time.sleep(0.4)
        if "freed" in (last := gc("gc", str(config)).stdout):
            break
    assert "freed 4kB: 1 blob and" in last  # what had no link is in no trash
    listed = [
        json.loads(line) for line in gc("undelete", "--list", "--json", "--config", str(config)).stdout.splitlines()
    ]
    assert {line["by"] for line in listed} == {"garbage collection"}
    assert all(name in SHAPES["undelete"] for line in listed for name in line)
    assert {line["left_s"] for line in listed} == {72 * 3600}
    of_app = gc("undelete", "--list", APP, "--config", str(config)).stdout.splitlines()
    assert of_app[0].endswith("by garbage collection: nothing needed it")
    assert " UTC, 72 h left: team/app" in of_app[0]
    assert gc("undelete", "--list", "team/none", "--config", str(config)).stdout == (
        "nothing of team/none is in the trash\n"
    )
    gc("gc", "--disable", str(config))
    unlimited = gc("undelete", "--list", "--config", str(config))
    assert (" left: " in unlimited.stdout, "collection is off" in unlimited.stderr) == (False, True)


def test_a_dry_run_is_possible_where_collection_is_on(root: Path) -> None:
    gc("gc", "--enable", "--storage", str(root))
    assert "would free" in gc("gc", "--dry-run", "--storage", str(root)).stdout
    assert not (root / state_layout.gc_state()).exists()


def test_the_report_of_a_run_has_its_shape(root: Path) -> None:
    gc("gc", "--enable", "--storage", str(root))
    report = json.loads(gc("gc", "--json", "--storage", str(root)).stdout)
    assert all(name in SHAPES["gc"] for name in keys_of(report))
    assert json.loads(gc("gc", "--disable", "--json", "--storage", str(root)).stdout)["enabled"] is False


@pytest.mark.parametrize("arguments", [[], ["--now"], ["--enable"], ["--disable"], ["--purge", str(NONSENSE)]])
def test_nothing_is_written_while_the_storage_is_read_only(root: Path, arguments: list[str]) -> None:
    gc("gc", "--enable", "--storage", str(root))
    config = configure(root, "maintenance: {readonly: {enabled: true}}")
    before = sorted(root.rglob("*"))
    with pytest.raises(
        StartError, match=r"^storage\.maintenance\.readonly is on, so nothing may be (removed|written); "
    ):
        gc("gc", *arguments, config)
    with pytest.raises(StartError, match=r"so nothing may be restored; turn it off first"):
        gc("undelete", APP, "--config", config)
    assert "would free" in gc("gc", "--dry-run", config).stdout
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize("command", [["gc"], ["gc", "--purge", str(NONSENSE)]])
def test_a_damaged_record_is_named_and_ends_the_command(root: Path, command: list[str]) -> None:
    record = root / state_layout.gc_enabled()
    record.parent.mkdir(parents=True)
    record.write_text("x")
    with pytest.raises(StartError, match="gc/enabled"):
        gc(*command, "--storage", str(root))


def test_a_run_that_a_damaged_record_ends_says_what_to_do(root: Path) -> None:
    gc("gc", "--enable", "--storage", str(root))
    (root / state_layout.gc_state()).write_text("x")
    with pytest.raises(StartError, match=r"gc/state .* is damaged; .*, or remove it: [^;]*$"):
        gc("gc", "--storage", str(root))


def test_a_run_by_hand_leaves_the_time_of_the_servers_next_run(root: Path) -> None:
    gc("gc", "--enable", "--storage", str(root))
    gc("gc", "--storage", str(root))
    assert not (root / state_layout.job_last("gc")).exists()
    assert json.loads((root / state_layout.job_lease("gc")).read_text())["released"] is True


def test_a_purge_removes_at_once(root: Path) -> None:
    storage = ("--storage", str(root))
    gc("gc", "--enable", *storage)
    digest = Digest.of(b"o" * 2000)
    assert f"{digest} is gone: 2kB" in gc("gc", "--purge", str(digest), *storage).stdout
    assert not (root / layout.blob(digest)).exists()
    again = json.loads(gc("gc", "--purge", str(digest), "--json", *storage).stdout)
    assert (again["is_gone"], again["bytes"]) == (True, 0)


def test_a_purge_of_what_an_image_needs_names_the_image(root: Path) -> None:
    gc("gc", "--enable", "--storage", str(root))
    found = [
        refused("gc", "--purge", f"sha256:{path.parent.name}", "--storage", str(root)).exception
        for path in (root / layout.layer_links(APP, "sha256")).glob("*/link")
    ]
    assert any("team/app: the blob" in str(error) and "is needed by the manifest" in str(error) for error in found)


@pytest.mark.parametrize("digest", ["x", f"sha512:{'0' * 128}"])
def test_a_purge_of_what_is_no_stored_digest_is_refused(root: Path, digest: str) -> None:
    gc("gc", "--enable", "--storage", str(root))
    assert refused("gc", "--purge", digest, "--storage", str(root)).exit_code == 2


def test_options_that_exclude_each_other_are_refused(root: Path) -> None:
    assert refused("gc", "--enable", "--dry-run", "--storage", str(root)).exit_code == 2
    assert refused("gc", "--enable", "--now", "--storage", str(root)).exit_code == 2
    assert refused("gc", "--purge", f"sha256:{'0' * 64}", "--delete-untagged", "--storage", str(root)).exit_code == 2


def test_each_change_is_in_the_audit_log(root: Path, tmp_path: Path) -> None:
    config, log, users = tmp_path / "config.yml", tmp_path / "audit.log", tmp_path / "htpasswd"
    users.touch()
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {root}}}}}\naudit: {{file: {{path: {log}}}}}\n"
        f"auth: {{htpasswd: {{realm: r, path: {users}}}}}\n"
    )
    gc("gc", "--enable", str(config))
    gc("gc", "--purge", f"sha256:{'0' * 64}", str(config))
    gc("gc", "--disable", str(config))
    reasons = [json.loads(line)["reason"] for line in log.read_text().splitlines()]
    assert reasons == [
        f"turned collection on: {root}",
        f"purged sha256:{'0' * 64} from no repository",
        f"turned collection off: {root}",
    ]


@pytest.mark.parametrize("name", ["UPPER", "team/app@x", "team/app:-"])
def test_undelete_of_no_name_is_refused(root: Path, name: str) -> None:
    assert refused("undelete", name, "--storage", str(root)).exit_code == 2


def test_a_subject_makes_no_line_of_its_own_in_the_list_of_the_trash(root: Path) -> None:
    async def delete() -> None:
        driver = FilesystemDriver(root, threads=1)
        links = Links(tags={Tag("v1"): NONSENSE})
        await Trash(driver).record(APP, links, at=datetime.now(UTC), by="eve\ud800\x1b[2J\nbob", why="request")
        await driver.close()

    asyncio.run(delete())
    [line] = gc("undelete", "--list", "--storage", str(root)).stdout.splitlines()
    assert line.endswith(r"team/app:v1, by eve?\x1b[2J\nbob: request")
    [fields] = gc("undelete", "--list", "--json", "--storage", str(root)).stdout.splitlines()
    assert json.loads(fields)["by"] == "eve?\x1b[2J\nbob"


def test_undelete_of_a_name_with_a_host_says_which_part_to_leave_out(root: Path) -> None:
    result = refused("undelete", "localhost:5000/team/app:v1", "--storage", str(root))
    assert (result.exit_code, "leave out the host: team/app:v1" in result.stderr) == (2, True)


def test_undelete_of_what_is_not_in_the_trash_says_how_to_see_what_is(root: Path) -> None:
    with pytest.raises(StartError, match="undelete --list"):
        gc("undelete", "team/app:v9", "--storage", str(root))
    assert gc("undelete", "--list", "--storage", str(root)).stdout == "nothing is in the trash\n"
