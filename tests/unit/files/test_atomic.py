import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from authproxy.files.atomic import locked, write_private


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_private(tmp_path / "secret", b"x")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "secret") == 0o600


def test_an_existing_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write_private(path, b"new")
    assert (path.read_bytes(), mode_of(path)) == (b"new", 0o640)


@pytest.mark.parametrize("exists", [True, False], ids=["as it was", "as its folder"])
def test_a_file_belongs_to_whom_it_belonged_or_to_whom_its_folder_belongs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, exists: bool
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fchown", lambda _handle, user, group: given.append((user, group)))
    if exists:
        (tmp_path / "secret").touch()
    owner = (tmp_path / "secret" if exists else tmp_path).stat()
    write_private(tmp_path / "secret", b"x")
    assert given == [(owner.st_uid, owner.st_gid)]


def test_a_lock_belongs_to_whom_its_folder_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fchown", lambda _handle, user, group: given.append((user, group)))
    with locked(tmp_path / "htpasswd"):
        pass
    owner = tmp_path.stat()
    assert given == [(owner.st_uid, owner.st_gid)]


def test_who_may_give_nothing_away_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int, user: int, group: int) -> None:
        del handle, user, group
        raise PermissionError

    monkeypatch.setattr(os, "fchown", refuse)
    write_private(tmp_path / "secret", b"x")
    assert (tmp_path / "secret").read_bytes() == b"x"


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    target = tmp_path / "real"
    target.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to(target)
    write_private(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_write_that_fails_leaves_the_old_content_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()  # nothing can be renamed over a folder
    (path / "inside").touch()
    with pytest.raises(OSError, match="folder"):
        write_private(path, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


ADD_ONE = """
import sys
from pathlib import Path
from authproxy.files.atomic import locked, write_private
path = Path(sys.argv[1])
for _ in range(20):
    with locked(path):
        write_private(path, str(int(path.read_bytes()) + 1).encode())
"""


def test_changes_by_several_processes_are_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "counter"
    path.write_bytes(b"0")
    running = [subprocess.Popen([sys.executable, "-c", ADD_ONE, str(path)]) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert path.read_bytes() == b"60"


def test_the_lock_is_released_where_the_change_raises(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path / "x"):
        raise KeyError
    with locked(tmp_path / "x"):
        pass
