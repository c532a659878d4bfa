"""SIGTERM and Ctrl-C let what is in flight come to its end, and wait for nothing else."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from authproxy.digest import Digest
from tests.support.image import open_upload, push_blob
from tests.support.people import OPERATOR
from tests.support.server import Server, running_server

REPOSITORY = "admin/app"
SCOPE = f"repository:{REPOSITORY}:pull,push"
MIB = 1024 * 1024
# More than all buffers between disk and client hold, so that the server is in the middle of it when it is told to stop.
CONTENT = os.urandom(48 * MIB)
DIGEST = Digest.of(CONTENT)
# An idle connection is closed at once; draining it would take as long as the client likes.
IDLE_WITHIN_S = 10.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of this test's own, which it stops."""
    with running_server(tmp_path / "server") as running:
        yield running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_download_in_flight_is_finished(server: Server, number: signal.Signals) -> None:
    with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as client:
        push_blob(client, REPOSITORY, CONTENT)
        headers = {"Authorization": client.headers["Authorization"]}
    with server.connection() as connection:
        connection.request("GET", f"/v2/{REPOSITORY}/blobs/{DIGEST}", headers=headers)
        answer = connection.getresponse()
        first = answer.read(MIB)
        server.ask_to_stop(number)
        assert server.process is not None
        assert server.process.poll() is None, "it did not wait for the download"
        assert Digest.of(first + answer.read()) == DIGEST
    server.join()


def test_upload_in_flight_is_finished(server: Server) -> None:
    with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as client:
        address = open_upload(client, REPOSITORY).copy_merge_params({"digest": str(DIGEST)})
        authorization = client.headers["Authorization"]
    with server.connection() as connection:
        connection.putrequest("PUT", address.raw_path.decode())
        connection.putheader("Authorization", authorization)
        connection.putheader("Content-Length", str(len(CONTENT)))
        connection.endheaders()
        connection.send(CONTENT[: 8 * MIB])
        server.ask_to_stop()
        assert server.process is not None
        assert server.process.poll() is None, "it did not wait for the upload"
        connection.send(CONTENT[8 * MIB :])
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (httpx.codes.CREATED, b"")
        begun = time.monotonic()
        server.join()  # the client has its answer and keeps the connection open
        assert time.monotonic() - begun < IDLE_WITHIN_S
    server.start()
    with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as client:
        assert client.get(f"/v2/{REPOSITORY}/blobs/{DIGEST}").content == CONTENT


def test_idle_connection_holds_nothing_up(server: Server) -> None:
    with server.client() as client:
        client.get("/v2/")
        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < IDLE_WITHIN_S
