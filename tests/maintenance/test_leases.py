"""A job's holder that is stopped: another process takes over, and the first ends its work when it wakes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# A process that runs a job over a folder: it appends a line for each step of its work, and one for its end.
HOLDER = """
import asyncio, sys
from pathlib import Path
from authproxy.maintenance.jobs import Job, JobHeld, Jobs
from authproxy.maintenance.lease import LeaseLost
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.records import Records

root, log, steps = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

def say(word):
    with log.open("a") as file:
        file.write(word + "\\n")

async def work():
    for _ in range(steps):
        say("step")
        await asyncio.sleep(0.05)
    return {"steps": steps}

async def main():
    driver = FilesystemDriver(root, threads=2)
    try:
        await Jobs(Records(driver), term_s=1.0).run_now(Job("gc", work, 3600), waiting=lambda text: say("waiting"))
        say("done")
    except LeaseLost:
        say("lost")
    except JobHeld:
        say("held")
    finally:
        await driver.close()

asyncio.run(main())
"""


class Holder:
    def __init__(self, folder: Path, name: str, steps: int) -> None:
        self.log = folder / f"{name}.log"
        self.log.touch()
        command = (sys.executable, "-c", HOLDER, str(folder / "store"), str(self.log), str(steps))
        self.process = subprocess.Popen(command)

    @property
    def said(self) -> list[str]:
        return self.log.read_text().split()

    def wait_for(self, word: str, within_s: float = 30) -> None:
        deadline = time.monotonic() + within_s
        while word not in self.said:
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)


@contextmanager
def holding(folder: Path, name: str, steps: int) -> Iterator[Holder]:
    holder = Holder(folder, name, steps)
    try:
        yield holder
    finally:
        if holder.process.poll() is None:
            holder.process.kill()
        holder.process.wait()


@pytest.fixture
def last(tmp_path: Path) -> Path:
    return tmp_path / "store" / "authproxy" / "v1" / "jobs" / "gc" / "last"


def test_a_stopped_holder_is_replaced_and_ends_when_it_wakes(tmp_path: Path, last: Path) -> None:
    with holding(tmp_path, "first", 10_000) as first:
        first.wait_for("step")
        os.kill(first.process.pid, signal.SIGSTOP)
        with holding(tmp_path, "second", 60) as second:
            second.wait_for("step")  # a second after it has seen no renewal
            os.kill(first.process.pid, signal.SIGCONT)
            first.wait_for("lost")
            second.wait_for("done")
            assert first.process.wait(30) == second.process.wait(30) == 0
            assert second.said[0] == "waiting"
    written = json.loads(last.read_text())
    assert (written["result"], written["report"]) == ("done", {"steps": 60})


def test_a_killed_holder_is_replaced(tmp_path: Path, last: Path) -> None:
    with holding(tmp_path, "first", 10_000) as first:
        first.wait_for("step")
        first.process.kill()
        with holding(tmp_path, "second", 1) as second:
            second.wait_for("done")
    assert json.loads(last.read_text())["result"] == "done"


def test_a_holder_that_lives_is_left_alone(tmp_path: Path) -> None:
    with holding(tmp_path, "first", 10_000) as first:
        first.wait_for("step")
        with holding(tmp_path, "second", 1) as second:
            second.wait_for("held")
            assert "step" not in second.said
        assert "lost" not in first.said
