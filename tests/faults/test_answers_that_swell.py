"""A registry whose answers unpack to far more than they weigh: what the commands that ask registries hold of them."""

import base64
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import attrgetter
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from tests.support.program import environment, run
from tests.support.server import AUTHPROXY

SWOLLEN_BYTES = 400_000_000
MAX_RSS_BYTES = 250 << 20  # an interpreter with all that the command imports takes a third of that


def packed() -> bytes:
    """JSON without a fault before its end."""
    packer, piece = zlib.compressobj(1, wbits=31), b"a" * 1_000_000
    packed = packer.compress(b'{"token": "')
    packed += b"".join(packer.compress(piece) for _ in range(SWOLLEN_BYTES // len(piece)))
    return packed + packer.compress(b'"}') + packer.flush()


BOMB = packed()

# Runs a command and writes its peak of memory, in KiB, to the file that it is given first. The kernel counts into that
# peak the process which a command was forked from: this one is small, whatever the tests hold.
MEASURED = """
import os, sys
child = os.spawnv(os.P_NOWAIT, sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as file:
    file.write(str(usage.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
"""

Headers = dict[str, str]


@dataclass(frozen=True)
class Case:
    """One place where an answer is read. `bomb`: the path that is answered so, with this status and these headers."""

    what: str
    arguments: tuple[str, ...]
    bomb: str
    status: int = 200
    headers: Headers = field(default_factory=dict)
    is_guarded: bool = False  # tokens are asked for
    login: Headers = field(default_factory=dict)
    stdin: str = ""
    names: tuple[str, ...] = ("a",)  # in the catalog


LIST = ("images", "list", "{host}/a")
LOGIN = ("registry", "login", "{host}", "-u", "alice", "--password-stdin")
PING = ("registry", "ping", "{host}")
PASSWORD = {"auth": base64.b64encode(b"alice:s").decode()}
IDENTITY = {"auth": base64.b64encode(b"alice:").decode(), "identitytoken": "t"}

CASES = [
    Case("token for nobody", LIST, "/token", is_guarded=True),
    Case("token for a password", LIST, "/token", is_guarded=True, login=PASSWORD),
    Case("token for an identity token", LIST, "/token", is_guarded=True, login=IDENTITY),
    Case("refused token", LIST, "/token", 403, is_guarded=True),
    Case("tags", LIST, "/v2/a/tags/list"),
    Case("tags refused", LIST, "/v2/a/tags/list", 403),
    Case("redirect", LIST, "/v2/a/tags/list", 307, {"Location": "/elsewhere"}),
    Case("catalog", ("images", "list", "{host}"), "/v2/_catalog"),
    Case("manifest", ("images", "inspect", "{host}/a:v1"), "/v2/a/manifests/v1"),
    Case("login", LOGIN, "/v2/", stdin="s"),
    Case("login refused", LOGIN, "/v2/", 403, stdin="s"),
    Case("ping", PING, "/v2/"),
    Case("ping's catalog", PING, "/v2/_catalog"),
]


class Hostile(BaseHTTPRequestHandler):
    """Answers one path with the bomb, and all others as a registry does."""

    case: ClassVar[Case]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        case, path = self.case, self.path.partition("?")[0]
        host = self.headers["Host"]
        if path == case.bomb and not (case.is_guarded and path != "/token" and "Authorization" not in self.headers):
            self._answer(case.status, BOMB, {"Content-Encoding": "gzip"} | case.headers)
        elif path == "/token":
            self._answer(200, json.dumps({"token": "t"}).encode())
        elif case.is_guarded:
            self._answer(401, b"{}", {"WWW-Authenticate": f'Bearer realm="http://{host}/token"'})
        else:
            self._answer(200, json.dumps({"tags": ["v1"], "repositories": case.names}).encode())

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def _answer(self, status: int, content: bytes, headers: Headers | None = None) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the client went away in the middle of it, as it should
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hostile() -> Iterator[Callable[[Case], str]]:
    """A registry for one case: its host."""
    servers: list[ThreadingHTTPServer] = []

    def begin(case: Case) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("For", (Hostile,), {"case": case}))
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        return f"127.0.0.1:{server.server_port}"

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("case", CASES, ids=attrgetter("what"))
def test_answer_that_swells_is_not_gathered(case: Case, hostile: Callable[[Case], str], tmp_path: Path) -> None:
    host = hostile(case)
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"auths": {host: case.login}}))
    peak = tmp_path / "peak"
    command = [AUTHPROXY, *(part.format(host=host) for part in case.arguments)]
    done = run(sys.executable, "-c", MEASURED, str(peak), *command, env=environment(tmp_path), stdin=case.stdin)
    assert "Traceback" not in done.text
    assert int(peak.read_text()) * 1024 < MAX_RSS_BYTES, done.text


def test_name_of_a_catalog_that_is_none_ends_in_a_sentence(tmp_path: Path, hostile: Callable[[Case], str]) -> None:
    named = Case("catalog of any names", (), "/none", names=("a\nb", "c\x1b[2J", "..", "d"))
    host = hostile(named)
    done = run(AUTHPROXY, "images", "list", host, env=environment(tmp_path))
    assert (done.code, done.out) == (1, "d:v1\n")
    assert "Traceback" not in done.err
    assert done.err.count("is not a repository name") == 3
    assert "\x1b" not in done.err
