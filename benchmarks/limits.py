"""What the machine and the libraries allow, measured in the same run: a figure means something only beside these."""

import hashlib
import os
import socket
import sys
import time
from pathlib import Path

import trustme

from benchmarks.content import MIB, random_pieces
from benchmarks.load import request_rate
from benchmarks.process import free_port, running

_REPOSITORY_ROOT = Path(__file__).parent.parent
_HASHED_MIB = 512


def measure_limits(folder: Path, *, written_mib: int, wrk_s: int) -> dict[str, float]:
    """Each limit by its name, with the unit in the name."""
    folder.mkdir(parents=True)
    return {
        "durable write, one file (MiB/s)": _durable_write_mib_s(folder / "written", written_mib),
        "sha256, one core (MiB/s)": _sha256_mib_s(),
        "bare ASGI on uvicorn, plain (1/s)": _bare_rate(folder, wrk_s, tls=False),
        "bare ASGI on uvicorn, TLS (1/s)": _bare_rate(folder, wrk_s, tls=True),
    }


def _durable_write_mib_s(path: Path, size_mib: int) -> float:
    """What `dd bs=1M conv=fdatasync` does."""
    first = os.urandom(MIB)
    os.sync()
    began = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for piece in random_pieces(size_mib * MIB, first):
            file.write(piece)
        os.fdatasync(file.fileno())
    took = time.perf_counter() - began
    path.unlink()
    return size_mib / took


def _sha256_mib_s() -> float:
    piece, hasher = os.urandom(MIB), hashlib.sha256()
    began = time.perf_counter()
    for _ in range(_HASHED_MIB):
        hasher.update(piece)
    return _HASHED_MIB / (time.perf_counter() - began)


def _bare_rate(folder: Path, seconds: int, *, tls: bool) -> float:
    port = free_port()
    uvicorn = [sys.executable, "-m", "uvicorn", "benchmarks.bare:app", "--host", "127.0.0.1", "--port", str(port)]
    quiet = ["--loop", "asyncio", "--http", "httptools", "--ws", "none", "--lifespan", "off", "--no-access-log"]
    command, scheme = [*uvicorn, *quiet], "http"
    if tls:
        certificate, scheme = folder / "bare.pem", "https"
        trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
        command += ["--ssl-certfile", str(certificate)]
    url = f"{scheme}://127.0.0.1:{port}/"
    with running("bare", command, folder, cwd=_REPOSITORY_ROOT) as server:
        server.wait_until(lambda: _listens(port))
        return request_rate(url, {}, seconds=seconds)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
