"""Root acts as the owner of a storage, if that account can run the program."""

import os
from pathlib import Path

import pytest

from authproxy.cli import local_storage
from authproxy.errors import StartError
from authproxy.files import owner_rights
from authproxy.files.owner_rights import Account, OwnedPath


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What root asks of the kernel."""
    made: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "setgroups", lambda _: None)
    for name in ("setegid", "seteuid", "setgid", "setuid"):
        monkeypatch.setattr(os, name, lambda number, name=name: made.append((name, number)))
    monkeypatch.setattr(owner_rights, "find_place", lambda path: OwnedPath(path, Account(12, 34, "/srv")))
    return made


def test_root_becomes_the_owner_for_good(calls: list[tuple[str, int]]) -> None:
    local_storage.act_as_owner(Path("/srv"))
    assert calls[-2:] == [("setgid", 34), ("setuid", 12)]


def test_an_account_that_cannot_read_the_program_is_an_error(
    calls: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    with pytest.raises(StartError, match="can't read this program"):
        local_storage.act_as_owner(Path("/srv"))
    assert calls == [("setegid", 34), ("seteuid", 12), ("seteuid", 0), ("setegid", 0)]
