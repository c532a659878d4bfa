"""Faults that alerts look for are in the log at `error`: with a reason, and no more than once a minute."""

import resource
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import yaml

from tests.support.server import Server, free_port, running_server

WITHIN_S = 20.0


def alarms(server: Server, event: str) -> list[str]:
    lines = server.output.splitlines()
    return [line for line in lines if "level=error" in line and f'event="{event}"' in line]


def configured(folder: Path, **sections: object) -> Path:
    folder.mkdir()
    (folder / "config.yml").write_text(yaml.safe_dump({"version": "0.1", "auth": "none", **sections}))
    return folder


def test_a_lost_upstream_is_told_with_its_address(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"  # nobody listens there
    folder = configured(tmp_path / "server", upstream={"url": url})
    with running_server(folder, arguments=["config.yml"], has_tls=False) as server, server.client() as client:
        for _ in range(3):
            assert client.get("/v2/a/manifests/v1").status_code == httpx.codes.BAD_GATEWAY
        (told,) = alarms(server, "upstream lost")
        assert url in told
        assert 'reason="the upstream registry cannot be reached"' in told


def test_a_policy_that_does_not_load_is_told_with_its_line(tmp_path: Path) -> None:
    with running_server(tmp_path / "server") as server:
        (server.folder / "policies" / "broken.yaml").write_text("version: 1\nrulez: []\n")
        server.wait_until(lambda: bool(alarms(server, "not reloaded, the old content stays in force")), WITHIN_S)
        time.sleep(3)  # three more looks
        (told,) = alarms(server, "not reloaded, the old content stays in force")
        assert "broken.yaml:2" in told
        with server.client() as client:  # a typo takes nothing out of service
            assert client.get("/readyz").text == "ready\n"


def test_a_storage_without_descriptors_answers_503_and_is_told_of(tmp_path: Path) -> None:
    folder = configured(tmp_path / "server", storage={"filesystem": {"rootdirectory": str(tmp_path / "registry")}})
    with running_server(folder, arguments=["config.yml"], has_tls=False) as server, server.client() as client:
        assert client.get("/v2/a/tags/list").status_code == httpx.codes.NOT_FOUND
        assert server.process is not None
        pid = server.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        count = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (count + 1, before[1]))
        with ExitStack() as silent:
            for _ in range(5):
                silent.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            server.wait_until(lambda: "no more connections can be accepted" in server.output, WITHIN_S)
            for _ in range(3):
                answer = client.post(f"/v2/a/blobs/uploads/?digest=sha256:{'0' * 64}", content=b"hello")
                assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
                assert answer.json()["errors"][0]["code"] == "UNAVAILABLE"
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        (told,) = alarms(server, "the machine has a fault")
        assert 'reason="Too many open files"' in told
        assert "Traceback" not in server.output
