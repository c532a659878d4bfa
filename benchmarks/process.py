"""Servers that a run starts and always stops, however it ends."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.footprint import process_tree

_READY_WITHIN_S = 30.0
_LOOK_EVERY_S = 0.05
_DRAIN_S = 15.0
_LAST_LINES, _LINE_LENGTH = 8, 300
# Settings of the calling shell must not reach a measured server.
_OURS = ("REGISTRY_", "AUTHPROXY_")


@dataclass(frozen=True, slots=True)
class Server:
    """A started program: its process and the file of its output."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """The id of the started process."""
        return self.process.pid

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Poll until the server is ready. Raises BenchmarkError if it ends or takes too long."""
        deadline = time.monotonic() + _READY_WITHIN_S
        while not is_ready():
            if self.process.poll() is not None:
                raise BenchmarkError(f"{self.name} ended with code {self.process.returncode} before it was ready")
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{self.name} was not ready within {_READY_WITHIN_S:.0f} s")
            time.sleep(_LOOK_EVERY_S)

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log.read_text("utf-8", "replace").strip().splitlines()
        return "\n".join([f"the last lines of {self.name}:", *(line[:_LINE_LENGTH] for line in lines[-_LAST_LINES:])])


@contextmanager
def running(
    name: str, command: Sequence[str], folder: Path, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server as long as the block lasts. `folder` gets its log, and is its working directory unless `cwd` is given.

    It runs in a session of its own, so Ctrl-C reaches the run alone, which then ends the server by its process id.
    A BenchmarkError that leaves the block takes the end of the log with it.
    """
    clean = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd or folder,
            env={**clean, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(name, process, log)
    try:
        yield server
    except BenchmarkError as error:
        error.add_note(server.last_words())
        raise
    finally:
        _stop(process)


def free_port() -> int:
    """A free port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to drain, then kill what is left of its process tree, by process id."""
    if process.poll() is not None:
        return
    tree = list(process_tree(process.pid))
    process.terminate()
    try:
        process.wait(_DRAIN_S)
    except subprocess.TimeoutExpired:
        for pid in tree:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
