"""Root acts as the owner of a storage, also where that account can't read the program."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from authproxy.cli import local_storage
from authproxy.files import owner_rights
from authproxy.files.owner_rights import Account, OwnedPath
from authproxy.storage.filesystem.driver import FilesystemDriver
from tests.support.gc_store import GcStore

# As root, in a folder of another account. From the change of the account on, nothing can be imported: as where root's
# Python lies below /root.
AS_ROOT = """
import os, sys

class Closed:
    def find_spec(self, name, path=None, target=None):
        if name in sys.builtin_module_names:
            return None
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

from authproxy.files import owner_rights

owner_rights.find_place = lambda path: owner_rights.OwnedPath(path, owner_rights.Account(1, 1, str(path)))
os.access = lambda path, mode, **how: not how
os.setgroups = os.setgid = os.setegid = os.seteuid = lambda _: None

def setuid(number):
    os.geteuid = lambda: number
    sys.meta_path.insert(0, Closed())

os.geteuid, os.setuid = lambda: 0, setuid
from authproxy.entry import main

main()
"""
CONFIG = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: 127.0.0.1:0}}
auth: {{htpasswd: {{realm: test, path: {root}.htpasswd}}}}
audit: {{file: {{path: {root}.log}}}}
"""
RETENTION = """
version: 1
retention: [{name: newest, on: {repositories: ["**"]}, keep: [{newest: 1}]}]
"""


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


async def _fill(root: Path) -> None:
    driver = FilesystemDriver(root, threads=2)
    store = GcStore(driver)
    for name in ("a", "b"):
        await store.push_image(name, name)
    await driver.close()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration with a storage that has an image, beside a policy file."""
    folder = tmp_path_factory.mktemp("storage")
    asyncio.run(_fill(folder / "registry"))
    (folder / "config.yml").write_text(CONFIG.format(root=folder / "registry"), encoding="utf-8")
    (folder / "registry.htpasswd").touch()
    (folder / "retention.yaml").write_text(RETENTION, encoding="utf-8")
    return folder / "config.yml"


@pytest.mark.parametrize(
    "arguments",
    [
        "gc --dry-run --json",
        "gc --enable",
        "gc --now",
        "undelete --list",
        "usage --tags",
        "verify --repair --sample 5",
        "policy retention --policies retention.yaml --yes",
    ],
)
def test_another_account_need_not_be_able_to_read_the_installed_program(config: Path, arguments: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", AS_ROOT, *arguments.split(), "--config", str(config)],
        cwd=config.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
