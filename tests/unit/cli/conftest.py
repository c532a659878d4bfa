"""Where commands about policies run; modules about other commands have a `folder` of their own."""

from pathlib import Path

import pytest

from authproxy.policy import DEFAULT_POLICY


@pytest.fixture(autouse=True)
def _no_configuration_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that is installed here has its own in a usual place."""
    monkeypatch.setattr("authproxy.config.find.USUAL_PLACES", (Path("/nowhere/config.yml"),))
    for variable in ("REGISTRY_CONFIGURATION_PATH", "AUTHPROXY_HOME"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the policies of the embedded default and no users."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "policies").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/htpasswd").touch()
    (tmp_path / "policies/default.yaml").write_text(DEFAULT_POLICY, encoding="utf-8")
    return tmp_path
