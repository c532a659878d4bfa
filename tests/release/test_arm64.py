"""The image for arm64 runs: its own Python and libraries, in qemu's emulation of the processor."""

import json
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.release.rootfs import PROGRAM, PYTHON, QEMU, command, open_layout, run_in, variables
from tests.support.binaries import binary
from tests.support.server import free_port

SERVES_WITHIN_S = 400.0
CHECKS_WITHIN_S = 200.0
PASSWORD = "a password for arm64"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with open_layout() as layout:
        folder = layout.unpack("arm64", tmp_path_factory.mktemp("image") / "root")
    shutil.copy(binary(QEMU), folder / "usr/bin/qemu")
    return folder


def test_version_says_where_it_runs(root: Path) -> None:
    done = run_in(root, PYTHON, PROGRAM, "version", "--json")
    assert json.loads(done.out)["system"].endswith("aarch64"), str(done)


@pytest.fixture
def server(root: Path) -> Iterator[str]:
    """`serve --embedded` in the emulation: its address."""
    port = free_port()
    settings = {"REGISTRY_HTTP_ADDR": f"127.0.0.1:{port}", "AUTHPROXY_ADMIN_PASSWORD": PASSWORD}
    with (root.parent / "log").open("wb") as log:
        process = subprocess.Popen(
            command(root, PYTHON, PROGRAM, "serve", "--embedded"), env=variables(**settings), stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + SERVES_WITHIN_S
        while "listening on" not in (root.parent / "log").read_text():
            assert process.poll() is None, (root.parent / "log").read_text()
            assert time.monotonic() < deadline, (root.parent / "log").read_text()
            time.sleep(0.2)
        yield f"https://localhost:{port}"
    finally:
        process.kill()
        process.wait()


def test_it_serves_and_issues_a_token(root: Path, server: str) -> None:
    context = ssl.create_default_context(cafile=root / "work/certs/ca.pem")
    with httpx.Client(base_url=server, verify=context, trust_env=False, timeout=60) as client:
        refused = client.get("/v2/")
        assert refused.status_code == httpx.codes.UNAUTHORIZED
        token = _token(client)
        assert client.get("/v2/", headers={"Authorization": f"Bearer {token}"}).status_code == httpx.codes.OK


def _token(client: httpx.Client) -> str:
    """A token, asked for again as `Retry-After` says: an emulated bcrypt may take longer than one login waits.

    It goes on running and is remembered.
    """
    deadline = time.monotonic() + CHECKS_WITHIN_S
    while True:
        answer = client.get("/token", params={"scope": "repository:a:pull,push"}, auth=("admin", PASSWORD))
        if answer.status_code != httpx.codes.TOO_MANY_REQUESTS or time.monotonic() > deadline:
            assert answer.status_code == httpx.codes.OK, answer.text
            return str(answer.json()["token"])
        time.sleep(float(answer.headers["Retry-After"]))
