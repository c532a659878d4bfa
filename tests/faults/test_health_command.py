"""`authproxy health` beside real servers, and what systemd is told of one."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import trustme

from tests.support.program import environment
from tests.support.server import Server, free_port, running_server

CONFIG = """\
version: 0.1
auth: none
storage: {{inmemory: {{}}}}
http:
  addr: 127.0.0.1:{port}
"""


# As it is called, and without the short way for a healthy server.
WAYS = (
    [sys.executable, "-m", "authproxy"],
    [sys.executable, "-c", "import sys; sys.argv[0] = 'authproxy'; from authproxy.cli import main; main()"],
)


def health(folder: Path, *arguments: str, **settings: str) -> tuple[int, str]:
    """The exit code, and all that was said: the same on both ways."""
    results = set()
    for way in WAYS:
        ran = subprocess.run(
            [*way, "health", *arguments],
            cwd=folder,
            env=environment(folder, **settings),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        results.add((ran.returncode, ran.stdout + ran.stderr))
    (result,) = results
    return result


@contextmanager
def other_server(status: int, body: bytes) -> Iterator[int]:
    """An HTTP server that is no registry, and answers everything so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_server_is_healthy_while_it_runs_and_systemd_is_told_when_it_serves(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        settings = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "REGISTRY_HTTP_WORKERS": "2"}
        with running_server(folder, settings) as server:
            assert manager.recv(100) == b"READY=1"
            where = {"REGISTRY_HTTP_ADDR": f"0.0.0.0:{server.port}"}  # every address: it is found at loopback's
            assert health(folder, "--embedded", **where) == (0, "healthy\n")
    code, said = health(folder, "--embedded", **where)
    refused = f"authproxy: 127.0.0.1:{server.port} does not answer: nothing listens there"
    assert (code, said) == (1, f"configuration: embedded default in {folder}\n{refused}\n")


def test_a_server_below_a_prefix_and_without_tls_is_found_there(tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text(CONFIG.format(port=5000) + "  prefix: /below/\n")
    with running_server(tmp_path / "server", arguments=[str(config)], has_tls=False) as server:
        assert health(tmp_path, str(config), REGISTRY_HTTP_ADDR=f"127.0.0.1:{server.port}") == (0, "healthy\n")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"hello", "the program that listens on 127.0.0.1:{port} is not a registry"),
        (503, b'{"errors":[{"code":"UNAVAILABLE","message":"back at noon"}]}', "GET /v2/ answered 503: back at noon"),
        (500, b"[]", "GET /v2/ answered 500: Internal Server Error"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path, status: int, body: bytes, said: str) -> None:
    with other_server(status, body) as port:
        config = tmp_path / "config.yml"
        config.write_text(CONFIG.format(port=port))
        assert health(tmp_path, str(config)) == (1, f"configuration: {config}\nauthproxy: {said.format(port=port)}\n")


def test_one_that_takes_connections_and_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = tmp_path / "config.yml"
        config.write_text(CONFIG.format(port=silent.getsockname()[1]))
        code, said = health(tmp_path, str(config), "--timeout", "0.5")
    assert code == 1
    assert "does not answer: timed out" in said


def test_a_configuration_that_cannot_be_read_is_neither_well_nor_ill(tmp_path: Path) -> None:
    code, said = health(tmp_path, str(tmp_path / "none.yml"))
    assert code == 2
    assert "none.yml" in said


# Which modules the command has loaded at its end.
LOADED = """
import sys
sys.argv = ["authproxy", "health", *sys.argv[1:]]
from authproxy.entry import main
main()
print(*sys.modules)
"""
# Each costs some milliseconds, the command line and the model of the settings hundreds.
HEAVY = {
    "asyncio",
    "authproxy.cli",
    "dataclasses",
    "encodings.idna",
    "http.client",
    "inspect",
    "pathlib",
    "pydantic",
    "typer",
    "typing",
}


def loaded(server: Server, *arguments: str) -> set[str]:
    """What `authproxy health` loads, which must succeed."""
    ran = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        cwd=server.folder,
        env=environment(server.folder, **server.settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stdout.startswith("healthy\n")
    return set(ran.stdout.split())


def test_the_answer_of_a_healthy_server_loads_no_command_line_and_no_model(tmp_path: Path) -> None:
    with running_server(tmp_path / "server") as server:
        config = server.folder / "config.yml"
        config.write_text(CONFIG.format(port=server.port) + "  tls: {certificate: a.pem, key: a.key}\n")
        for arguments in ((), ("--embedded",), ("--config", str(config)), (str(config), "--timeout", "2")):
            assert not loaded(server, *arguments) & HEAVY
        assert "yaml" not in loaded(server, "--embedded")


@pytest.mark.parametrize("tls", ["", "  tls: {{certificate: {pem}, key: {pem}}}\n"], ids=["plain", "tls"])
def test_a_unix_socket(tmp_path: Path, tls: str) -> None:
    config, log, pem = tmp_path / "config.yml", tmp_path / "log", tmp_path / "server.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
    text = CONFIG.format(port=1).replace("127.0.0.1:1", str(tmp_path / "http.sock"))
    config.write_text(f"{text}  net: unix\n{tls.format(pem=pem)}")
    command = [*WAYS[0], "serve", str(config)]
    with log.open("w") as output:
        own = subprocess.Popen(command, env=environment(tmp_path), stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 30
        while "listening" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        assert health(tmp_path, str(config)) == (0, "healthy\n")
    finally:
        own.terminate()
        own.wait(30)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX: Docker-Distribution-Api-Version: registry/2.0\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\nDocker-Distribution-Api-Version: registry/2.0\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"\r\n\r\n",
        b"",
        b"x" * 200_000,
    ],
    ids=["in another field", "no status", "ssh", "empty lines", "nothing", "no end"],
)
def test_what_is_not_the_answer_of_a_registry_is_not_healthy(tmp_path: Path, head: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            for _ in range(3):  # the short way, and then each way's words
                connection, _ = listening.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(1000)
                    connection.sendall(head)

        thread = Thread(target=answer, daemon=True)
        thread.start()
        config = tmp_path / "config.yml"
        config.write_text(CONFIG.format(port=listening.getsockname()[1]))
        assert health(tmp_path, str(config))[0] == 1


def test_a_configuration_in_a_pipe_is_read_once(tmp_path: Path) -> None:
    text = CONFIG.format(port=free_port())
    for way in WAYS:
        ran = subprocess.run(
            [*way, "health", "/dev/stdin"],
            input=text,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ran.returncode, "nothing listens there" in ran.stderr) == (1, True), ran.stderr
