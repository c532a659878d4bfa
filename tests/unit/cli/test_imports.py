"""What a start loads. A command imports what it needs when it runs: so `--help` and completion are quick."""

import subprocess
import sys

import pytest

# The large ones, and those that only some commands need.
HEAVY = (
    "asyncio",
    "cryptography",
    "email",
    "fastapi",
    "httpx",
    "importlib.metadata",
    "logging",
    "pydantic",
    "rich",
    "socket",
    "ssl",
    "structlog",
    "tempfile",
    "uvicorn",
    "yaml",
)


def loaded_by(module: str, looked_for: tuple[str, ...]) -> list[str]:
    """Which of the modules an import loads, in an interpreter of its own."""
    code = f"import sys, {module}; print(*(name for name in {looked_for!r} if name in sys.modules))"
    ran = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return ran.stdout.split()


def test_the_command_line_loads_only_itself() -> None:
    assert loaded_by("authproxy.cli", HEAVY) == []


@pytest.mark.parametrize(
    "unused", ["httpx", "typer", "authproxy.cli", "authproxy.images", "authproxy.doctor", "authproxy.importing"]
)
def test_a_server_does_not_load_what_only_commands_and_proxies_use(unused: str) -> None:
    assert loaded_by("authproxy.app", (unused,)) == []
