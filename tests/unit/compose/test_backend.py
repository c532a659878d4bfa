"""What stands behind the edge, and what looks after it."""

from pathlib import Path
from typing import Any

import pytest

from authproxy.compose.backend import make_backend
from authproxy.compose.parts import Parts
from authproxy.config.load import load_values
from authproxy.errors import StartError
from authproxy.health.checks import Checks
from authproxy.metrics.metrics import Metrics
from authproxy.proxy.upstream import Upstream
from authproxy.registry.core import Core


async def parts_of(**sections: Any) -> tuple[Any, Parts]:
    parts = Parts(Metrics(), Checks(()))
    settings = load_values({"version": "0.1", "auth": "none"} | sections, "test", {}).settings
    backend = make_backend(settings, parts)
    for close in parts.closers:
        await close()
    return backend, parts


@pytest.mark.parametrize(
    ("maintenance", "purges"),
    [
        ({}, True),
        ({"uploadpurging": {"enabled": "false"}}, False),
        ({"uploadpurging": {"age": "24h"}}, True),
        ({"readonly": {"enabled": "true"}}, False),
    ],
    ids=["by default", "off", "on without the word", "read-only"],
)
async def test_uploads_are_purged_unless_nobody_wants_it(maintenance: dict[str, Any], *, purges: bool) -> None:
    backend, parts = await parts_of(storage={"inmemory": {}, "maintenance": maintenance})
    assert isinstance(backend, Core)
    assert (list(parts.runners) == ["purge uploads"]) == purges


async def test_behind_an_upstream_nothing_of_ours_is_looked_after(tmp_path: Path) -> None:
    storage = {"filesystem": {"rootdirectory": str(tmp_path / "registry")}}
    backend, parts = await parts_of(storage=storage, upstream={"url": "http://127.0.0.1:5001"})
    assert isinstance(backend, Upstream)
    assert not parts.runners
    assert not (tmp_path / "registry").exists()


async def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match=r"storage\.filesystem\.rootdirectory: .*file/below"):
        await parts_of(storage={"filesystem": {"rootdirectory": str(tmp_path / "file" / "below")}})
