"""The load generators: curl for streams of bytes, wrk for many small requests."""

import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from benchmarks.errors import BenchmarkError, WrongAnswer
from benchmarks.programs import program
from benchmarks.target import Target

WRK_THREADS = 1
WRK_CONNECTIONS = 16
_TIMEOUT_S = 300.0

# What wrk prints: "Requests/sec:   1234.56", and the two lines of failures, only if there were any.
_RATE = re.compile(r"^Requests/sec:\s+([0-9.]+)$", re.MULTILINE)
_FAILURES = re.compile(r"^\s*(?:Non-2xx or 3xx responses|Socket errors): .*$", re.MULTILINE)


def upload(target: Target, location: str, content: Path, headers: Mapping[str, str]) -> str:
    """PATCH a file to an upload session: the `Location` of the next request of the session.

    `Expect` is left out: registry clients never send it.
    """
    typed = {**headers, "Content-Type": "application/octet-stream", "Expect": ""}
    flags = ["--request", "PATCH", "--upload-file", str(content)]
    with _Started(_curl(target, location, typed, [*flags, "--write-out", "%{http_code} %header{location}"])) as curl:
        status, _, moved = curl.output().partition(" ")
    if status != "202":
        raise WrongAnswer(f"PATCH {location} answered {status} instead of 202")
    return moved


def download_s(target: Target, path: str, size: int, headers: Mapping[str, str], *, streams: int) -> float:
    """GET `size` bytes over several connections at once, a curl for each: the seconds until the last one ends."""
    command = _curl(target, path, headers, ["--write-out", "%{http_code} %{size_download}"])
    with ExitStack() as stack:
        began = time.perf_counter()
        clients = [stack.enter_context(_Started(command)) for _ in range(streams)]
        said = [client.output() for client in clients]
        took = time.perf_counter() - began
    for line in said:
        if line != f"200 {size}":
            raise WrongAnswer(f"GET {path} answered with status and bytes {line}, not 200 {size}")
    return took


def request_rate(url: str, headers: Mapping[str, str], *, seconds: int) -> float:
    """GET `url` with wrk repeatedly: answers per second. Raises WrongAnswer if any is not 2xx or 3xx."""
    size = ["-t", str(WRK_THREADS), "-c", str(WRK_CONNECTIONS), "-d", f"{seconds}s"]
    command = [program("wrk"), *size, *_header_flags("-H", headers), url]
    with _Started(command) as wrk:
        return read_rate(wrk.output())


def read_rate(output: str) -> float:
    """The answers per second in wrk's output. Raises WrongAnswer if it reports failures or no rate."""
    if failures := _FAILURES.findall(output):
        raise WrongAnswer(f"wrk: {' '.join(line.strip() for line in failures)}")
    rate = _RATE.search(output)
    if rate is None:
        raise BenchmarkError(f"wrk printed no rate: {output[-500:]}")
    return float(rate[1])


class _Started:
    """A client program that is stopped at the end of its block."""

    def __init__(self, command: Sequence[str]) -> None:
        self._name = Path(command[0]).name
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def output(self) -> str:
        """Wait for its end, and return its output. Raises BenchmarkError if it failed."""
        output, errors = self._process.communicate(timeout=_TIMEOUT_S)
        if self._process.returncode:
            raise BenchmarkError(f"{self._name} ended with code {self._process.returncode}: {errors.strip()}")
        return output


def _curl(target: Target, path: str, headers: Mapping[str, str], flags: Sequence[str]) -> list[str]:
    """The command for one request whose answer is dropped."""
    fixed = [program("curl"), "--silent", "--show-error", "--cacert", str(target.ca), "--output", "/dev/null"]
    return [*fixed, *flags, *_header_flags("--header", headers), f"{target.url}{path}"]


def _header_flags(flag: str, headers: Mapping[str, str]) -> list[str]:
    """Headers as arguments; an empty value removes a header that curl sends by default."""
    return [word for name, value in headers.items() for word in (flag, f"{name}: {value}")]
