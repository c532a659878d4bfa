"""What authproxy weighs: the time of a start and of small commands, and the memory of an idle server.

With a checkout of another commit, both sides take turns. Bytecode is cached in a folder of the run, so that no figure
includes a compilation; the first turn of each side fills it, and is not counted.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.content import MIB
from benchmarks.edge import cpu_s
from benchmarks.errors import BenchmarkError, WrongAnswer
from benchmarks.footprint import resident_bytes, share_bytes
from benchmarks.process import Server, free_port, running
from benchmarks.tables import NOTHING, figure
from benchmarks.target import answers

WORKERS = 4
_SETTLED_S = 3.0
_POLL_S = 0.005
_READY_WITHIN_S = 60.0

# The small commands, each run on a server that is healthy.
COMMANDS: Mapping[str, Sequence[str]] = {
    "health": ("health", "--embedded"),
    "--help": ("--help",),
    "version": ("version",),
}
# In a process of its own, which is smaller than any command: a child's peak includes its parent's (getrusage(2)).
_METER = """
import os, sys, time
began = time.perf_counter()
pid = os.fork()
if pid == 0:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(slots=True)
class CommandCost:
    """A command that runs to its end, in each round."""

    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    peak_mib: float = 0.0


@dataclass(slots=True)
class Weight:
    """One side. Starts are from the start of the process to the first response over TLS, in seconds."""

    name: str
    starts_s: list[float] = field(default_factory=list)
    starts_cpu_s: list[float] = field(default_factory=list)
    starts_of_many_s: list[float] = field(default_factory=list)
    commands: dict[str, CommandCost] = field(default_factory=lambda: {name: CommandCost() for name in COMMANDS})
    idle_mib: float = 0.0  # RSS of one worker
    idle_share_mib: float = 0.0  # PSS: each shared page divided by the number of its processes
    many_share_mib: float = 0.0  # of `WORKERS` workers and their parent together

    @property
    def each_more_mib(self) -> float:
        """The memory of each further worker."""
        return (self.many_share_mib - self.idle_share_mib) / (WORKERS - 1)


def measure_weight(folder: Path, rounds: int, before: Path | None) -> list[Weight]:
    """Weigh us, and the checkout if there is one. Makes `folder`. Raises BenchmarkError."""
    sides = [(Weight("us"), None), *([(Weight(f"us in {before}"), before)] if before is not None else [])]
    for number in range(rounds + 1):
        for side, checkout in sides if number % 2 else sides[::-1]:
            place = folder / side.name.replace("/", "_")
            place.mkdir(parents=True, exist_ok=True)
            # The first turn makes users and certificates too.
            _weigh(Weight("warming up") if number == 0 else side, place, checkout)
    return [side for side, _ in sides]


COLUMNS = ("weight", "unit")


def rows(sides: Sequence[Weight]) -> list[list[str]]:
    """The rows of the table: a column for each side."""
    median = statistics.median
    lines = [
        ("start, 1 worker", "s", [median(side.starts_s) for side in sides]),
        ("start, 1 worker, CPU time", "s", [median(side.starts_cpu_s) for side in sides]),
        (f"start, {WORKERS} workers", "s", [median(side.starts_of_many_s) for side in sides]),
    ]
    for name in COMMANDS:
        costs = [side.commands[name] for side in sides]
        lines += [
            (f"authproxy {name}", "ms", [median(cost.seconds) * 1000 for cost in costs]),
            (f"authproxy {name}, CPU time", "ms", [median(cost.cpu_s) * 1000 for cost in costs]),
            (f"authproxy {name}, peak", "MiB", [cost.peak_mib for cost in costs]),
        ]
    lines += [
        ("idle, 1 worker, RSS", "MiB", [side.idle_mib for side in sides]),
        (f"idle, {WORKERS} workers and their parent, PSS", "MiB", [side.many_share_mib for side in sides]),
        ("each further worker, PSS", "MiB", [side.each_more_mib for side in sides]),
    ]
    return [[what, unit, *(figure(value) if value else NOTHING for value in values)] for what, unit, values in lines]


def as_entry(side: Weight) -> dict[str, Any]:
    """The same for programs, with every round."""
    return asdict(side) | {"each_more_mib": side.each_more_mib}


def _weigh(side: Weight, folder: Path, checkout: Path | None) -> None:
    """One turn: a server with one worker, the commands beside it, and a server with several."""
    env = _environment(folder, checkout)
    with _started(folder, env, 1) as (server, seconds):
        side.starts_s.append(seconds)
        side.starts_cpu_s.append(cpu_s([Path(f"/proc/{server.pid}/stat").read_text("utf-8")]))
        time.sleep(_SETTLED_S)
        side.idle_mib = max(side.idle_mib, resident_bytes([server.pid]) / MIB)
        side.idle_share_mib = max(side.idle_share_mib, share_bytes([server.pid]) / MIB)
        for name, arguments in COMMANDS.items():
            _run(side.commands[name], arguments, folder, env)
    with _started(folder, env, WORKERS) as (server, seconds):
        side.starts_of_many_s.append(seconds)
        time.sleep(2 * _SETTLED_S)  # the other workers start too
        side.many_share_mib = max(side.many_share_mib, share_bytes([server.pid]) / MIB)


def _environment(folder: Path, checkout: Path | None) -> dict[str, str]:
    root = checkout or Path(__file__).parent.parent
    return {
        "PYTHONPATH": str(root.resolve()),
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(folder.resolve() / "bytecode"),
        "REGISTRY_HTTP_ADDR": f"127.0.0.1:{free_port()}",
        "AUTHPROXY_ADMIN_PASSWORD": "a password for the scales",
    }


@contextmanager
def _started(folder: Path, env: Mapping[str, str], workers: int) -> Iterator[tuple[Server, float]]:
    """A server, and the seconds until its first response."""
    port = int(env["REGISTRY_HTTP_ADDR"].rpartition(":")[2])
    command = [sys.executable, "-m", "authproxy", "serve", "--embedded"]
    began = time.perf_counter()
    with running("weighed", command, folder, env={**env, "REGISTRY_HTTP_WORKERS": str(workers)}) as server:
        is_ready = answers(port, folder / "certs" / "ca.pem", status=401)
        while not is_ready():
            if server.process.poll() is not None or time.perf_counter() - began > _READY_WITHIN_S:
                raise BenchmarkError("the server to weigh did not start")
            time.sleep(_POLL_S)
        yield server, time.perf_counter() - began


def _run(cost: CommandCost, arguments: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
    command = [sys.executable, "-I", "-S", "-c", _METER, sys.executable, "-m", "authproxy", *arguments]
    ran = subprocess.run(
        command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=60
    )
    if ran.returncode:
        raise WrongAnswer(f"authproxy {' '.join(arguments)} ended with {ran.returncode}: {ran.stderr}")
    seconds, cpu_s, peak_mib = map(float, ran.stdout.split())
    cost.seconds.append(seconds)
    cost.cpu_s.append(cpu_s)
    cost.peak_mib = max(cost.peak_mib, peak_mib)
