"""The whole application over real HTTP for the protocol's tables: TLS, tokens, a server for each test or table."""

import datetime as dt
import os
import re
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from authproxy.access import Access, delete, pull, push
from authproxy.config.embedded import Layout
from authproxy.errors import RegistryError
from authproxy.quickstart import PASSWORD_VARIABLE, prepare
from authproxy.route import parse_route
from authproxy.token.issuer import Issuer
from authproxy.token.keyring import KeyRing
from tests.support import warm
from tests.support.program import environment
from tests.support.registry import BASE_URL
from tests.support.server import ADMIN_PASSWORD, OPERATOR

READY_WITHIN_S = STOPPED_WITHIN_S = 30.0
LISTENING = re.compile(r"listening on https://127\.0\.0\.1:([0-9]+)")
# What the embedded default calls itself in its tokens.
ISSUER = SERVICE = "authproxy"


@dataclass(frozen=True, slots=True)
class Served:
    """One running server: its port, its storage, and what it said."""

    port: int
    root: Path
    log: Path
    nursery: "Nursery"

    @property
    def output(self) -> str:
        """All that it has said so far."""
        return self.log.read_text(encoding="utf-8")

    def check(self) -> None:
        """Fail if it has met a fault of its own so far."""
        for word in ("Traceback", "event=fault"):
            assert word not in self.output, self.output

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client of the tables: it asks for the host that they know, and has a token for what it asks."""
        async with httpx.AsyncClient(
            transport=_Dial(self.port, self.nursery.trust),
            auth=Tokens(self.nursery.issuer),
            base_url=BASE_URL,
            timeout=60,
            event_hooks={"response": [_check_version]},
        ) as client:
            yield client


class Nursery:
    """Starts servers that share everything but their storage: the keys, so a token is good at each of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        layout = Layout(folder)
        prepare(layout, {PASSWORD_VARIABLE: ADMIN_PASSWORD}, now=dt.datetime.now(dt.UTC))
        self.issuer = Issuer(KeyRing.open(layout.data / "keys"), ISSUER, SERVICE, 3600)
        self.trust = ssl.create_default_context(cafile=str(layout.certs / "ca.pem"))
        self._started: list[warm.Process | subprocess.Popen[bytes]] = []

    @contextmanager
    def server(
        self, root: Path, settings: Mapping[str, str] | None = None, *, program: Sequence[str] = (warm.AUTHPROXY,)
    ) -> Iterator[Served]:
        """A server over a storage folder for the length of a block. It must not have met a fault of its own.

        `program` is what `serve` is an argument of.
        """
        log = root.with_name(f"{root.name}.{time.monotonic_ns()}.log")
        variables = environment(
            self.folder,
            REGISTRY_HTTP_ADDR="127.0.0.1:0",
            REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=str(root),
            **(settings or {}),
        )
        with Path(os.devnull).open("rb") as nothing, log.open("ab") as output:
            process = _start((*program, "serve", "--embedded"), self.folder, variables, nothing, output)
        self._started.append(process)
        served = Served(_wait_for_port(process, log), root, log, self)
        try:
            yield served
        finally:
            process.terminate()
        served.check()

    def close(self) -> None:
        """Wait until all servers have ended, each of them well."""
        assert {process.wait(STOPPED_WITHIN_S) for process in self._started} <= {0}


class Tokens(httpx.Auth):
    """A bearer token for what a request needs, as `/token` signs it for somebody who may do everything.

    It goes on granting what earlier requests of this client needed, as docker's does in the course of a push.
    """

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._granted: dict[Access, None] = {}

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header."""
        path, _, query = request.url.raw_path.partition(b"?")
        with suppress(RegistryError):  # for what is no route any token does
            route = parse_route(request.method, path, query)
            sources = (route.mount.sources or ()) if route.mount else ()
            names = filter(None, (route.repository, *sources))
            self._granted |= dict.fromkeys(access(name) for name in names for access in (pull, push, delete))
            self._granted |= dict.fromkeys(route.needs)
        request.headers["Authorization"] = f"Bearer {self._issuer.issue(OPERATOR, list(self._granted)).token}"
        yield request


class _Dial(httpx.AsyncHTTPTransport):
    """Connects to the server wherever the tables believe that it is; the `Host` stays the one they ask for."""

    def __init__(self, port: int, trust: ssl.SSLContext) -> None:
        super().__init__(verify=trust, trust_env=False)
        self._port = port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host="localhost", port=self._port)
        return await super().handle_async_request(request)


async def _check_version(response: httpx.Response) -> None:
    """Every answer below /v2/ names the version of the API, whatever it is."""
    assert response.headers["Docker-Distribution-API-Version"] == "registry/2.0", response


def _start(
    command: Sequence[str], folder: Path, variables: Mapping[str, str], stdin: IO[bytes], output: IO[bytes]
) -> warm.Process | subprocess.Popen[bytes]:
    if warm.is_ours(command, variables):
        return warm.start(command, folder=folder, env=variables, stdin=stdin, stdout=output, stderr=output)
    return subprocess.Popen(command, cwd=folder, env=variables, stdin=stdin, stdout=output, stderr=output)


def _wait_for_port(process: warm.Process | subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        has_ended = process.poll() is not None
        said = log.read_text(encoding="utf-8")
        if found := LISTENING.search(said):
            return int(found[1])
        assert not has_ended, f"the server did not start:\n{said}"
        assert time.monotonic() < deadline, f"the server was not ready in {READY_WITHIN_S} s:\n{said}"
        time.sleep(0.002)
