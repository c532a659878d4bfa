import stat
import threading
from pathlib import Path

import pytest

from authproxy.errors import StartError
from authproxy.identity.accounts import add_user, read_groups, remove_user, set_password
from authproxy.identity.bcrypt_hash import check_password
from authproxy.identity.htpasswd import load_htpasswd
from authproxy.identity.names import find_name_problem


@pytest.fixture
def htpasswd(tmp_path: Path) -> Path:
    return tmp_path / "data" / "htpasswd"


@pytest.fixture
def users(tmp_path: Path) -> Path:
    return tmp_path / "data" / "users.yaml"


def test_a_first_user_makes_both_files_for_their_owner_alone(htpasswd: Path, users: Path) -> None:
    add_user(htpasswd, users, "admin", "secret", ["admins"], cost=4)
    assert check_password("secret", load_htpasswd(htpasswd).entries["admin"].hashed or "")
    assert read_groups(users)["admin"].groups == {"admins"}
    assert [stat.S_IMODE(path.stat().st_mode) for path in (htpasswd, users)] == [0o600, 0o600]


def test_a_user_without_groups_leaves_the_users_file_alone(htpasswd: Path, users: Path) -> None:
    add_user(htpasswd, users, "bob", "secret", cost=4)
    assert not users.exists()


def test_groups_are_added_to_those_that_the_users_file_has_already(htpasswd: Path, users: Path) -> None:
    users.parent.mkdir()
    users.write_text("users: {bob: {groups: [a], disabled: true}}")
    add_user(htpasswd, users, "bob", "secret", ["b"], cost=4)
    bob = read_groups(users)["bob"]
    assert bob.groups == {"a", "b"}
    assert bob.disabled


@pytest.mark.parametrize(
    ("name", "password", "groups", "message"),
    [
        ("bob", "", (), "empty"),
        ("bob", "x" * 73, (), "72 bytes"),
        ("bob", "a\0", (), "control"),
        ("a:b", "x", (), "colon"),
        ("a/b", "x", (), "slash"),
        ("a\nb", "x", (), "control"),
        ("#a", "x", (), "comment"),
        (" a", "x", (), "space"),
        ("", "x", (), "empty"),
        ("a" * 256, "x", (), "255"),
        ("bob", "x", ("",), "a group is one line"),
        ("taken", "x", ("team",), "already exists"),
    ],
)
def test_what_cannot_be_added_changes_nothing(
    htpasswd: Path, users: Path, name: str, password: str, groups: tuple[str, ...], message: str
) -> None:
    add_user(htpasswd, users, "taken", "secret", cost=4)
    before = htpasswd.read_bytes()
    with pytest.raises(StartError, match=message):
        add_user(htpasswd, users, name, password, groups, cost=4)
    assert htpasswd.read_bytes() == before
    assert not users.exists()


@pytest.mark.parametrize("cost", [3, 17])
def test_a_cost_out_of_bounds_is_named(htpasswd: Path, cost: int) -> None:
    with pytest.raises(StartError, match="choose 4 to 16"):
        add_user(htpasswd, None, "bob", "x", cost=cost)


def test_groups_need_a_file_to_stand_in(htpasswd: Path) -> None:
    with pytest.raises(StartError, match="no users file is configured"):
        add_user(htpasswd, None, "bob", "x", ["team"], cost=4)


@pytest.mark.parametrize("name", ["alice", "Alice", "alice@example.org", "émile", "a b", "x" * 255])
def test_ordinary_names_will_do(name: str) -> None:
    assert find_name_problem(name) is None


def test_a_password_of_nobody_cannot_be_changed(htpasswd: Path) -> None:
    with pytest.raises(StartError, match="user add bob"):
        set_password(htpasswd, "bob", "x", cost=4)


def test_a_removed_user_is_in_neither_file(htpasswd: Path, users: Path) -> None:
    add_user(htpasswd, users, "bob", "x", ["team"], cost=4)
    remove_user(htpasswd, users, "bob")
    assert "bob" not in load_htpasswd(htpasswd).entries
    assert "bob" not in read_groups(users)
    with pytest.raises(StartError, match="no user bob"):
        remove_user(htpasswd, users, "bob")


def test_users_added_at_the_same_time_are_all_there(htpasswd: Path, users: Path) -> None:
    names = [f"user{number}" for number in range(8)]
    threads = [
        threading.Thread(target=add_user, args=(htpasswd, users, name, "x", ["g"]), kwargs={"cost": 4})
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(load_htpasswd(htpasswd).entries) == names
    assert sorted(read_groups(users)) == names


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="cannot change"):
        add_user(tmp_path / "file" / "htpasswd", None, "bob", "x", cost=4)
