"""Two worker processes are one registry: no request depends on the memory of the process that served the last one."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from authproxy.digest import Digest
from tests.support.people import ALICE, OPERATOR
from tests.support.server import Server, running_server

REPOSITORY = "admin/app"
SCOPE = f"repository:{REPOSITORY}:pull,push"
CHUNKS = [os.urandom(100_000) for _ in range(12)]
DIGEST = Digest.of(b"".join(CHUNKS))
RESTARTED_WITHIN_S = 20.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of two workers."""
    with running_server(tmp_path / "server", {"REGISTRY_HTTP_WORKERS": "2"}) as running:
        yield running


def push_in_chunks(server: Server, authorization: str) -> None:
    """Each chunk on a connection of its own: either worker may get it."""
    headers = {"Authorization": authorization}
    with server.client() as client:
        answer = client.post(f"/v2/{REPOSITORY}/blobs/uploads/", headers=headers)
    offset = 0
    for chunk in CHUNKS:
        with server.client() as client:
            answer = client.patch(
                answer.headers["Location"],
                content=chunk,
                headers=headers | {"Content-Range": f"{offset}-{offset + len(chunk) - 1}"},
            )
        offset += len(chunk)
        assert (answer.status_code, answer.headers["Range"]) == (httpx.codes.ACCEPTED, f"0-{offset - 1}"), answer.text
    with server.client() as client:
        location = httpx.URL(answer.headers["Location"]).copy_merge_params({"digest": str(DIGEST)})
        answer = client.put(location, headers=headers)
    assert answer.status_code == httpx.codes.CREATED, answer.text


def test_chunks_of_one_upload_may_go_to_either_worker(server: Server) -> None:
    assert len(server.worker_ids()) == 2
    with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as client:
        authorization = client.headers["Authorization"]
    push_in_chunks(server, authorization)
    for _ in range(8):
        with server.client() as client:
            answer = client.get(f"/v2/{REPOSITORY}/blobs/{DIGEST}", headers={"Authorization": authorization})
        assert Digest.of(answer.content) == DIGEST


def test_a_new_user_is_known_to_both(server: Server) -> None:
    server.add_user(ALICE.name, ALICE.password)
    time.sleep(2)  # what one of them knows, both know within two seconds
    for _ in range(12):
        with server.client() as client:
            assert client.get("/token", auth=(ALICE.name, ALICE.password)).status_code == httpx.codes.OK


def test_a_worker_that_dies_is_replaced_and_the_upload_goes_on(server: Server) -> None:
    with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as client:
        authorization = client.headers["Authorization"]
    before = server.worker_ids()
    os.kill(min(before), signal.SIGKILL)
    deadline = time.monotonic() + RESTARTED_WITHIN_S
    while len(server.worker_ids() - before) != 1 or len(server.worker_ids()) != 2:
        assert time.monotonic() < deadline, server.output
        time.sleep(0.1)
    push_in_chunks(server, authorization)
