"""A full disk under the server and beside its commands: each says so, nothing is lost, and with room all goes on."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from authproxy.storage.filesystem.driver import RESERVE
from tests.support.image import make_image, push_blob, push_image
from tests.support.people import OPERATOR
from tests.support.program import Outcome, environment, run
from tests.support.server import AUTHPROXY, Server, contents, running_server
from tests.support.small_disk import fill, make_room, small_disk

REPOSITORY = "admin/app"
SCOPE = f"repository:{REPOSITORY}:pull,push,delete"
IMAGE, OTHER = make_image("kept"), make_image("later")
RETENTION = """\
version: 1
retention:
  - name: releases
    on: {repositories: ["**"]}
    keep: [{tags: ["v*"]}]
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server on a small disk, with an image, a tag that retention removes, and a blob that nothing names."""
    folder = tmp_path / "server"
    with small_disk(folder / "data/registry", 16 * 1024 * 1024), running_server(folder) as running:
        with client_of(running) as client:
            push_image(client, REPOSITORY, "v1", IMAGE)
            push_image(client, REPOSITORY, "old", OTHER)
            push_blob(client, REPOSITORY, b"nobody's")
        yield running


def client_of(server: Server) -> AbstractContextManager[httpx.Client]:
    return server.client_for(OPERATOR.name, OPERATOR.password, SCOPE)


def authproxy(server: Server, *words: str) -> Outcome:
    return run(AUTHPROXY, *words, env=environment(server.folder), cwd=server.folder)


def is_pulled(server: Server) -> bool:
    with client_of(server) as client:
        return client.get(f"/v2/{REPOSITORY}/manifests/v1").content == IMAGE.manifest


def assert_collects(server: Server) -> None:
    """A run condemns, and the image can still be pulled."""
    done = authproxy(server, "gc")
    assert done.code == 0, str(done)
    assert "condemned" in done.out
    assert is_pulled(server)


def test_the_collector_says_so_and_goes_on(server: Server) -> None:
    assert authproxy(server, "gc", "--enable").code == 0
    (server.storage / RESERVE).unlink()  # used up
    fill(server.storage)
    full = authproxy(server, "gc")
    assert full.code == 1, str(full)
    assert "storage is full" in full.err
    assert "Traceback" not in full.err
    assert is_pulled(server)
    make_room(server.storage)
    assert_collects(server)


def test_the_collector_works_on_a_full_disk_from_the_reserve(server: Server) -> None:
    assert authproxy(server, "gc", "--enable").code == 0
    fill(server.storage)
    assert_collects(server)


def test_retention_says_so_and_removes_nothing_without_a_record(server: Server) -> None:
    (server.folder / "policies/retention.yaml").write_text(RETENTION)
    words = ("policy", "retention", "--yes", "--storage", str(server.storage))
    (server.storage / RESERVE).unlink()
    fill(server.storage)
    before = contents(server.storage / "docker")
    full = authproxy(server, *words)
    assert full.code == 1, str(full)
    assert "storage is full" in full.err
    assert contents(server.storage / "docker") == before
    make_room(server.storage)
    done = authproxy(server, *words)
    assert done.code == 0, str(done)
    with client_of(server) as client:
        assert client.get(f"/v2/{REPOSITORY}/tags/list").json()["tags"] == ["v1"]
    assert is_pulled(server)


def test_a_verification_needs_no_room_in_the_storage(server: Server) -> None:
    (server.storage / RESERVE).unlink()
    fill(server.storage)
    done = authproxy(server, "verify", "--storage", str(server.storage))
    assert done.code == 0, str(done)
