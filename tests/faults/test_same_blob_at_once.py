"""Many clients push the same blob at the same time, and blobs that were damaged on the disk: both end with one right
copy.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import httpx
import pytest

from authproxy.digest import Digest
from tests.support.image import open_upload, push_blob
from tests.support.people import OPERATOR
from tests.support.server import Server, running_server

REPOSITORY = "admin/app"
SCOPE = f"repository:{REPOSITORY}:pull,push"
CLIENTS = 8
CONTENT = os.urandom(1024 * 1024)
DIGEST = Digest.of(CONTENT)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers, so that the eight do not meet in one process only."""
    with running_server(tmp_path_factory.mktemp("server"), {"REGISTRY_HTTP_WORKERS": "2"}) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as made:
        yield made


def files_of(server: Server, digest: Digest) -> list[Path]:
    """All that is in the folder of a blob."""
    return list((server.storage / "docker/registry/v2/blobs/sha256" / digest.hex[:2] / digest.hex).iterdir())


def test_eight_that_push_the_same_blob_at_once_succeed_and_leave_one_copy(server: Server) -> None:
    together = Barrier(CLIENTS, timeout=60)

    def push(_: int) -> int:
        with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as client:
            session = client.patch(open_upload(client, REPOSITORY), content=CONTENT[: len(CONTENT) // 2])
            closing = client.base_url.join(session.headers["location"]).copy_merge_params({"digest": str(DIGEST)})
            together.wait()
            return client.put(closing, content=CONTENT[len(CONTENT) // 2 :]).status_code

    with ThreadPoolExecutor(CLIENTS) as pool:
        assert list(pool.map(push, range(CLIENTS))) == [httpx.codes.CREATED] * CLIENTS
    [data] = files_of(server, DIGEST)
    assert data.read_bytes() == CONTENT
    repository = server.storage / "docker/registry/v2/repositories" / REPOSITORY
    assert list((repository / "_uploads").iterdir()) == []
    links = [path for path in (repository / "_layers").rglob("*") if path.is_file()]
    assert [link.read_text() for link in links] == [str(DIGEST)]


@pytest.mark.parametrize(
    "damage", [b"", b"short", bytes(len(CONTENT))], ids=["empty", "cut short", "other bytes of the same length"]
)
def test_a_blob_that_was_damaged_can_be_pushed_again_and_is_then_right(
    server: Server, client: httpx.Client, damage: bytes
) -> None:
    push_blob(client, REPOSITORY, CONTENT)
    [data] = files_of(server, DIGEST)
    data.write_bytes(damage)
    push_blob(client, REPOSITORY, CONTENT)
    assert client.get(f"/v2/{REPOSITORY}/blobs/{DIGEST}").content == CONTENT
    assert files_of(server, DIGEST) == [data]


def test_who_is_pulling_a_blob_that_is_pushed_again_gets_all_of_the_one_that_he_began_with(
    server: Server, client: httpx.Client
) -> None:
    large = os.urandom(8 * 1024 * 1024)
    digest = push_blob(client, REPOSITORY, large)
    with (
        server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as other,
        other.stream("GET", f"/v2/{REPOSITORY}/blobs/{digest}") as answer,
    ):
        pieces = answer.iter_bytes(64 * 1024)
        first = next(pieces)
        push_blob(client, REPOSITORY, large)
        assert first + b"".join(pieces) == large
