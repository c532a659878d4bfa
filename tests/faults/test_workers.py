"""Two worker processes are one registry: no request depends on the memory of the process that served the last one."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
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


def answers(server: Server) -> bool:
    with server.client() as client:
        return client.get("/livez").status_code == httpx.codes.OK


def test_sighup_replaces_every_worker_while_requests_are_answered(server: Server) -> None:
    before = server.worker_ids()
    os.kill(server.pid, signal.SIGHUP)
    deadline = time.monotonic() + RESTARTED_WITHIN_S
    while before & server.worker_ids():
        # A worker that begins to drain closes connections without a request, also one whose request is on its way:
        # clients then repeat it (RFC 9110 section 9.2.2).
        try:
            answered = answers(server)
        except httpx.RemoteProtocolError:
            answered = answers(server)
        assert answered
        assert time.monotonic() < deadline, server.output
    assert len(server.worker_ids()) == 2


def test_sigttin_and_sigttou_change_the_number_of_workers(server: Server) -> None:
    os.kill(server.pid, signal.SIGTTIN)
    server.wait_until(lambda: len(server.worker_ids()) == 3)
    for _ in range(4):  # one always stays
        os.kill(server.pid, signal.SIGTTOU)
        time.sleep(0.1)  # signals of one kind that wait are one
    server.wait_until(lambda: len(server.worker_ids()) == 1, within_s=RESTARTED_WITHIN_S)
    assert answers(server)


def test_signals_without_a_meaning_change_nothing(server: Server) -> None:
    before = server.worker_ids()
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGQUIT):
        os.kill(server.pid, number)
    time.sleep(1)
    assert server.worker_ids() == before
    assert answers(server)


def test_workers_end_when_their_parent_was_killed(server: Server) -> None:
    """Nothing would replace them, and the port would not be free for the next start."""
    workers = server.worker_ids()
    server.kill()
    deadline = time.monotonic() + RESTARTED_WITHIN_S
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, server.output
        time.sleep(0.1)
    server.start()


def test_workers_share_no_descriptor_of_a_file(server: Server) -> None:
    """What one writes or locks is its own: every file is opened after the fork."""
    push_in_chunks(server, authorization_of(server))

    def files(pid: int) -> set[str]:
        found = set()
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                found.add(str(link.readlink()))
        return {target for target in found if target.startswith(str(server.folder / "data"))}

    assert files(server.pid) == set()
    audit_logs = {path for pid in server.worker_ids() for path in files(pid) if path.endswith(".log")}
    assert len(audit_logs) in (1, 2), "one for each worker that has written"


def test_worker_processes_draw_different_random_numbers(tmp_path: Path) -> None:
    """Each token has an id of its own, and each upload too, whichever worker makes it."""
    with running_server(tmp_path / "server", {"REGISTRY_HTTP_WORKERS": "2"}) as server:
        locations = set()
        with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as client:
            authorization = client.headers["Authorization"]
        for _ in range(20):
            with server.client() as client:
                answer = client.post(f"/v2/{REPOSITORY}/blobs/uploads/", headers={"Authorization": authorization})
            locations.add(answer.headers["Docker-Upload-UUID"])
        assert len(locations) == 20


def authorization_of(server: Server) -> str:
    with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as client:
        return client.headers["Authorization"]
