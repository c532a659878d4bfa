"""What stands behind the edge, and what looks after it."""

from pathlib import Path
from typing import Any

import pytest

from authproxy.config.load import load_values
from authproxy.errors import StartError
from authproxy.health.checks import Checks
from authproxy.metrics.metrics import Metrics
from authproxy.proxy.permissions import EnforcePermissions
from authproxy.proxy.renaming import RenamedBackend, Renaming
from authproxy.proxy.router import Router
from authproxy.proxy.upstream import Upstream
from authproxy.registry.core import Core
from authproxy.wiring.backend import make_backend
from authproxy.wiring.health import make_checks
from authproxy.wiring.lifespan import Parts


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


CORE = {"match": "**", "backend": "core"}


async def test_several_registries_are_one_where_they_differ_in_names_alone() -> None:
    backend, parts = await parts_of(
        storage={"inmemory": {}},
        upstreams=[
            {"match": "library/**", "url": "http://127.0.0.1:5001", "rename": {"strip": "library/", "add": "mirror/"}},
            {"match": "shared/**", "url": "http://127.0.0.1:5001"},
            {"match": "other/**", "url": "http://127.0.0.1:5002"},
            CORE,
            {"match": "team/**", "backend": "core", "rename": {"strip": "team/"}},
        ],
    )
    assert isinstance(backend, Router)
    assert backend.max_entries == 1000
    by_base = {branch.base: branch for branch in backend.branches}
    registries = {base: branch.registry for base, branch in by_base.items()}
    assert registries["library"] is registries["shared"] is not registries["other"]
    assert registries[""] is registries["team"]
    assert isinstance(registries[""], Core)
    assert isinstance(registries["other"], Upstream)
    assert by_base["library"].renaming == Renaming("library/", "mirror/")
    assert isinstance(by_base["library"].app, RenamedBackend)
    assert by_base["shared"].app is registries["shared"]
    assert list(parts.runners) == ["purge uploads"]


@pytest.mark.parametrize(
    ("entry", "kind"), [(CORE, Core), ({"match": "**", "url": "http://127.0.0.1:5001"}, Upstream)], ids=["core", "url"]
)
async def test_one_entry_for_everything_is_that_registry_itself(entry: dict[str, str], kind: type) -> None:
    backend, _ = await parts_of(storage={"inmemory": {}}, upstreams=[entry])
    assert isinstance(backend, kind)


@pytest.mark.parametrize(
    "entry", [{"match": "team/**"}, {"match": "**", "catalog": "false"}, {"match": "**", "rename": {"add": "a/"}}]
)
async def test_one_entry_for_less_or_for_other_names_is_chosen(entry: dict[str, Any]) -> None:
    backend, _ = await parts_of(upstreams=[entry | {"url": "http://127.0.0.1:5001"}])
    assert isinstance(backend, Router)
    assert [branch.is_listed for branch in backend.branches] == ["catalog" not in entry]


@pytest.mark.parametrize(
    ("upstreams", "checked"), [([], True), ([CORE], True), ([{"match": "**", "url": "http://a"}], False)]
)
async def test_the_storage_is_looked_at_where_the_core_serves(
    tmp_path: Path, upstreams: list[dict[str, str]], *, checked: bool
) -> None:
    settings = load_values(
        {
            "version": "0.1",
            "auth": "none",
            "storage": {"filesystem": {"rootdirectory": str(tmp_path)}},
            "health": {"storagedriver": {"enabled": "true"}},
            "upstreams": upstreams,
        },
        "test",
        {},
    ).settings
    assert bool(make_checks(settings)) == checked


async def test_rules_hold_before_every_registry_that_knows_none(tmp_path: Path) -> None:
    backend, _ = await parts_of(
        storage={"inmemory": {}},
        auth={"htpasswd": {"realm": "r", "path": str(tmp_path / "htpasswd")}},
        policies={"path": str(tmp_path)},
        upstreams=[CORE, {"match": "a/**", "url": "http://127.0.0.1:5001", "rename": {"add": "b/"}}],
    )
    assert [type(branch.app) for branch in backend.branches] == [EnforcePermissions, Core]


async def test_a_fault_of_an_entry_names_its_key(tmp_path: Path) -> None:
    missing = str(tmp_path / "upstream.pem")
    with pytest.raises(StartError, match=r"^upstreams\.1\.ca: .*/upstream\.pem"):
        await parts_of(
            upstreams=[
                {"match": "a/**", "url": "https://127.0.0.1:5001"},
                {"match": "b/**", "url": "https://127.0.0.1:5001", "ca": missing},
            ]
        )
