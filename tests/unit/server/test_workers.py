"""The parent of the workers, with workers that only wait. Each test is a process of its own: it takes over signals."""

import subprocess
import sys

SETUP = """
import os, signal, sys, time
import structlog
import uvicorn
from authproxy.errors import StartError
from authproxy.server import workers

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

class Server:
    started = True
    def run(self, sockets):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        say("started")
        while True:
            time.sleep(60)

def say(text):
    os.write(1, f"{text}\\n".encode())
"""


def said_by(code: str) -> list[str]:
    """What the program says, line by line."""
    ran = subprocess.run([sys.executable, "-c", SETUP + code], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_a_worker_that_does_not_answer_is_replaced() -> None:
    lines = said_by("""
workers.ANSWERS_WITHIN_S = 1

import tempfile
stopped = os.path.join(tempfile.mkdtemp(), "stopped")

class Once(Server):
    def run(self, sockets):
        if not os.path.exists(stopped):
            open(stopped, "w").close()
            os.kill(os.getpid(), signal.SIGSTOP)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        say("serves")
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(60)

say(workers.Workers(Once, [], 1).run())
""")
    assert lines == ["serves", "True"]


def test_a_worker_that_cannot_start_ends_the_parent() -> None:
    lines = said_by("""
class Broken(Server):
    def run(self, sockets):
        sys.exit(uvicorn.config.STARTUP_FAILURE)

say(workers.Workers(Broken, [], 3).run())
""")
    assert lines == ["False"]


def test_one_that_never_served_is_replaced_after_a_pause() -> None:
    lines = said_by("""
workers.RETRY_S = 0.5
begin = time.monotonic()

class Unready(Server):
    started = False
    def run(self, sockets):
        say("tried")
        if time.monotonic() - begin > 1.2:
            os.kill(os.getppid(), signal.SIGTERM)
        raise StartError("a file is wrong")

say(workers.Workers(Unready, [], 1).run())
""")
    assert lines[-1] == "True"
    assert 2 <= lines.count("tried") <= 4


def test_a_system_without_room_for_a_worker_is_asked_again() -> None:
    lines = said_by("""
workers.RETRY_S = 0.1
fork, tries = os.fork, []

def crowded():
    tries.append(1)
    if len(tries) < 3:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return fork()

os.fork = crowded

class Quick(Server):
    def run(self, sockets):
        os.kill(os.getppid(), signal.SIGTERM)
        super().run(sockets)

say(workers.Workers(Quick, [], 1).run())
""")
    assert lines[-1] == "True"


def test_old_workers_go_on_where_a_new_one_does_not_serve() -> None:
    lines = said_by("""
parent = os.getpid()

class Picky(Server):
    def run(self, sockets):
        if os.path.exists(mark):
            say("refuses")
            os.kill(parent, signal.SIGTERM)
            sys.exit(1)
        open(mark, "w").close()
        os.kill(parent, signal.SIGHUP)
        super().run(sockets)

import tempfile
mark = os.path.join(tempfile.mkdtemp(), "mark")
say(workers.Workers(Picky, [], 1).run())
""")
    assert lines == ["started", "refuses", "True"]
