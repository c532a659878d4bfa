"""The machine and the versions of a run: without these a figure is an anecdote."""

import importlib.metadata
import os
import platform
import re
import ssl
import subprocess
from pathlib import Path

from benchmarks.programs import find_program

_ROOT = Path(__file__).parent.parent
_PACKAGES = ("authproxy", "uvicorn", "httptools", "httpx", "fastapi", "cryptography", "pyjwt", "bcrypt")
# The argument with which each program prints its version.
_VERSION_FLAGS = {
    "curl": "--version",
    "wrk": "-v",
    "nginx": "-v",
    "docker-registry": "--version",
    "skopeo": "--version",
}


def describe_machine() -> dict[str, str]:
    """Processor, cores, memory, kernel, and how busy it was before the run."""
    return {
        "processor": _field(Path("/proc/cpuinfo"), "model name"),
        "cores": str(os.cpu_count()),
        "memory": _field(Path("/proc/meminfo"), "MemTotal"),
        "kernel": platform.release(),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def describe_versions() -> dict[str, str]:
    """The commit, Python, OpenSSL, the libraries on the hot paths, and the programs that take part."""
    versions = {
        "commit": _commit(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        **{package: importlib.metadata.version(package) for package in _PACKAGES},
    }
    for name, flag in _VERSION_FLAGS.items():
        if (path := find_program(name)) is not None:
            versions[name] = _version(_first_line([path, flag]))
    return versions


def _commit() -> str:
    """The commit that was measured, and whether files differ from it."""
    commit = _first_line(["git", "-C", str(_ROOT), "rev-parse", "--short=12", "HEAD"])
    changed = _first_line(["git", "-C", str(_ROOT), "status", "--porcelain", "--", "authproxy", "pyproject.toml"])
    return f"{commit}, changed since" if changed else commit


def _first_line(command: list[str]) -> str:
    """The first line that a program prints, to either stream; its exit code is ignored (wrk's is 1)."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return next(iter((done.stdout + done.stderr).strip().splitlines()), "")


def _version(line: str) -> str:
    """The first text that looks like a version, or the whole line."""
    found = re.search(r"\d+\.\d+[\w.+-]*", line)
    return found[0] if found else line


def _field(path: Path, name: str) -> str:
    for line in path.read_text("utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
