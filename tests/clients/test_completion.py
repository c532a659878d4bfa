"""Real shells complete our commands by `authproxy completion`, and start nothing for it: the PATH is empty."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.binaries import binary
from tests.support.program import environment, run, succeed
from tests.support.server import AUTHPROXY

WITHIN_S = 20.0
NOWHERE = "/nowhere"
# What is typed before the key, and what then stands there.
COMPLETED = [
    ("authproxy po", "authproxy policy"),
    ("authproxy policy exp", "authproxy policy explain"),
    ("authproxy policy import z", "authproxy policy import zot"),
    ("authproxy policy who", "authproxy policy who-can"),
    ("authproxy key export --f", "authproxy key export --for"),
    ("authproxy key export --for ", "authproxy key export --for distribution"),
    ("authproxy doctor --version 2", "authproxy doctor --version 2.8"),
    ("authproxy completion f", "authproxy completion fish"),
    ("authproxy registry ping --wr", "authproxy registry ping --write"),
    ("authproxy config check some-con", "authproxy config check some-config.yml"),
    ("authproxy key list --config some-con", "authproxy key list --config some-config.yml"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where somebody types, with a file and the scripts."""
    folder = tmp_path_factory.mktemp("completion")
    (folder / "some-config.yml").touch()
    for shell in ("bash", "zsh", "fish"):
        script = succeed(AUTHPROXY, "completion", shell, env=environment(folder)).out
        (folder / f"script.{shell}").write_text(script)
    return folder


class Terminal:
    """A shell that somebody types into."""

    def __init__(self, master: int) -> None:
        self._master = master
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait_for(self, file: Path) -> str:
        """Read what is shown until a file holds a line: that line."""
        deadline = time.monotonic() + WITHIN_S
        while not (file.exists() and (line := file.read_text()).endswith("\n")):
            assert time.monotonic() < deadline, f"no line in {file.name} within {WITHIN_S} s:\n{self.shown}"
            if select.select([self._master], [], [], 0.02)[0]:
                self.shown += os.read(self._master, 65536).decode("utf-8", "replace")
        return line


@contextmanager
def terminal(folder: Path, *command: str) -> Iterator[Terminal]:
    """A shell at a terminal of its own, for the length of a block."""
    master, slave = pty.openpty()
    env = environment(folder, PATH=NOWHERE, TERM="dumb")
    process = subprocess.Popen(
        command, cwd=folder, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    try:
        yield Terminal(master)
    finally:
        process.kill()
        process.wait()
        os.close(master)


SHELLS = {
    "bash": ("bash", ["--norc", "--noprofile", "-i"], "source ./script.bash"),
    "zsh": ("zsh", ["-f", "-i"], "autoload -Uz compinit; compinit -u -D; source ./script.zsh"),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_tab_key_completes(folder: Path, shell: str) -> None:
    name, options, load = SHELLS[shell]
    with terminal(folder, binary(name), *options) as somebody:
        somebody.type(f"{load}; echo > ready.{shell}\n")
        somebody.wait_for(folder / f"ready.{shell}")
        for number, (typed, completed) in enumerate(COMPLETED):
            # Then from the end of the line, and from its beginning: what stands there goes to a file.
            somebody.type(f'{typed}\t\x05" > {shell}.{number}\x01echo "\n')
            assert somebody.wait_for(folder / f"{shell}.{number}").strip() == completed


def test_fish_completes(folder: Path) -> None:
    for typed, completed in COMPLETED:
        script = f"source script.fish; complete --do-complete {typed!r}"
        outcome = run(binary("fish"), "--no-config", "-c", script, env=environment(folder, PATH=NOWHERE), cwd=folder)
        offered = [line.partition("\t")[0] for line in outcome.out.splitlines()]
        assert offered == [completed.rpartition(" ")[2]], str(outcome)


def complete(folder: Path, *words: str) -> list[str]:
    """What bash would offer for the last word."""
    script = (
        'source ./script.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _authproxy; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    outcome = succeed(
        binary("bash"), "--norc", "-c", script, "bash", *words, env=environment(folder, PATH=NOWHERE), cwd=folder
    )
    return outcome.out.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["authproxy", "po"], ["policy"]),
        (["authproxy", "registry", ""], ["login", "logout", "ping"]),
        (["authproxy", "token", "revoke", "--"], ["--all", "--before", "--undo", "--json", "--config", "--help"]),
        (["authproxy", "key", "export", "--for", ""], ["distribution"]),
        (["authproxy", "user", "add", "--group", "po"], []),
        (["authproxy", "user", "add", "policy", "--rob"], ["--robot"]),
        (["authproxy", "nothing", "po"], ["policy"]),
    ],
    ids=" ".join,
)
def test_bash_is_offered_what_may_follow(folder: Path, words: list[str], offered: list[str]) -> None:
    assert complete(folder, *words) == offered
