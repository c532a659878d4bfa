"""Our command started quickly: by a program that has imported it already (`nursery.py`), one for each test process.

A start takes more than a second, nearly all of it for imports, and the tests start the command some thousand times.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any

# The command of the environment that runs the tests: in `make test` it is the built wheel's.
AUTHPROXY = str(Path(sys.executable).parent / "authproxy")
# What the interpreter and the loader read at their start: with one of these a process has to start as such.
READ_AT_START = ("PYTHON", "LD_", "LC_", "LANG")
MAX_ANSWER_BYTES = 4096
# Where Debian keeps programs; /usr/local is what a machine has by chance.
DEBIAN_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Process:
    """A process of the command: that of `subprocess.Popen` which the tests use."""

    def __init__(self, nursery: "_Nursery", argv: Sequence[str], pid: int) -> None:
        self.args = argv
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery
        self._descriptor = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        if self.returncode is None and self._has_ended(0):
            self._collect()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises TimeoutExpired."""
        if self.returncode is None:
            if not self._has_ended(timeout):
                raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
            self._collect()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._descriptor, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def _has_ended(self, timeout_s: float | None) -> bool:
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLIN)
        return bool(waiting.poll(None if timeout_s is None else timeout_s * 1000))

    def _collect(self) -> None:
        self.returncode = int(self._nursery.ask({"ended": self.pid})["code"])
        os.close(self._descriptor)


def start(
    argv: Sequence[str],
    *,
    folder: Path,
    env: Mapping[str, str],
    stdin: int | IO[Any],
    stdout: int | IO[Any],
    stderr: int | IO[Any],
    own_group: bool = False,
) -> Process:
    """Start `AUTHPROXY …` in a folder with these variables and standard descriptors."""
    assert is_ours(argv, env), argv
    order = {"argv": list(argv), "folder": str(folder), "variables": dict(env), "own_group": own_group}
    descriptors = [each if isinstance(each, int) else each.fileno() for each in (stdin, stdout, stderr)]
    nursery = _nursery()
    return Process(nursery, argv, int(nursery.ask(order, descriptors)["pid"]))


def is_ours(argv: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether this is our command, in an environment that a warm start does justice to."""
    return argv[0] == AUTHPROXY and not any(
        name.startswith(READ_AT_START) and (name, value) != ("LC_ALL", "C.UTF-8") for name, value in env.items()
    )


def run(
    argv: Sequence[str], *, env: Mapping[str, str], stdin: str, folder: Path, timeout_s: float
) -> tuple[int, str, str]:
    """Run the command to its end: its exit code, standard output and standard error.

    Raises TimeoutExpired, after killing it, where that takes too long.
    """
    with tempfile.TemporaryFile() as said_in, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        said_in.write(stdin.encode())
        said_in.seek(0)
        process = start(argv, folder=folder, env=env, stdin=said_in, stdout=out, stderr=err)
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        return code, _text(out), _text(err)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    with TextIOWrapper(file, encoding="utf-8") as reader:
        return reader.read()


class _Nursery:
    """The program that becomes the command."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._folder = tempfile.TemporaryDirectory(prefix="authproxy-nursery-")
        self._lock = threading.Lock()
        with theirs:
            # -P: it shall find the installed package, which is the built wheel in `make test`, not the tree beside it.
            # A group of its own: Ctrl-C is for the tests, which end what they have started.
            self._program = subprocess.Popen(
                [sys.executable, "-P", str(Path(__file__).with_name("nursery.py"))],
                env={"HOME": self._folder.name, "PATH": DEBIAN_PATH, "LC_ALL": "C.UTF-8", "TMPDIR": self._folder.name},
                cwd=self._folder.name,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                process_group=0,
            )

    def ask(self, order: Mapping[str, Any], descriptors: Sequence[int] = ()) -> Any:
        """Send one order with its descriptors, and return the answer."""
        with self._lock:
            line = json.dumps(order).encode()
            sent = socket.send_fds(self._orders, [line], descriptors)
            assert sent == len(line)
            answer = self._orders.recv(MAX_ANSWER_BYTES)
        assert answer, "the nursery has ended"
        return json.loads(answer)

    def close(self) -> None:
        """End it; processes that it has started go on."""
        self._orders.close()
        self._program.wait()
        self._folder.cleanup()


@cache
def _nursery() -> _Nursery:
    made = _Nursery()
    atexit.register(made.close)
    return made
