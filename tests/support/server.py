"""The server that is tested: `authproxy serve`, as a user starts it, in a folder of its own on a free loopback port."""

import hashlib
import math
import os
import random
import signal
import socket
import ssl
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import cycle
from pathlib import Path
from typing import IO

import httpx

from authproxy.files.watcher import LOOK_EVERY_S
from authproxy.principal import Principal
from authproxy.quickstart import ADMINS
from tests.support import warm
from tests.support.program import environment, succeed

AUTHPROXY = warm.AUTHPROXY
ADMIN = "admin"
ADMIN_PASSWORD = "an admin's password, long enough"
# As the rules of the embedded default know them.
OPERATOR = Principal(ADMIN, frozenset({ADMINS}))

# Below Linux's range for outgoing connections (ip_local_port_range): a connection of another test could take a port of
# that range while its server is down.
STEADY_PORTS = range(10_000, 32_768)
MAX_TEST_PROCESSES = 16

READY_WITHIN_S = 30.0
STOPPED_WITHIN_S = 30.0
# Changes are in force in the running server within two seconds; this is that with a margin.
KNOWN_WITHIN_S = 10.0
# Longer than from one look at the files to the next. The kernel may give one worker many connections in a row.
STEADY_S = LOOK_EVERY_S + 0.5


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now. A server that ended finds it free when it starts again."""
    while True:
        port = next(_ports)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _steady_ports() -> Iterator[int]:
    """The same again after many. Other test processes, which pytest-xdist calls gw0, gw1, …, get others."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % MAX_TEST_PROCESSES
    mine = [port for port in STEADY_PORTS if port % MAX_TEST_PROCESSES == number]
    random.SystemRandom().shuffle(mine)
    return cycle(mine)


_ports = _steady_ports()


def wait_until_steady(is_right: Callable[[], bool], since: float, within_s: float) -> float:
    """Wait until a change is in force on every worker: all answers of STEADY_S are right.

    `is_right` asks over a new connection; `since` is when the change had been written, what is returned is when the
    first of these answers was asked for, both by the monotonic clock. Raises AssertionError for a wrong answer that was
    asked for later than `within_s` after the change.
    """
    asked, first_right = since, math.inf
    while asked - first_right < STEADY_S:
        asked = time.monotonic()
        if is_right():
            first_right = min(first_right, asked)
        else:
            first_right = math.inf
            assert asked - since < within_s, f"not in force after {asked - since:.1f} s"
        time.sleep(0.05)
    return first_right


