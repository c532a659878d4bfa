"""A server that begins as root with AUTHPROXY_RUN_AS, as the image: what the account has done never keeps it root.

tests/deploy/test_image.py has the rest, in containers.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.program import Outcome, environment, run
from tests.support.server import AUTHPROXY, free_port

ACCOUNT = 65532
CONFIG = (
    "version: 0.1\nauth: none\nhttp: {{addr: 'localhost:{port}'}}\nstorage: {{filesystem: {{rootdirectory: {root}}}}}\n"
)


@pytest.fixture
def volume() -> Iterator[Path]:
    """A folder that the account can reach and owns, with a storage root below it."""
    folder = Path(tempfile.mkdtemp(prefix="authproxy-volume-"))
    (folder / "registry/docker/registry").mkdir(parents=True)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
        os.chown(path, ACCOUNT, ACCOUNT)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def start(volume: Path, home: Path) -> Outcome:
    """A start that fails: `serve` of a port and this storage."""
    (home / "config.yml").write_text(CONFIG.format(port=free_port(), root=volume / "registry"))
    env = environment(home, AUTHPROXY_RUN_AS=f"{ACCOUNT}:{ACCOUNT}")
    return run(AUTHPROXY, "serve", str(home / "config.yml"), env=env, cwd=home, timeout_s=60)


def without_the_right_to_write(volume: Path) -> None:
    (volume / "registry").chmod(0o500)


def without_the_right_to_enter(volume: Path) -> None:
    (volume / "registry/docker").chmod(0)


def with_a_link_to_a_folder_of_roots(volume: Path) -> None:
    (volume / "registry/docker/registry").rmdir()
    (volume / "registry/docker/registry").symlink_to("/opt")
    os.chown(volume / "registry/docker/registry", ACCOUNT, ACCOUNT, follow_symlinks=False)
    (volume / "registry").chmod(0o500)


@pytest.mark.parametrize(
    "done", [without_the_right_to_write, without_the_right_to_enter, with_a_link_to_a_folder_of_roots]
)
def test_what_the_account_has_done_never_keeps_the_server_root(
    volume: Path, tmp_path: Path, done: Callable[[Path], None]
) -> None:
    done(volume)
    outcome = start(volume, tmp_path)
    assert outcome.code == 1, str(outcome)
    assert f"as {ACCOUNT}:{ACCOUNT}, to whom it belongs: chmod -R u+rwX {volume}/registry" in outcome.err
    assert not Path("/opt/v2").exists()
