"""What a first start makes out of an empty folder, and what a second one leaves alone."""

import datetime as dt
import hashlib
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from authproxy.config.document.scalars import Address
from authproxy.config.embedded import Layout
from authproxy.config.load import load_values
from authproxy.config.mode import Mode
from authproxy.config.settings import Settings
from authproxy.errors import StartError
from authproxy.identity.accounts import read_groups
from authproxy.identity.bcrypt_hash import check_password
from authproxy.identity.htpasswd import load_htpasswd
from authproxy.policy import DEFAULT_POLICY
from authproxy.quickstart import add_first_user, prepare

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def admin_hash(layout: Layout) -> str:
    hashed = load_htpasswd(layout.htpasswd).entries["admin"].hashed
    assert hashed is not None
    return hashed


def test_the_values_are_a_whole_configuration(layout: Layout) -> None:
    settings = load_values(layout.values(), "embedded default", {}).settings
    assert settings.mode is Mode.ISSUE
    assert settings.storage is not None
    assert settings.storage.delete.enabled


def test_variables_apply_to_them(layout: Layout) -> None:
    environ = {"REGISTRY_HTTP_ADDR": "127.0.0.1:5443", "REGISTRY_UPSTREAM_URL": "http://127.0.0.1:5001"}
    settings = load_values(layout.values(), "embedded default", environ).settings
    assert settings.http.addr == Address("127.0.0.1", 5443)
    assert settings.upstream is not None


def test_the_made_up_password_is_the_admins(layout: Layout) -> None:
    password = prepare(layout, {}, now=NOW)
    assert password is not None
    assert check_password(password, admin_hash(layout))


def test_a_given_password_is_taken_and_not_shown(layout: Layout) -> None:
    assert prepare(layout, {"AUTHPROXY_ADMIN_PASSWORD": "s3cret"}, now=NOW) is None
    assert check_password("s3cret", admin_hash(layout))


def test_a_password_file_is_taken_without_its_line_end(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    assert prepare(layout, {"AUTHPROXY_ADMIN_PASSWORD_FILE": str(tmp_path / "secret")}, now=NOW) is None
    assert check_password("s3cret", admin_hash(layout))


def test_a_password_file_that_is_not_there_is_said(layout: Layout) -> None:
    with pytest.raises(StartError, match=r"AUTHPROXY_ADMIN_PASSWORD_FILE: cannot read /no/such"):
        prepare(layout, {"AUTHPROXY_ADMIN_PASSWORD_FILE": "/no/such"}, now=NOW)


def test_two_passwords_are_one_too_many(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    environ = {"AUTHPROXY_ADMIN_PASSWORD": "other", "AUTHPROXY_ADMIN_PASSWORD_FILE": str(tmp_path / "secret")}
    with pytest.raises(StartError, match="AUTHPROXY_ADMIN_PASSWORD and AUTHPROXY_ADMIN_PASSWORD_FILE: both"):
        prepare(layout, environ, now=NOW)
    assert not layout.htpasswd.exists()


def test_a_password_over_72_bytes_is_said_and_makes_no_user(layout: Layout) -> None:
    with pytest.raises(StartError, match="72"):
        prepare(layout, {"AUTHPROXY_ADMIN_PASSWORD": "x" * 73}, now=NOW)
    assert not layout.htpasswd.exists()


def test_the_second_start_makes_nothing_anew(layout: Layout) -> None:
    prepare(layout, {}, now=NOW)
    before = contents(layout.folder)
    assert prepare(layout, {"AUTHPROXY_ADMIN_PASSWORD": "other"}, now=NOW) is None
    assert contents(layout.folder) == before


def test_policies_that_are_there_stay(layout: Layout) -> None:
    layout.policies.mkdir()
    (layout.policies / "mine.yml").write_text("version: 1\nrules: []\n")
    prepare(layout, {}, now=NOW)
    assert [path.name for path in layout.policies.iterdir()] == ["mine.yml"]


def test_where_there_are_none_the_default_is_written(layout: Layout) -> None:
    prepare(layout, {}, now=NOW)
    assert (layout.policies / "default.yaml").read_text() == DEFAULT_POLICY


def test_secrets_are_their_owners_alone(layout: Layout) -> None:
    prepare(layout, {}, now=NOW)
    for path in (layout.htpasswd, layout.authority_key, layout.own_key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(StartError, match=r"cannot write .*data") as caught:
        prepare(Layout(tmp_path), {}, now=NOW)
    assert "\n" not in str(caught.value)


def configured(folder: Path, *identities: str) -> Settings:
    values = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
        "token": {"service": "registry.example", "keys": str(folder / "keys"), "state": str(folder / "state")},
        "identities": [{kind: {"path": str(folder / "users" / kind)}} for kind in identities],
        "policies": {"path": str(folder)},
    }
    return load_values(values, "config.yml", {}).settings


def test_the_missing_htpasswd_of_a_configuration_gets_the_admin_of_the_variable(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    environ = {"AUTHPROXY_ADMIN_PASSWORD_FILE": str(tmp_path / "secret")}
    htpasswd = tmp_path / "users/htpasswd"
    assert add_first_user(configured(tmp_path, "htpasswd", "users"), environ) == htpasswd
    hashed = load_htpasswd(htpasswd).entries["admin"].hashed
    assert hashed is not None
    assert check_password("s3cret", hashed)
    assert read_groups(tmp_path / "users/users")["admin"].groups == {"admins"}


def test_an_htpasswd_that_exists_is_left_alone_whatever_the_variable_says(tmp_path: Path) -> None:
    (tmp_path / "users").mkdir()
    (tmp_path / "users/htpasswd").touch()
    before = contents(tmp_path)
    environ = {"AUTHPROXY_ADMIN_PASSWORD_FILE": "/no/such"}
    assert add_first_user(configured(tmp_path, "htpasswd", "users"), environ) is None
    assert contents(tmp_path) == before


@pytest.mark.parametrize("identities", [("htpasswd", "users"), ("users",)])
def test_a_configuration_gets_no_user_without_a_password_or_an_htpasswd(
    tmp_path: Path, identities: tuple[str, ...]
) -> None:
    environ = {"AUTHPROXY_ADMIN_PASSWORD": "s3cret"} if "htpasswd" not in identities else {}
    assert add_first_user(configured(tmp_path, *identities), environ) is None
    assert contents(tmp_path) == {}


def test_of_several_servers_that_start_at_once_one_makes_the_first_user(tmp_path: Path) -> None:
    settings, environ = configured(tmp_path, "htpasswd", "users"), {"AUTHPROXY_ADMIN_PASSWORD": "s3cret"}
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: add_first_user(settings, environ), range(8)))
    assert sorted(map(bool, made)) == [False] * 7 + [True]
    assert load_htpasswd(tmp_path / "users/htpasswd").names == {"admin"}


def test_without_a_users_file_the_first_user_of_a_configuration_has_no_groups(tmp_path: Path) -> None:
    assert add_first_user(configured(tmp_path, "htpasswd"), {"AUTHPROXY_ADMIN_PASSWORD": "s3cret"}) is not None
    assert not (tmp_path / "users/users").exists()
