"""What balancers and orchestrators ask, of a real server: does it serve, and if not, why."""

import socket
import time
from pathlib import Path

import httpx
import pytest
import yaml

from tests.support.server import Server, running_server

WITHIN_S = 10.0
ROOTS = {"no prefix": ("/", ("",)), "a prefix": ("/my/registry/", ("", "/my/registry"))}


def serve(folder: Path, **http: object) -> tuple[Path, dict[str, object]]:
    folder.mkdir()
    config = {
        "version": "0.1",
        "http": http,
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
        "auth": "none",
        "health": {"file": [{"file": str(folder / "down"), "interval": "100ms"}]},
    }
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    return folder, {"arguments": ["config.yml"], "has_tls": False}


def ask(server: Server, path: str, method: str = "GET") -> httpx.Response:
    with server.client() as client:
        return client.request(method, path)


def raw(server: Server, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=WITHIN_S) as client:
        client.sendall(request)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
        return answer


@pytest.mark.parametrize("prefix", ROOTS)
def test_a_balancer_learns_whether_the_node_serves(tmp_path: Path, prefix: str) -> None:
    configured, roots = ROOTS[prefix]
    maintenance = tmp_path / "maintenance"
    folder, how = serve(
        tmp_path / "server", prefix=configured, maintenance={"file": str(maintenance), "message": "Back at noon."}
    )
    with running_server(folder, **how) as server:  # type: ignore[arg-type]

        def expect(status: int, reason: str) -> None:
            for root in roots:
                server.wait_until(lambda root=root: ask(server, f"{root}/").status_code == status, WITHIN_S)  # type: ignore[misc]
                for method in ("GET", "HEAD"):
                    answer = ask(server, f"{root}/", method)
                    assert (answer.status_code, answer.content) == (status, b"")
                    assert answer.headers["Cache-Control"] == "no-cache"
                    assert answer.headers["Content-Length"] == "0"
                ready = ask(server, f"{root}/readyz")
                assert (ready.status_code, ready.headers["Cache-Control"]) == (status, "no-cache")
                assert reason in ready.text
                assert str(tmp_path) not in ready.text
                assert ask(server, f"{root}/readyz", "HEAD").content == b""
                assert ask(server, f"{root}/livez").text == "alive\n"

        expect(200, "ready")
        (folder / "down").touch()
        expect(503, "not ready: a health check fails")
        (folder / "down").unlink()
        expect(200, "ready")
        maintenance.touch()
        expect(503, "not ready: maintenance")
        maintenance.unlink()
        expect(200, "ready")


def test_old_http_without_a_host_is_answered(tmp_path: Path) -> None:
    folder, how = serve(tmp_path / "server")
    with running_server(folder, **how) as server:  # type: ignore[arg-type]
        for method in (b"GET", b"HEAD"):
            head, _, body = raw(server, method + b" / HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"cache-control: no-cache" in head.lower()
            assert body == b""


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz"])
def test_nothing_can_be_sent_there(tmp_path: Path, path: str) -> None:
    folder, how = serve(tmp_path / "server")
    with running_server(folder, **how) as server:  # type: ignore[arg-type]
        answer = ask(server, path, "POST")
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_node_that_was_asked_to_end_says_so_as_long_as_it_can(tmp_path: Path, workers: int) -> None:
    """The server closes its sockets a tenth of a second after the signal at most: the node is not ready from the
    signal on, for whatever still reaches it."""
    folder, how = serve(tmp_path / "server", workers=workers)
    with running_server(folder, **how) as server, server.client() as client:  # type: ignore[arg-type]
        assert client.get("/readyz").text == "ready\n"
        assert server.process is not None
        server.process.terminate()
        answers = []
        deadline = time.monotonic() + WITHIN_S
        try:
            while time.monotonic() < deadline:
                answers.append(client.get("/readyz"))
        except httpx.HTTPError:  # it has ended
            pass
        server.join()
    statuses = [answer.status_code for answer in answers]
    assert statuses == sorted(statuses)  # never ready again
    assert all("shutting down" in answer.text for answer in answers if answer.status_code == 503)
