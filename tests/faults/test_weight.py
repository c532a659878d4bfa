"""The memory that a server takes: by itself, after a login and a push, and for each worker more."""

import os
import time
from pathlib import Path

import httpx

from authproxy.digest import Digest
from benchmarks.footprint import read_kib
from tests.support.people import OPERATOR
from tests.support.server import Server, running_server

# Measured: 80 MiB when idle, 84 after this push.
MAX_MIB = 100
# Measured: 12 MiB. A worker that imported everything for itself had 55.
MAX_OWN_MIB = 25

REPOSITORY = "admin/app"
BLOB = os.urandom(8 << 20)


def memory_mib(pid: int, field: str) -> float:
    return read_kib(Path(f"/proc/{pid}/smaps_rollup").read_text(), field) / 1024


def log_in_and_push(server: Server) -> None:
    scope = f"repository:{REPOSITORY}:pull,push"
    with server.client_for(OPERATOR.name, OPERATOR.password, scope) as client:
        for _ in range(3):
            pushed = client.post(
                f"/v2/{REPOSITORY}/blobs/uploads/", params={"digest": str(Digest.of(BLOB))}, content=BLOB
            )
            assert pushed.status_code == httpx.codes.CREATED, pushed.text


def test_a_server_stays_below_100_mib(tmp_path: Path) -> None:
    with running_server(tmp_path / "server", is_cold=True) as server:
        assert memory_mib(server.pid, "Rss") < MAX_MIB
        log_in_and_push(server)
        assert memory_mib(server.pid, "Rss") < MAX_MIB


def test_each_worker_has_little_memory_of_its_own(tmp_path: Path) -> None:
    with running_server(tmp_path / "server", {"REGISTRY_HTTP_WORKERS": "3"}, is_cold=True) as server:
        log_in_and_push(server)
        time.sleep(1)  # until the last worker serves
        own = [memory_mib(pid, "Private_Dirty") for pid in server.worker_ids()]
        assert len(own) == 3
        assert sum(own) / len(own) < MAX_OWN_MIB