class Server:
    """`authproxy serve` in `folder`, which can be stopped, killed and started again on the same port.

    `arguments` of the command: the embedded default, or a configuration file. `settings` are environment variables
    (`REGISTRY_…`) that come on top; `has_tls` says what they make of it. What it says is appended to `authproxy.log`.
    `through`: a program and its arguments that starts the command behind them in its own place. `is_cold`: start it as
    its users do, where the test is about the process; else it becomes of one that has imported everything (`warm.py`).
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
        *,
        arguments: Sequence[str] = ("--embedded",),
        has_tls: bool = True,
        through: Sequence[str] = (),
        is_cold: bool = False,
    ) -> None:
        self.folder = folder
        self.is_cold = is_cold
        self.through = through
        self.has_tls = has_tls
        self.arguments = arguments
        self.port = port or free_port()
        self.settings = {
            "AUTHPROXY_ADMIN_PASSWORD": ADMIN_PASSWORD,
            "REGISTRY_HTTP_ADDR": f"127.0.0.1:{self.port}",
        } | dict(settings or {})
        self.log = folder / "authproxy.log"
        self.process: warm.Process | subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<Server {self.host} in {self.folder}>"

    @property
    def host(self) -> str:
        """What clients call it: `localhost:<port>`."""
        return f"localhost:{self.port}"

    @property
    def url(self) -> str:
        """`https://localhost:<port>`, or `http:` without TLS."""
        return f"{'https' if self.has_tls else 'http'}://{self.host}"

    @property
    def ca(self) -> Path:
        """The certificate that clients trust."""
        return self.folder / "certs" / "ca.pem"

    @property
    def storage(self) -> Path:
        """The registry's root folder: `docker/registry/v2` stands in it."""
        return self.folder / "data" / "registry"

    @property
    def output(self) -> str:
        """All that it has said since its first start."""
        return self.log.read_text() if self.log.exists() else ""

    def start(self) -> None:
        """Start it and wait until it serves. Raises AssertionError with its words where it does not."""
        assert self.process is None, "it runs already"
        with self.log.open("ab") as log:
            self.process = self._start(log)
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._serves():
            assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.output}"
            assert time.monotonic() < deadline, f"the server was not ready in {READY_WITHIN_S} s:\n{self.output}"
            time.sleep(0.05)

    def ask_to_stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal and go on as soon as no new connection is taken; `join` waits for the end."""
        assert self.process is not None
        self.process.send_signal(number)
        deadline = time.monotonic() + STOPPED_WITHIN_S
        while self._serves():
            assert time.monotonic() < deadline, f"it still takes connections after {number.name}:\n{self.output}"
            time.sleep(0.05)

    def join(self) -> None:
        """Wait for the end that `ask_to_stop` asked for: exit code 0 and never a traceback."""
        assert self.process is not None
        try:
            code = self.process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill_group()
            raise AssertionError(f"the server did not stop in {STOPPED_WITHIN_S} s:\n{self.output}") from None
        self.process = None
        assert code == 0, f"the server ended with {code}:\n{self.output}"
        assert "Traceback" not in self.output, self.output

    def stop(self) -> None:
        """Stop it in good order."""
        self.ask_to_stop()
        self.join()

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL, no chance to tidy up."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def kill_group(self) -> None:
        """The same for the server and all its workers at once."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        self._wait_until_port_is_free()  # workers end when they do, and a warm start is quicker

    @property
    def pid(self) -> int:
        """The id of its process, the parent of the workers."""
        assert self.process is not None
        return self.process.pid

    def worker_ids(self) -> set[int]:
        """The process ids of its workers: the children of the server's process."""
        return set(map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()))

    def add_user(self, name: str, password: str, *groups: str) -> None:
        """Make a user with the command beside the running server, and wait until the server knows them."""
        options = [option for group in groups for option in ("--group", group)]
        succeed(
            *(AUTHPROXY, "user", "add", name, "--password-stdin", *options),
            env=environment(self.folder),
            cwd=self.folder,
            stdin=password + "\n",
        )

        def is_known() -> bool:
            with self.client() as client:
                return client.get("/token", auth=(name, password)).status_code == httpx.codes.OK

        wait_until_steady(is_known, time.monotonic(), KNOWN_WITHIN_S)

    def wait_until(self, happened: Callable[[], bool], within_s: float = KNOWN_WITHIN_S) -> None:
        """Wait for something. Raises AssertionError, with the server's output, where it does not happen in time."""
        deadline = time.monotonic() + within_s
        while not happened():
            assert time.monotonic() < deadline, f"not so after {within_s} s:\n{self.output}"
            time.sleep(0.05)

    def client(self) -> httpx.Client:
        """An HTTP client that trusts the server's CA and nothing else, with paths relative to the server."""
        trust = ssl.create_default_context(cafile=str(self.ca)) if self.has_tls else False
        return httpx.Client(base_url=self.url, verify=trust, trust_env=False, timeout=60)

    @contextmanager
    def connection(self) -> Iterator[HTTPSConnection]:
        """A connection that sends and reads as slowly as its owner likes, for the length of a block."""
        trust = ssl.create_default_context(cafile=str(self.ca))
        connection = HTTPSConnection("localhost", self.port, context=trust, timeout=60)
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def client_for(self, user: str, password: str, *scopes: str) -> Iterator[httpx.Client]:
        """The same with a token of this user for these scopes, for the length of a block."""
        with self.client() as client:
            answer = client.get("/token", params={"scope": list(scopes)}, auth=(user, password))
            assert answer.status_code == httpx.codes.OK, answer.text
            client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
            yield client

    def _wait_until_port_is_free(self) -> None:
        deadline = time.monotonic() + STOPPED_WITHIN_S
        while True:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with suppress(OSError):
                    probe.bind(("127.0.0.1", self.port))
                    return
            assert time.monotonic() < deadline, f"port {self.port} is still taken:\n{self.output}"
            time.sleep(0.02)

    def _start(self, log: IO[bytes]) -> "warm.Process | subprocess.Popen[bytes]":
        """The process, of a group of its own, so that `kill_group` ends its workers in the same moment, nobody else."""
        command = [*self.through, AUTHPROXY, "serve", *self.arguments]
        env = environment(self.folder, **self.settings)
        with Path(os.devnull).open("rb") as nothing:
            if warm.is_ours(command, env) and not self.is_cold:
                return warm.start(
                    command, folder=self.folder, env=env, stdin=nothing, stdout=log, stderr=log, own_group=True
                )
            return subprocess.Popen(
                command, cwd=self.folder, env=env, stdin=nothing, stdout=log, stderr=log, process_group=0
            )

    def _serves(self) -> bool:
        return speaks_tls(self.port) if self.has_tls else speaks_http(self.port)


@contextmanager
def running_server(
    folder: Path,
    settings: Mapping[str, str] | None = None,
    *,
    arguments: Sequence[str] = ("--embedded",),
    has_tls: bool = True,
    through: Sequence[str] = (),
    is_cold: bool = False,
) -> Iterator[Server]:
    """A server for the length of a block. It has to stop in good order, unless the block killed it itself."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(folder, settings, arguments=arguments, has_tls=has_tls, through=through, is_cold=is_cold)
    try:
        server.start()
        yield server
    except BaseException:
        if server.process is not None:
            server.kill_group()
        raise
    if server.process is not None:
        server.stop()


def speaks_tls(port: int) -> bool:
    """Whether a TLS handshake with 127.0.0.1 succeeds, whoever's certificate it is."""
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        # Where the server hangs up before it is wrapped, Python's own wrapping leaves its socket open and unreachable.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as plain, unverified.wrap_socket(plain):
                return True
        except OSError:
            return False


def speaks_http(port: int) -> bool:
    """Whether 127.0.0.1 answers a plain request for /v2/, whatever it answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status > 0
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def contents(*folders: Path) -> dict[str, tuple[str, int]]:
    """Every file below some folders: its path to the SHA-256 of what it holds and its permission bits."""
    files = (Path(top, name) for folder in folders for top, _, names in os.walk(folder) for name in names)
    return {
        str(file): (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mode & 0o777)
        for file in sorted(files)
    }
