"""Where commands about policies run; modules about other commands have a `folder` of their own."""

from pathlib import Path

import pytest

from authproxy.policy import DEFAULT_POLICY


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the policies of the embedded default and no users."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/default.yaml").write_text(DEFAULT_POLICY, encoding="utf-8")
    return tmp_path
