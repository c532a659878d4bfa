import asyncio
import datetime as dt
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from authproxy.cli import token
from authproxy.config.load import load
from authproxy.errors import StartError
from authproxy.token.keyring import KeyRing, read_ring_secret
from authproxy.token.revocation_table import Table
from authproxy.token.revocations import FOLDER, RevocationFolder
from authproxy.token.revocations import revoke as revoke_in_files
from authproxy.wiring.state import REVOCATIONS, make_revocation_store, open_state

CONFIG = """\
version: 0.1
storage: {filesystem: {rootdirectory: registry}}
token: {keys: keys, state: shared}
policies: {path: policies}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an embedded server that has been started once."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/htpasswd").touch()
    (tmp_path / "config.yml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "none.yml").write_text(CONFIG.replace(", state: shared", ""), encoding="utf-8")
    return tmp_path


def revoke(*arguments: str) -> str:
    result = CliRunner().invoke(token.app, ["revoke", *arguments])
    if isinstance(result.exception, StartError):
        raise result.exception
    assert result.exit_code == 0
    return result.stdout


def test_everything_so_far_is_revoked_for_as_long_as_nodes_take_to_learn_of_it() -> None:
    before = dt.datetime.now(dt.UTC).timestamp()
    revoke("alice")
    revocations = RevocationFolder(Path("data/state"))
    assert revocations.refuses("alice", before + 1.9)
    assert not revocations.refuses("alice", dt.datetime.now(dt.UTC).timestamp() + 3)
    assert not revocations.refuses("bob", before)


def test_a_time_and_a_configuration_may_be_given() -> None:
    told = revoke("alice", "--before", "2026-01-01T02:00:00+02:00", "--config", "config.yml")
    assert told == "revoked what was issued to alice before 2026-01-01T00:00:00Z\n"
    (path,) = Path("shared", FOLDER).glob("*.json")
    assert json.loads(path.read_text("utf-8")) == {"subject": "alice", "before": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a:b"], "colon"),
        ([""], "must not be empty"),
        (["alice", "--before", "soon"], "write 2026-12-31T18:00:00Z"),
        (["alice", "--before", "2026-01-01T00:00:00"], "the zone is missing"),
        (["alice", "--before", "2999-01-01T00:00:00Z"], "user disable"),
        (["alice", "--config", "none.yml"], "keys/secret: .* first start of the server makes it"),
        ([], "name one user, or --all"),
        (["alice", "--all"], "name one user, or --all"),
        (["alice", "--undo", "--before", "2026-01-01T00:00:00Z"], "leave out --before"),
    ],
)
def test_what_has_to_be_mended_is_said_in_a_sentence(arguments: list[str], message: str) -> None:
    with pytest.raises(StartError, match=message):
        revoke(*arguments)


def test_in_a_folder_without_a_server_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(StartError, match=r"there is no .*/elsewhere/data/htpasswd"):
        revoke("alice")
    assert not Path("data").exists()


def test_a_name_that_no_user_has_is_revoked_with_a_note() -> None:
    result = CliRunner().invoke(token.app, ["revoke", "nobody"])
    assert result.exit_code == 0
    assert "note: no such user: nobody; it was revoked all the same\n" in result.stderr
    assert RevocationFolder(Path("data/state")).refuses("nobody", dt.datetime.now(dt.UTC).timestamp())
    Path("data/htpasswd").write_text("alice:x\n", encoding="utf-8")
    assert "no such user" not in CliRunner().invoke(token.app, ["revoke", "alice"]).stderr
    slip = CliRunner().invoke(token.app, ["revoke", "alcie"])
    assert "note: no such user: alcie (did you mean alice?); it was revoked" in slip.stderr
    asked = {name: CliRunner().invoke(token.app, ["revoke", name, "--json"]).stdout for name in ("alice", "alcie")}
    assert {name: json.loads(out)["known"] for name, out in asked.items()} == {"alice": True, "alcie": False}
    # Without files of users any user may exist.
    assert "no such user" not in CliRunner().invoke(token.app, ["revoke", "bob", "--config", "config.yml"]).stderr


def test_a_revocation_as_json() -> None:
    content = json.loads(revoke("alice", "--before", "2026-01-01T00:00:00Z", "--json"))
    assert (content["user"], content["before"]) == ("alice", "2026-01-01T00:00:00Z")
    assert content["change"] == "revoked what was issued to alice before 2026-01-01T00:00:00Z"


@pytest.fixture
def keys() -> None:
    """The keys that the first start of a server makes."""
    KeyRing.open(Path("keys"))


def stored(config: str = "none.yml") -> Table:
    """What the record in the storage has."""
    loaded = load(Path(config), {})
    token, driver = loaded.settings.token, open_state(loaded.settings)
    assert token is not None
    assert driver is not None
    secret = read_ring_secret(token.keys, REVOCATIONS)
    return asyncio.run(make_revocation_store(loaded.settings, token, secret, driver).read()).table


@pytest.mark.usefixtures("keys")
def test_without_a_folder_for_state_it_is_in_the_storage() -> None:
    assert revoke("alice", "--before", "2026-01-01T00:00:00Z", "--config", "none.yml") == (
        "revoked what was issued to alice before 2026-01-01T00:00:00Z\n"
    )
    table = stored()
    assert dict(table.subjects) == {"alice": dt.datetime(2026, 1, 1, tzinfo=dt.UTC).timestamp()}
    assert not Path("shared").exists()
    assert revoke("alice", "--undo", "--config", "none.yml") == "took back the revocation of alice\n"
    assert revoke("alice", "--undo", "--config", "none.yml") == "nothing that was issued to alice is revoked\n"
    assert dict(stored().subjects) == {}


@pytest.mark.usefixtures("keys")
def test_everyones_logins_end_and_that_is_taken_back() -> None:
    assert revoke("--all", "--before", "2026-01-01T00:00:00Z", "--config", "none.yml") == (
        "revoked what was issued to all users before 2026-01-01T00:00:00Z\n"
    )
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC).timestamp()
    assert stored().refuses("anyone", moment - 1)
    told = json.loads(revoke("--all", "--undo", "--json", "--config", "none.yml"))
    assert told == {"change": "took back the revocation of all users", "user": None, "before": None, "known": None}
    assert not stored().refuses("anyone", moment - 1)


@pytest.mark.usefixtures("keys")
def test_with_a_folder_for_state_it_is_in_both_and_an_earlier_one_is_taken_over() -> None:
    revoke_in_files(Path("shared"), "bob", dt.datetime(2025, 1, 1, tzinfo=dt.UTC))
    revoke("alice", "--before", "2026-01-01T00:00:00Z", "--config", "config.yml")
    assert set(stored("config.yml").subjects) == {"alice", "bob"}
    files = RevocationFolder(Path("shared"))
    assert set(files.current) == {"alice", "bob"}
    revoke("bob", "--undo", "--config", "config.yml")
    files.refresh()
    assert set(stored("config.yml").subjects) == set(files.current) == {"alice"}


@pytest.mark.usefixtures("keys")
def test_a_storage_for_maintenance_is_not_written() -> None:
    text = CONFIG.replace(
        "rootdirectory: registry}", "rootdirectory: registry}, maintenance: {readonly: {enabled: true}}"
    )
    Path("config.yml").write_text(text)
    revoke("alice", "--before", "2026-01-01T00:00:00Z", "--config", "config.yml")
    assert set(RevocationFolder(Path("shared")).current) == {"alice"}
    assert not Path("registry").exists()
    assert revoke("alice", "--undo", "--config", "config.yml") == "took back the revocation of alice\n"


@pytest.mark.usefixtures("keys")
def test_a_folder_of_its_own_keeps_state_in_front_of_another_registry() -> None:
    text = CONFIG.replace("storage: {filesystem: {rootdirectory: registry}}", "upstream: {url: 'http://127.0.0.1:1'}")
    Path("config.yml").write_text(
        text.replace(", state: shared", "") + "state: {filesystem: {rootdirectory: own}}\n", encoding="utf-8"
    )
    revoke("alice", "--before", "2026-01-01T00:00:00Z", "--config", "config.yml")
    assert set(stored("config.yml").subjects) == {"alice"}
    assert sorted(path.name for path in Path("own").iterdir()) == [".authproxy", "authproxy"]
    assert {path.stat().st_mode & 0o77 for path in Path("own").rglob("*")} == {0}
    Path("config.yml").write_text(text.replace(", state: shared", ""), encoding="utf-8")
    with pytest.raises(StartError, match=r"write state: \{filesystem: \{rootdirectory: FOLDER\}\}"):
        revoke("alice", "--config", "config.yml")


@pytest.mark.usefixtures("keys")
def test_a_record_that_was_damaged_is_replaced_by_ending_all_logins() -> None:
    revoke("alice", "--config", "none.yml")
    [record] = Path("registry").glob("authproxy/v1/tokens/*/revocations")
    record.write_bytes(b"{")
    with pytest.raises(
        StartError, match=r"it is damaged\. Restore this file from the latest backup, or end all logins"
    ):
        revoke("bob", "--config", "none.yml")
    revoke("--all", "--config", "none.yml")
    assert stored().refuses("alice", dt.datetime.now(dt.UTC).timestamp() - 1)
