"""A program that has imported `authproxy` already and makes servers of itself: each is there in a tenth of a second.

It takes orders on standard input, one JSON object a line, and answers each with the process id of the new server:

    {"arguments": ["serve", …], "folder": …, "variables": {…}, "log": …}

A server is a fork that becomes the command: folder, variables, standard output and all. At the end of its input it
waits for the servers, which whoever ordered them has told to stop, and says how each ended: {pid: exit code}.
"""

import json
import os
import sys
import traceback
from typing import Any, NoReturn

# Imported before the first fork: this is what a start takes its time for.
from authproxy import app, cli
from authproxy import quickstart as embedded
from authproxy.config import load
from authproxy.server import processes as server

PRELOADED = (app, cli, embedded, load, server)


def raise_servers() -> None:
    """Follow orders until there are no more."""
    started: list[int] = []
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            become(json.loads(line))
        started.append(pid)
        say(pid)
    say({pid: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in started})


def become(order: dict[str, Any]) -> NoReturn:
    """Be the command, as the shell would have started it."""
    code = 1
    try:
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["variables"])
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number in (1, 2):
            os.dup2(log, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv = ["authproxy", *order["arguments"]]
        cli.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - a fork must not go on as the nursery, whatever went wrong
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def say(answer: object) -> None:
    """One line to whoever gives the orders."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise_servers()
