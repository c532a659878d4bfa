"""What the machine and the libraries can do, measured in the same run: other figures are compared with these."""

import hashlib
import os
import secrets
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from benchmarks.bare import FILE_PATH, FILE_VARIABLE
from benchmarks.content import MIB, SMALL_BYTES, random_pieces
from benchmarks.load import download_s, request_rate
from benchmarks.process import free_port, running
from benchmarks.target import Target

DURABLE_WRITE = "durable write, one file (MiB/s)"
DURABLE_SMALL = "durable small files, one by one (1/s)"
SHA256 = "sha256, one core (MiB/s)"
BARE_PLAIN = "bare ASGI on uvicorn, plain (1/s)"
BARE_TLS = "bare ASGI on uvicorn, TLS (1/s)"
BARE_FILE = "bare file on uvicorn, TLS (MiB/s)"

_REPOSITORY_ROOT = Path(__file__).parent.parent
_HASHED_MIB = 512
_SMALL_FILES = 200
_DOWNLOADS = 3


def measure_limits(folder: Path, *, file_mib: int, wrk_s: int) -> dict[str, float]:
    """Each limit by its name. Makes `folder`."""
    folder.mkdir(parents=True)
    file = folder / "file"
    limits = {
        DURABLE_WRITE: _durable_write_mib_s(file, file_mib),
        DURABLE_SMALL: _durable_small_rate(folder),
        SHA256: _sha256_mib_s(),
    }
    with _bare(folder) as (url, _):
        limits[BARE_PLAIN] = request_rate(url, {}, seconds=wrk_s)
    with _bare(folder, file=file) as (url, target):
        limits[BARE_TLS] = request_rate(url, {}, seconds=wrk_s)
        limits[BARE_FILE] = _download_mib_s(target, file.stat().st_size)
    file.unlink()
    return limits


def _durable_write_mib_s(path: Path, size_mib: int) -> float:
    """The rate of `dd bs=1M conv=fdatasync`."""
    first = os.urandom(MIB)
    os.sync()
    began = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for piece in random_pieces(size_mib * MIB, first):
            file.write(piece)
        os.fdatasync(file.fileno())
    return size_mib / (time.perf_counter() - began)


def _durable_small_rate(folder: Path) -> float:
    """The minimum for a durable small file: written to a temporary name, synced, renamed, the folder synced."""
    content = os.urandom(SMALL_BYTES)
    os.sync()
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        began = time.perf_counter()
        for _ in range(_SMALL_FILES):
            new = folder / "new"
            with new.open("wb", buffering=0) as file:
                file.write(content)
                os.fdatasync(file.fileno())
            new.rename(folder / f"small-{secrets.token_hex(8)}")
            os.fsync(descriptor)
        return _SMALL_FILES / (time.perf_counter() - began)
    finally:
        os.close(descriptor)


def _sha256_mib_s() -> float:
    piece, hasher = os.urandom(MIB), hashlib.sha256()
    began = time.perf_counter()
    for _ in range(_HASHED_MIB):
        hasher.update(piece)
    return _HASHED_MIB / (time.perf_counter() - began)


def _download_mib_s(target: Target, size: int) -> float:
    """The file from the page cache over one connection: the median of a few runs."""
    times = [download_s(target, FILE_PATH, size, {}, streams=1) for _ in range(_DOWNLOADS + 1)]
    return size / MIB / statistics.median(times[1:])


@contextmanager
def _bare(folder: Path, *, file: Path | None = None) -> Iterator[tuple[str, Target]]:
    """The bare application on stock uvicorn: its address. With `file`, it serves that file over TLS."""
    port = free_port()
    uvicorn = [sys.executable, "-m", "uvicorn", "benchmarks.bare:app", "--host", "127.0.0.1", "--port", str(port)]
    command = [*uvicorn, "--loop", "asyncio", "--http", "httptools", "--ws", "none"]
    command += ["--lifespan", "off", "--no-access-log"]
    ca, scheme, env = folder / "ca.pem", "http", {}
    if file is not None:
        certificate, scheme, env = folder / "bare.pem", "https", {FILE_VARIABLE: str(file)}
        authority = trustme.CA()
        authority.cert_pem.write_to_path(ca)
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
        command += ["--ssl-certfile", str(certificate)]
    with running("bare", command, folder, cwd=_REPOSITORY_ROOT, env=env) as server:
        server.wait_until(lambda: _listens(port))
        yield f"{scheme}://127.0.0.1:{port}/", Target("bare", port, ca, (server,))


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
