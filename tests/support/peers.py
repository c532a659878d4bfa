"""Registries that are compared: Debian's `docker-registry`, which is CNCF Distribution 2.8, and ours started alike."""

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.binaries import binary
from tests.support.program import environment
from tests.support.server import Server, free_port, running_server

READY_WITHIN_S = 20.0

# Everything that is not written here is Distribution's default; without `delete` it answers 405 to every DELETE.
CONFIGURATION = """\
version: 0.1
log: {{level: info, accesslog: {{disabled: true}}}}
http: {{addr: "127.0.0.1:{port}", secret: one-for-all-tests}}
storage:
  filesystem: {{rootdirectory: "{folder}/registry"}}
  delete: {{enabled: true}}
"""


# The same for us: no `auth`, so it is open, and no TLS. The address comes by REGISTRY_HTTP_ADDR.
OUR_CONFIGURATION = """\
version: 0.1
log: {{level: info}}
http: {{addr: "127.0.0.1:5000", secret: one-for-all-tests}}
storage:
  filesystem: {{rootdirectory: "{root}"}}
  delete: {{enabled: true}}
"""


@contextmanager
def running_open_server(folder: Path, root: Path | None = None) -> Iterator[Server]:
    """Our server for the length of a block, open to everybody over plain HTTP. `root`: the storage, if not its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yml").write_text(OUR_CONFIGURATION.format(root=root or folder / "registry"))
    with running_server(folder, arguments=["config.yml"], has_tls=False) as server:
        yield server


@contextmanager
def running_docker_registry(folder: Path, more: str = "", settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """A `docker-registry` for the length of a block, without TLS: yields `http://127.0.0.1:<port>`.

    It is open to everybody, unless `more`, sections that its configuration has besides, says otherwise. `settings` are
    `REGISTRY_*` variables; where they set up TLS, it answers at `https:` instead.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    (folder / "config.yml").write_text(CONFIGURATION.format(port=port, folder=folder) + more)
    with (folder / "docker-registry.log").open("wb") as log:
        process = subprocess.Popen(
            [binary("docker-registry"), "serve", "config.yml"],
            cwd=folder,
            env=environment(folder, **(settings or {})),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + READY_WITHIN_S
        while not _answers(url):
            words = (folder / "docker-registry.log").read_text()
            assert process.poll() is None, f"docker-registry ended with {process.returncode}:\n{words}"
            assert time.monotonic() < deadline, f"docker-registry was not ready in {READY_WITHIN_S} s:\n{words}"
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(READY_WITHIN_S)


def _answers(url: str) -> bool:
    try:
        # 400: "Client sent an HTTP request to an HTTPS server."
        return httpx.get(f"{url}/v2/", trust_env=False).status_code in (200, 400, 401)
    except httpx.TransportError:
        return False
