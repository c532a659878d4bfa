"""What anybody may send without credentials: no line of the log is long, and every answer keeps to its type."""

import base64
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.server import ADMIN, ADMIN_PASSWORD, Server, free_port, running_server

# A line's texts: four of 1,024 in the access log, one of 4,096 in others; escapes make a character four.
MAX_LINE = 4 * 4096 + 1024
NOSNIFF = ("X-Content-Type-Options", "nosniff")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {
        "REGISTRY_HTTP_TLS": "",
        "REGISTRY_HTTP_DEBUG_ADDR": f"127.0.0.1:{free_port()}",
        "REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED": "true",
    }
    with running_server(tmp_path_factory.mktemp("anybody") / "server", settings, has_tls=False) as running:
        yield running


def send(port: int, raw: bytes) -> bytes:
    """Send bytes, and read the answer to its end."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(raw)
        while piece := connection.recv(65536):
            answer += piece
    return answer


def request(target: str = "/v2/", method: str = "GET", **headers: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode("latin-1")


def basic(name: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:x".encode()).decode()


def bearer(kid: str) -> str:
    head = base64.urlsafe_b64encode(f'{{"alg":"ES256","kid":"{kid}"}}'.encode()).decode().rstrip("=")
    return f"Bearer {head}.e30.AAAA"


LONG = "x" * 40_000
LONG_REQUESTS = [
    ("the path", request("/v2/" + LONG)),
    ("a path of escapes", request("/v2/" + "%1b" * 12_000)),
    ("the method", request(method=LONG)),
    ("a user's name", request(Authorization=basic("n" * 30_000))),
    ("a user's name at the token server", request("/token?service=authproxy", Authorization=basic("n" * 30_000))),
    ("the name of a token's key", request(Authorization=bearer("k" * 30_000))),
    ("a request's id", request(**{"X-Request-ID": LONG})),
    ("a host", request(Host=LONG)),
    ("what is no request", b"GET " + LONG.encode() + b"\r\n\r\n"),
    ("a header without a colon", b"GET / HTTP/1.1\r\nHost: a\r\n" + LONG.encode() + b"\r\n\r\n"),
]


@pytest.mark.parametrize(("what", "raw"), LONG_REQUESTS, ids=[row[0] for row in LONG_REQUESTS])
def test_no_line_of_the_log_is_long(server: Server, what: str, raw: bytes) -> None:
    del what
    before = len(server.output)
    send(server.port, raw)
    send(server.port, request("/v2/marker"))  # lines are gathered for 20 ms; this one comes after them
    while "path=/v2/marker" not in server.output[before:]:
        assert server.process is not None
        assert server.process.poll() is None
    assert max(map(len, server.output[before:].splitlines())) < MAX_LINE


ANSWERS = [
    ("the registry", request(), 401),
    ("the token server", request("/token?service=authproxy"), 200),
    ("a refused login", request("/token?service=authproxy", Authorization=basic("nobody")), 401),
    ("the key set", request("/.well-known/jwks.json"), 200),
    ("a path where nothing is", request("/nothing"), 404),
    ("what is no request", b"nothing\r\n\r\n", 400),
]


@pytest.mark.parametrize(("what", "raw", "status"), ANSWERS, ids=[row[0] for row in ANSWERS])
def test_every_answer_says_that_its_type_is_right(server: Server, what: str, raw: bytes, status: int) -> None:
    del what
    head = send(server.port, raw).partition(b"\r\n\r\n")[0].decode("latin-1")
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert head.lower().count("x-content-type-options: nosniff") == 1


@pytest.mark.parametrize("path", ["/debug/health", "/metrics", "/nothing"])
def test_so_does_the_debug_port(server: Server, path: str) -> None:
    answer = httpx.get(f"http://{server.settings['REGISTRY_HTTP_DEBUG_ADDR']}{path}", trust_env=False)
    assert answer.headers.get_list(NOSNIFF[0]) == [NOSNIFF[1]]


def test_a_blob_does_too(server: Server) -> None:
    with server.client_for(ADMIN, ADMIN_PASSWORD, "repository:admin/a:pull,push") as client:
        location = client.post("/v2/admin/a/blobs/uploads/").headers["Location"]
        digest = "sha256:" + "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        pushed = client.put(httpx.URL(location).copy_merge_params({"digest": digest}), content=b"hello")
        assert pushed.status_code == httpx.codes.CREATED, pushed.text
        pulled = client.get(f"/v2/admin/a/blobs/{digest}")
    assert (pulled.content, pulled.headers.get_list(NOSNIFF[0])) == (b"hello", [NOSNIFF[1]])


def test_the_operator_may_say_otherwise(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "config.yml").write_text(
        "version: 0.1\nstorage: inmemory\nhttp:\n  addr: 127.0.0.1:0\n  headers: {x-content-type-options: []}\n"
    )
    with running_server(folder, arguments=("config.yml",), has_tls=False) as server:
        assert b"nosniff" not in send(server.port, request()).lower()
