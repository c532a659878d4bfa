"""Whose rights count at a path; what root does with them takes another account: tests/faults."""

import errno
import grp
import os
import pwd
from pathlib import Path

import pytest

from authproxy.files.owner_rights import (
    MAX_LINKS,
    NO_GROUP,
    Account,
    account_of,
    acts_as_another,
    find_place,
    rights_at,
)


def test_an_account_with_a_name_has_its_own_group() -> None:
    named = next(entry for entry in pwd.getpwall() if entry.pw_uid != 0)
    assert account_of(named.pw_uid, 0, "/folder") == Account(named.pw_uid, named.pw_gid, "/folder")


def test_an_account_without_a_name_gets_no_group_of_this_machine() -> None:
    uid = max(entry.pw_uid for entry in pwd.getpwall()) + 1
    gid = max(entry.gr_gid for entry in grp.getgrall()) + 1
    assert account_of(uid, 0, "/folder").gid == NO_GROUP
    assert account_of(uid, gid, "/folder").gid == gid


@pytest.mark.parametrize("path", ["here/../here/file", "link/file", "link/../here/file", "./here/missing/../file"])
def test_a_path_is_walked_as_the_kernel_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to("here")
    monkeypatch.chdir(tmp_path)
    assert os.path.realpath(find_place(Path(path)).path) == os.path.realpath(path)


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(OSError, match="symbolic links") as caught:
        find_place(tmp_path / "one")
    assert caught.value.errno == errno.ELOOP


def test_no_more_links_than_the_kernel_follows(tmp_path: Path) -> None:
    for number in range(MAX_LINKS):
        (tmp_path / str(number)).symlink_to(str(number + 1))
    assert find_place(tmp_path / "0").path == tmp_path.resolve() / str(MAX_LINKS)
    (tmp_path / "first").symlink_to("0")
    with pytest.raises(OSError, match="symbolic links"):
        find_place(tmp_path / "first")


def test_in_ones_own_folder_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    with rights_at(tmp_path / "link") as place:
        assert not acts_as_another()
        assert (place.path, place.account) == (tmp_path.resolve() / "file", None)
