"""`http.net: unix`: a server behind a socket file, which is there while it serves and outlives only a kill."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.program import environment
from tests.support.server import AUTHPROXY

READY_WITHIN_S = 30.0
STOPPED_WITHIN_S = 30.0

CONFIG = """\
version: 0.1
http: {{net: unix, addr: registry.sock, workers: {workers}, host: "https://registry.example/nested/"}}
storage: {{filesystem: {{rootdirectory: data}}, maintenance: {{readonly: {{enabled: true}}}}}}
auth: none
"""


@contextmanager
def serving(folder: Path, workers: int) -> Iterator[subprocess.Popen[str]]:
    """`authproxy serve` behind `registry.sock` in `folder`; it is killed where the block leaves it running."""
    (folder / "config.yml").write_text(CONFIG.format(workers=workers))
    (folder / "data").mkdir(exist_ok=True)  # which a registry that only reads doesn't make
    process = subprocess.Popen(
        [AUTHPROXY, "serve", "config.yml"],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # workers too: they hold the pipe
        process.communicate()


def ask(folder: Path, method: str = "GET", path: str = "/v2/") -> httpx.Response:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(folder / "registry.sock")), timeout=60) as client:
        return client.request(method, f"http://asked{path}")


def wait_until_ready(folder: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not listens(folder / "registry.sock"):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "not ready in time"
        time.sleep(0.05)
    assert ask(folder).status_code == 200


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_the_socket_is_there_while_it_is_served(tmp_path: Path, workers: int) -> None:
    with serving(tmp_path, workers) as process:
        wait_until_ready(tmp_path, process)
        refused = ask(tmp_path, "POST", "/v2/a/blobs/uploads/")
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (405, "UNSUPPORTED")
        healthy = subprocess.run(
            [AUTHPROXY, "health", "config.yml"], cwd=tmp_path, env=environment(tmp_path), check=False
        )
        assert healthy.returncode == 0
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=STOPPED_WITHIN_S)
    assert process.returncode == 0, said
    assert not (tmp_path / "registry.sock").exists()
    assert "listening on registry.sock\n" in said
    assert "read-only: every write is refused, pulls go on (storage.maintenance.readonly)\n" in said
    assert "Traceback" not in said


def test_the_socket_of_a_killed_server_does_not_keep_the_next_from_starting(tmp_path: Path) -> None:
    with serving(tmp_path, 1) as process:
        wait_until_ready(tmp_path, process)
        process.kill()
        process.wait()
    assert (tmp_path / "registry.sock").is_socket()
    with serving(tmp_path, 1) as process:
        wait_until_ready(tmp_path, process)
        with serving(tmp_path, 1) as second:
            said, _ = second.communicate(timeout=STOPPED_WITHIN_S)
            assert (second.returncode, said.splitlines()[-1]) == (
                1,
                "authproxy: http.addr: cannot listen on registry.sock: another program listens there; stop it",
            )
        assert ask(tmp_path).status_code == 200
