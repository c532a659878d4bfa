"""No test and no benchmark leans on a program that the machine has by chance."""

import ast
import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.binaries import DPKG_QUERY, ROOT, ProgramNotListed, binary, is_allowed, listed_packages

FILES = sorted(file for folder in ("tests", "benchmarks") for file in (ROOT / folder).rglob("*.py"))

# Names of functions that take the program first, as a list or as the first of several arguments.
STARTERS = {"run", "Popen", "call", "check_call", "check_output", "create_subprocess_exec", "execv", "execve", "spawnv"}


def literal_programs(source: str) -> Iterator[str]:
    """Programs that a call starts by a literal name, and commands that a shell would take apart."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("system", "popen", "create_subprocess_shell"):
            yield f"line {node.lineno}: {name}(…)"
        if any(word.arg == "shell" and not is_false(word.value) for word in node.keywords):
            yield f"line {node.lineno}: shell=…"
        if (
            name in STARTERS
            and node.args
            and isinstance(program := first_of(node.args[0]), ast.Constant | ast.JoinedStr)
        ):
            yield f"line {node.lineno}: {ast.unparse(program)}"


def first_of(argument: ast.expr) -> ast.expr | None:
    """The program in an argument that is a list of words, or the argument itself."""
    if isinstance(argument, ast.List | ast.Tuple):
        return argument.elts[0] if argument.elts else None
    return argument


def is_false(value: ast.expr) -> bool:
    """Whether this is the literal False."""
    return isinstance(value, ast.Constant) and value.value is False


@pytest.mark.parametrize("package", listed_packages())
def test_listed_package_is_installed(package: str) -> None:
    shown = subprocess.run(
        [DPKG_QUERY, "--show", "--showformat", "${db:Status-Status}", package],
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.stdout == "installed", f"run `make packages` as root: {shown.stderr}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_programs_are_started_by_the_path_that_a_listed_package_gives(file: Path) -> None:
    assert list(literal_programs(file.read_text())) == [], "start it as binary(…) from tests/support/binaries.py"


@pytest.mark.parametrize(
    "source",
    [
        "subprocess.run(['docker', 'pull'])",
        "Popen(('/usr/bin/docker',))",
        "check_output('docker')",
        "await asyncio.create_subprocess_exec('docker', 'pull')",
        "subprocess.run([f'{folder}/docker'])",
        "subprocess.run(command, shell=True)",
        "os.system(command)",
    ],
)
def test_literal_program_is_found(source: str) -> None:
    assert len(list(literal_programs(source))) == 1


@pytest.mark.parametrize(
    "source",
    ["subprocess.run([binary('docker'), 'pull'])", "subprocess.run([sys.executable, '-c', ''])", "run(*argv)"],
)
def test_listed_program_is_no_finding(source: str) -> None:
    assert list(literal_programs(source)) == []


@pytest.mark.parametrize("name", ["docker", "dockerd", "skopeo", "podman", "docker-registry", "curl", "jq", "busybox"])
def test_program_is_found_where_debian_puts_it(name: str) -> None:
    assert Path(binary(name)).parent in (Path("/usr/bin"), Path("/usr/sbin"))


def test_program_of_no_listed_package_is_an_error_that_names_the_fix() -> None:
    with pytest.raises(ProgramNotListed, match=r"'no-such-program'.*make packages.*packages\.txt"):
        binary("no-such-program")


@pytest.mark.parametrize("program", ["docker", "/usr/local/bin/docker", "/bin/sh", "./docker"])
def test_program_from_elsewhere_is_not_allowed(program: str) -> None:
    assert not is_allowed(program)


@pytest.mark.parametrize(
    "start",
    [
        lambda program: subprocess.Popen([program]),
        lambda program: os.posix_spawn(program, [program], {}),
        os.system,
        lambda program: asyncio.run(asyncio.create_subprocess_exec(program)),
    ],
    ids=["Popen", "posix_spawn", "system", "asyncio"],
)
def test_unlisted_program_does_not_start_however_it_is_tried(start: Callable[[str], object]) -> None:
    with pytest.raises(ProgramNotListed, match=r"packages\.txt"):
        start("/bin/sh")
