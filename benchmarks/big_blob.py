"""A blob of 2 GiB through the server: how much memory that takes beyond what the idle server uses.

The bytes are generated while they are sent and dropped as they are received, so only the server's disk holds them. The
blob passes once through the core and, if docker-registry is installed, once through the proxy in front of it.
"""

import hashlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from authproxy.digest import Digest
from benchmarks.content import MIB, random_pieces
from benchmarks.errors import WrongAnswer
from benchmarks.footprint import forget_peak, peak_bytes, resident_bytes
from benchmarks.ours import start_ours
from benchmarks.peer import start_registry
from benchmarks.programs import find_program
from benchmarks.target import REPOSITORY, Target

LIMIT_MIB = 150


@dataclass(frozen=True, slots=True)
class Passage:
    """One push and pull of the blob: through which backend, how fast, and the server's memory in MiB."""

    through: str
    size_mib: int
    idle_mib: float
    push_peak_mib: float
    pull_peak_mib: float
    push_mib_s: float
    pull_mib_s: float

    @property
    def over_idle_mib(self) -> float:
        """The larger of the two peaks, less the memory of the idle server."""
        return max(self.push_peak_mib, self.pull_peak_mib) - self.idle_mib


def pass_big_blob(folder: Path, size_mib: int) -> list[Passage]:
    """Through the core, and through the proxy if docker-registry is installed. Makes `folder`."""
    with start_ours(folder / "core") as target:
        passages = [pass_blob(target, "core", size_mib)]
    shutil.rmtree(folder / "core")
    if find_program("docker-registry") is None:
        print("docker-registry is not installed: nothing was passed through the proxy")
        return passages
    with (
        start_registry(folder / "upstream") as (_, port),
        start_ours(folder / "proxy", upstream=f"http://127.0.0.1:{port}") as target,
    ):
        passages.append(pass_blob(target, "proxy", size_mib))
    shutil.rmtree(folder)
    return passages


def pass_blob(target: Target, through: str, size_mib: int) -> Passage:
    """Push and pull one blob. Raises WrongAnswer if the pull differs from the push."""
    size, first = size_mib * MIB, os.urandom(MIB)
    digest = _digest(size, first)
    with target.connect(target.authorization()) as client:
        client.request("GET", "/v2/", expect=200)  # so the idle memory includes the connection and its TLS
        idle_mib = resident_bytes(target.pids) / MIB
        location = client.open_upload(REPOSITORY)
        began = time.perf_counter()
        forget_peak(target.pids)
        location = client.append(location, random_pieces(size, first), size)
        client.close_upload(location, digest)
        push_s, push_peak_mib = time.perf_counter() - began, peak_bytes(target.pids) / MIB
    with target.connect(target.authorization()) as client:
        began = time.perf_counter()
        forget_peak(target.pids)
        came = client.download(f"/v2/{REPOSITORY}/blobs/{digest}")
        pull_s, pull_peak_mib = time.perf_counter() - began, peak_bytes(target.pids) / MIB
    if came != (size, digest):
        raise WrongAnswer(f"{size} bytes with {digest} were pushed through the {through}, {came} came back")
    return Passage(through, size_mib, idle_mib, push_peak_mib, pull_peak_mib, size_mib / push_s, size_mib / pull_s)


def _digest(size: int, first: bytes) -> Digest:
    hasher = hashlib.sha256()
    for piece in random_pieces(size, first):
        hasher.update(piece)
    return Digest("sha256", hasher.hexdigest())
