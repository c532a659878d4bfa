from pathlib import Path

import pytest

from tests.support.machine import Machine


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Everything is right, and in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Machine(tmp_path)
