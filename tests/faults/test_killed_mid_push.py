"""A server that is killed in the middle of a push loses nothing that it acknowledged and shows nothing half-written."""

import hashlib
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from authproxy.digest import Digest
from tests.support.image import make_image, open_upload, push_blob, push_image
from tests.support.people import OPERATOR
from tests.support.server import Server, running_server

REPOSITORY = "admin/app"
SCOPE = f"repository:{REPOSITORY}:pull,push"
MIB = 1024 * 1024
CONTENT = os.urandom(32 * MIB)
DIGEST = Digest.of(CONTENT)
ON_DISK_WITHIN_S = 20.0
# Commits under way in each of so many kills.
KILLS = 3
PUSHERS = 6
ENOUGH = 2 * PUSHERS


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of this test's own, which it may kill."""
    with running_server(tmp_path / "server") as running:
        yield running


def kill_in_the_middle(server: Server, method: str, session: httpx.URL, authorization: str) -> None:
    """Send two thirds of the content, kill the server once much of it is on the disk, and start it again."""
    with server.connection() as connection:
        connection.putrequest(method, session.raw_path.decode())
        connection.putheader("Authorization", authorization)
        connection.putheader("Content-Type", "application/octet-stream")
        connection.putheader("Content-Length", str(len(CONTENT)))
        connection.endheaders()
        connection.send(CONTENT[: len(CONTENT) * 2 // 3])
        deadline = time.monotonic() + ON_DISK_WITHIN_S
        while largest_file(server.storage) < len(CONTENT) // 3:
            assert time.monotonic() < deadline, f"nothing came to the disk in {ON_DISK_WITHIN_S} s"
            time.sleep(0.02)
        server.kill()
    server.start()


def largest_file(folder: Path) -> int:
    """The size of the largest file below a folder, in bytes; files may vanish meanwhile."""
    return max((file.stat().st_size for file in folder.rglob("*") if file.is_file()), default=0)


def assert_blobs_are_whole(server: Server) -> None:
    """Every blob that the store shows has the digest that its path says."""
    for data in (server.storage / "docker" / "registry" / "v2" / "blobs").glob("*/*/*/data"):
        algorithm, hexadecimal = data.parts[-4], data.parts[-2]
        assert hashlib.new(algorithm, data.read_bytes()).hexdigest() == hexadecimal, data


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_half_of_a_blob_is_not_shown_and_the_push_can_be_repeated(server: Server, method: str) -> None:
    with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as client:
        session = open_upload(client, REPOSITORY)
        address = session.copy_merge_params({"digest": str(DIGEST)}) if method == "PUT" else session
        kill_in_the_middle(server, method, address, client.headers["Authorization"])
    assert_blobs_are_whole(server)
    with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as client:
        assert client.head(f"/v2/{REPOSITORY}/blobs/{DIGEST}").status_code == httpx.codes.NOT_FOUND
        push_blob(client, REPOSITORY, CONTENT)
        assert client.get(f"/v2/{REPOSITORY}/blobs/{DIGEST}").content == CONTENT
    assert_blobs_are_whole(server)


def test_interrupted_session_goes_on_where_the_server_says_or_is_refused(server: Server) -> None:
    with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as client:
        session = open_upload(client, REPOSITORY)
        kill_in_the_middle(server, "PATCH", session, client.headers["Authorization"])
        status = client.get(session)
        if status.status_code != httpx.codes.NO_CONTENT:
            # Refused in the protocol's words, so that the client begins anew.
            assert status.status_code == httpx.codes.NOT_FOUND, status.text
            assert status.json()["errors"][0]["code"] in ("BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID")
            return
        kept = re.fullmatch(r"0-(\d+)", status.headers["range"])
        assert kept is not None, status.headers
        # "0-0" is nothing, or one byte: the same text for both. The first byte alone was never sent here.
        offset = int(kept[1]) + 1 if int(kept[1]) else 0
        assert offset <= len(CONTENT) * 2 // 3
        rest = CONTENT[offset:]
        patched = client.patch(
            client.base_url.join(status.headers["location"]),
            content=rest,
            headers={"Content-Range": f"{offset}-{len(CONTENT) - 1}", "Content-Type": "application/octet-stream"},
        )
        assert patched.status_code == httpx.codes.ACCEPTED, patched.text
        closing = client.base_url.join(patched.headers["location"]).copy_merge_params({"digest": str(DIGEST)})
        closed = client.put(closing)
        assert closed.status_code == httpx.codes.CREATED, closed.text
        assert client.get(f"/v2/{REPOSITORY}/blobs/{DIGEST}").content == CONTENT
    assert_blobs_are_whole(server)


def test_what_was_acknowledged_is_there_after_the_kill(server: Server) -> None:
    image = make_image("acknowledged")
    with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as client:
        push_blob(client, REPOSITORY, CONTENT)
        push_image(client, REPOSITORY, "v1", image)
        server.kill()
    server.start()
    with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as client:
        assert client.get(f"/v2/{REPOSITORY}/blobs/{DIGEST}").content == CONTENT
        assert client.get(f"/v2/{REPOSITORY}/manifests/v1").content == image.manifest
        assert client.get(f"/v2/{REPOSITORY}/tags/list").json() == {"name": REPOSITORY, "tags": ["v1"]}
    assert_blobs_are_whole(server)


def test_kills_in_the_middle_of_commits_leave_no_files_behind(tmp_path: Path) -> None:
    """Manifests under tags that are new, and under one that moves, while the server is killed again and again."""
    folder = tmp_path / "server"
    server = Server(folder, arguments=("config.yml",), has_tls=False)
    folder.mkdir()
    (folder / "config.yml").write_text("version: 0.1\nauth: none\nstorage: {filesystem: {rootdirectory: root}}\n")
    for kill in range(KILLS):
        server.start()
        taken: list[str] = []
        with ThreadPoolExecutor(PUSHERS) as pool:
            for number in range(PUSHERS):
                pool.submit(push_until_killed, server, f"{kill}-{number}", taken)
            deadline = time.monotonic() + ON_DISK_WITHIN_S
            while len(taken) < ENOUGH and time.monotonic() < deadline:
                time.sleep(0.01)
            server.kill()
        assert len(taken) >= ENOUGH
    names = {path.name for path in (folder / "root" / "docker").rglob("*") if path.is_file()}
    # The second is there for one system call, and the next writer of that link replaces it: docs/decisions/0048.
    assert names <= {"data", "link", "startedat", ".link.new.tmp"}


def push_until_killed(server: Server, mark: str, taken: list[str]) -> None:
    """Push an image after the other, each under a tag of its own and one that all share; name those that were taken."""
    with server.client() as client, suppress(httpx.TransportError):
        for number in itertools.count():
            image = make_image(f"{mark}-{number}")
            push_image(client, REPOSITORY, f"v{mark}-{number}", image)
            push_image(client, REPOSITORY, "latest", image)
            taken.append(f"{mark}-{number}")


KILLED_BEFORE_NAMES = """
import os, signal, sys
from pathlib import Path
from authproxy.storage.filesystem.batch_commit import Batch
from authproxy.storage.change_marks import ChangeMarks
from authproxy.storage.layout import StorePath
from authproxy.storage.filesystem.locks import Locks
root = Path(sys.argv[1])
(root / "locks").mkdir(parents=True)
with Batch(str(root), Locks(root / "locks"), ChangeMarks(root / "changes")) as batch:
    for name in ("blob/data", "current/link"):
        batch.add(StorePath(f"docker/registry/v2/{name}"), b"content")
    batch.sync()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_before_files_have_their_names_leaves_none(tmp_path: Path) -> None:
    """The moment that takes longest: all is written, and waits for the disk."""
    killed = subprocess.run([sys.executable, "-c", KILLED_BEFORE_NAMES, str(tmp_path / "root")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [path for path in (tmp_path / "root" / "docker").rglob("*") if path.is_file()] == []
