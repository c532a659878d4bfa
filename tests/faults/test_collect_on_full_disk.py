"""A full disk is emptied by the collector: what docs/how-to/free-space.md says of it."""

import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.image import make_image, push_blob, push_image
from tests.support.program import environment, run
from tests.support.server import AUTHPROXY, Server, running_server
from tests.support.small_disk import fill, small_disk

APP = "team/app"
DISK_BYTES = 64 << 20
LARGE_BYTES = 4 << 20
# Longer than a grace and its ticks.
GRACE_S = 2.0

CONFIG = """\
version: 0.1
http: {{addr: "127.0.0.1:5000"}}
storage:
  filesystem: {{rootdirectory: {disk}/registry}}
  delete: {{enabled: true}}
  gc: {{grace: 1s, trash: 1h, interval: 24h}}
auth: none
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", DISK_BYTES) as disk:
        yield disk


@pytest.fixture
def server(disk: Path, tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "config.yml").write_text(CONFIG.format(disk=disk))
    with running_server(tmp_path, arguments=["config.yml"], has_tls=False) as server:
        yield server


def gc(server: Server, *options: str) -> str:
    done = run(
        *(AUTHPROXY, "gc", *options, "--config", "config.yml"), env=environment(server.folder), cwd=server.folder
    )
    assert done.code == 0, str(done)
    return done.out


def test_a_full_disk_is_emptied(server: Server, disk: Path) -> None:
    gone, kept = make_image("deleted"), make_image("kept")
    with server.client() as client:
        for image, tag in ((gone, "v1"), (kept, "v2")):
            push_image(client, APP, tag, image)
        orphan = push_blob(client, APP, secrets.token_bytes(LARGE_BYTES))
        fill(disk)
        assert client.post(f"/v2/{APP}/blobs/uploads/").status_code == httpx.codes.SERVICE_UNAVAILABLE
        gc(server, "--enable")
        assert client.delete(f"/v2/{APP}/manifests/{gone.digest}").status_code == httpx.codes.ACCEPTED
        gc(server)
        for _ in range(2):
            time.sleep(GRACE_S)
            gc(server, "--now")
        stored = {path.parent.name for path in (disk / "registry/docker/registry/v2/blobs").rglob("data")}
        assert not stored & {orphan.hex, gone.digest.hex}
        assert kept.digest.hex in stored
        push_image(client, APP, "v3", make_image("after"))
        assert client.head(f"/v2/{APP}/manifests/v2").status_code == httpx.codes.OK


def test_a_purge_needs_no_space(server: Server, disk: Path) -> None:
    with server.client() as client:
        secret = push_blob(client, APP, secrets.token_bytes(LARGE_BYTES))
        gc(server, "--enable")
        fill(disk)
        assert f"{secret} is gone" in gc(server, "--purge", str(secret))
        assert client.post(f"/v2/{APP}/blobs/uploads/").status_code == httpx.codes.ACCEPTED
