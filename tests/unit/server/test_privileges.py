"""What a server that begins as root makes of AUTHPROXY_RUN_AS; the rest takes containers: tests/deploy."""

import os
from pathlib import Path

import pytest

from authproxy.config.load import load_values
from authproxy.config.settings import Settings
from authproxy.errors import StartError
from authproxy.server.privileges import VARIABLE, step_down


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    values = {"version": "0.1", "auth": "none", "storage": {"filesystem": {"rootdirectory": str(tmp_path / "data")}}}
    return load_values(values, "test", {}).settings


@pytest.mark.parametrize("named", ["nobody", "65532", "65532:", "a:b", "-1:1", "65532:65532:1"])
def test_an_account_is_two_numbers(settings: Settings, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(StartError, match="write UID:GID in numbers"):
        step_down(settings, {VARIABLE: named})


@pytest.mark.parametrize("environ", [{}, {VARIABLE: ""}, {VARIABLE: "0:0"}])
def test_where_no_account_is_named_root_stays_root(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert step_down(settings, environ) is None


def test_whoever_is_not_root_stays_who_they_are(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert step_down(settings, {VARIABLE: "65532:65532"}) is None


def test_a_container_that_may_not_change_accounts_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "setgroups", refuse)
    kept = step_down(settings, {VARIABLE: "65532:65532"})
    assert kept is not None
    assert "CAP_SETUID" in kept
