"""A registry in read-only mode on a folder that nothing can be written to: it starts, serves, and writes nothing."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.binaries import binary
from tests.support.image import make_image, push_image
from tests.support.program import environment
from tests.support.server import AUTHPROXY, READY_WITHIN_S, contents, free_port, running_server, speaks_http

CONFIG = """\
version: 0.1
auth: none
storage: {{filesystem: {{rootdirectory: {root}}}, maintenance: {{readonly: {{enabled: {read_only}}}}}}}
http: {{addr: 127.0.0.1:{port}, debug: {{addr: 127.0.0.1:{debug}}}}}
health: {{storagedriver: {{enabled: true, interval: 200ms, threshold: 1}}}}
"""
IMAGE = make_image("kept")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every account may pass."""
    made = Path(tempfile.mkdtemp(prefix="authproxy-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def root(folder: Path) -> Path:
    """A storage that an image has been pushed to."""
    config = folder / "config.yml"
    config.write_text(CONFIG.format(root=folder / "root", read_only="false", port=0, debug=free_port()))
    with (
        running_server(folder / "server", arguments=(str(config),), has_tls=False) as server,
        server.client() as client,
    ):
        push_image(client, "team/app", "v1", IMAGE)
    return folder / "root"


def mounted_read_only(root: Path) -> tuple[str, ...]:
    """A command in front of another: that one sees `root` read-only under any account."""
    script = f'mount --bind {root} {root} && mount -o remount,ro,bind {root} && exec "$@"'
    return (binary("unshare"), "--mount", binary("bash"), "-c", script, "bash")


def without_rights(root: Path) -> tuple[str, ...]:
    """The same as root without its power over modes, in a folder that others own."""
    for path in [root, *root.rglob("*")]:
        os.chown(path, 65532, 65532)
        path.chmod(0o555 if path.is_dir() else 0o444)
    return (binary("setpriv"), "--bounding-set", "-dac_override,-dac_read_search")


@contextmanager
def serving(folder: Path, root: Path, wrapper: Sequence[str]) -> Iterator[tuple[int, int]]:
    """A read-only registry for the length of a block: its port, and the port that tells its health."""
    port, debug = free_port(), free_port()
    (folder / "read-only.yml").write_text(CONFIG.format(root=root, read_only="true", port=port, debug=debug))
    command = [*wrapper, AUTHPROXY, "serve", str(folder / "read-only.yml")]
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=environment(folder), stdout=output, stderr=output) as server,
    ):
        try:
            deadline = time.monotonic() + READY_WITHIN_S
            while not speaks_http(port):
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield port, debug
        finally:
            server.terminate()
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.mark.parametrize("wrapper", [mounted_read_only, without_rights], ids=["mounted read-only", "no rights"])
def test_pulls_go_on_and_nothing_is_written(folder: Path, root: Path, wrapper: Callable[[Path], Sequence[str]]) -> None:
    shutil.rmtree(root / ".authproxy")  # which another registry has never made
    command = wrapper(root)
    before = contents(root)
    with serving(folder, root, command) as (port, debug):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            pulled = client.get("/v2/team/app/manifests/v1")
            assert (pulled.status_code, pulled.content) == (200, IMAGE.manifest)
            assert client.get("/v2/team/app/tags/list").json()["tags"] == ["v1"]
            assert client.get("/v2/_catalog").json()["repositories"] == ["team/app"]
            for method, path in (
                ("POST", "/v2/team/app/blobs/uploads/"),
                ("PUT", "/v2/team/app/manifests/v2"),
                ("DELETE", f"/v2/team/app/manifests/{IMAGE.digest}"),
            ):
                assert client.request(method, path, content=b"").status_code == 405
        assert httpx.get(f"http://127.0.0.1:{debug}/debug/health", trust_env=False).json() == {}
    assert contents(root) == before
    assert not (root / ".authproxy").exists()


def test_a_folder_that_is_missing_is_not_made(folder: Path) -> None:
    (folder / "read-only.yml").write_text(
        CONFIG.format(root=folder / "missing", read_only="true", port=free_port(), debug=free_port())
    )
    done = subprocess.run(
        [AUTHPROXY, "serve", str(folder / "read-only.yml")],
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "storage.filesystem.rootdirectory" in done.stderr
    assert "can't be read" in done.stderr
    assert not (folder / "missing").exists()
