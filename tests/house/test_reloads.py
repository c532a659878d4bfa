"""No file is followed by code of its own, and none that is followed is forgotten by the watcher."""

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from authproxy import app as application
from authproxy.config.load import load_values
from authproxy.files.reload import LookedAtFirst, Reloadable, Reloaded
from authproxy.files.watcher import Watch
from authproxy.identity.bcrypt_hash import hash_password
from authproxy.server.tls import LiveTls
from tests.support.application import living
from tests.support.binaries import ROOT
from tests.support.certificates import make
from tests.support.plain_log import log_plainly

SOURCE = ROOT / "authproxy"
RELOAD = SOURCE / "files" / "reload.py"
# What decides that a file changed. A path may also be compared with a file that is open: by device and inode.
TIMES = {"st_mtime", "st_mtime_ns", "st_ctime", "st_ctime_ns"}
ELSEWHERE = SOURCE / "storage"  # content that other programs write: docs/decisions/0013
AGES = SOURCE / "policy" / "running_images.py"  # how old a file is that is read once
# Classes that are refreshed and are not `Reloaded`: the users of all sources, the Protocols of a part and a source, and
# what is in the storage.
OF_OTHERS = {"Directory", "LocalUsers", "Reloadable", "StoredRevocations"}


@cache
def nodes() -> list[tuple[Path, ast.AST]]:
    return [
        (path, node)
        for path in sorted(SOURCE.rglob("*.py"))
        if path not in (RELOAD, AGES) and not path.is_relative_to(ELSEWHERE)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef | ast.Attribute)
    ]


def classes() -> Iterator[ast.ClassDef]:
    return (node for _, node in nodes() if isinstance(node, ast.ClassDef))


def is_reloaded(of: ast.ClassDef) -> bool:
    return any("Reloaded" in ast.unparse(base).split("[")[0] for base in of.bases)


def test_what_a_file_looks_like_is_compared_in_one_place() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.attr}"
        for path, node in nodes()
        if isinstance(node, ast.Attribute) and node.attr in TIMES
    ]
    assert found == [], "derive from files.reload.Reloaded"


def test_what_is_read_again_is_a_reloaded() -> None:
    own = {
        of.name
        for of in classes()
        if any(isinstance(node, ast.FunctionDef) and node.name == "refresh" for node in of.body) and not is_reloaded(of)
    }
    assert own <= OF_OTHERS, "derive from files.reload.Reloaded"


def configurations(folder: Path) -> Iterator[dict[str, Any]]:
    """Two that name every file between them."""
    (folder / "htpasswd").write_text(f"alice:{hash_password('a password', 4)}\n")
    (folder / "users.yaml").write_text("users: {}\n")
    rule = "{name: all, allow: [pull], to: {everyone: true}, on: {repositories: ['**']}}"
    (folder / "policies.yaml").write_text(f"version: 1\nrules:\n  - {rule}\n")
    (folder / "password").write_text("the upstream's\n")
    yield {
        "version": "0.1",
        "http": {"maintenance": {"file": str(folder / "maintenance")}},
        "token": {
            "issuer": "us",
            "service": "us",
            "realm": "https://us/token",
            "keys": str(folder / "keys"),
            "state": str(folder / "state"),
        },
        "identities": [
            {"htpasswd": {"path": str(folder / "htpasswd")}},
            {"users": {"path": str(folder / "users.yaml")}},
        ],
        "policies": {"path": str(folder / "policies.yaml")},
        "upstreams": [
            {
                "match": "basic/**",
                "url": "http://127.0.0.1:1",
                "authorization": "basic",
                "username": "us",
                "passwordfile": str(folder / "password"),
            },
            {"match": "mint/**", "url": "http://127.0.0.1:1", "authorization": "mint", "service": "them"},
        ],
    }
    yield {
        "version": "0.1",
        "storage": "inmemory",
        "auth": {
            "token": {
                "realm": "https://them/token",
                "service": "us",
                "issuer": "them",
                "rootcertbundle": str(folder / "tls" / "server.pem"),
            }
        },
    }


async def test_every_file_that_is_read_again_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new subclass of Reloaded fails here until a configuration above makes it, and the application registers it."""
    made: list[Reloaded[Any]] = []
    refreshed: list[Reloaded[Any]] = []
    initialize, refresh = Reloaded.__init__, Reloaded.refresh

    def note_made(one: Reloaded[Any], *paths: Path, **options: Any) -> None:
        made.append(one)
        initialize(one, *paths, **options)

    def note_refreshed(one: Reloaded[Any]) -> None:
        refreshed.append(one)
        refresh(one)

    def look(watch: Watch, parts: Sequence[Reloadable]) -> None:
        del watch
        refreshed.clear()
        for part in parts:
            if not isinstance(part, LookedAtFirst):  # it waits for the event loop, from another thread
                part.refresh()

    make(tmp_path / "tls")
    monkeypatch.setattr(Reloaded, "__init__", note_made)
    monkeypatch.setattr(Reloaded, "refresh", note_refreshed)
    monkeypatch.setattr(Watch, "start", look)
    seen: set[str] = set()
    try:
        for values in configurations(tmp_path):
            made.clear()
            tls = LiveTls.open(tmp_path / "tls" / "server.pem", tmp_path / "tls" / "server.key")
            app = application.create(load_values(values, "test", {}).settings, b"s" * 32, tls=tls)
            async with living(app):
                assert {id(one) for one in made} == {id(one) for one in refreshed}
            seen |= {type(one).__name__ for one in made}
    finally:
        log_plainly()
    assert seen == {of.name for of in classes() if is_reloaded(of)}
