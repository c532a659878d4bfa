"""What every command about registries does: a line for each result and fault, the rest goes on, an exit code."""

import io
import json
import select
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import typer

FAILED = 1
INTERRUPTED = 128 + signal.SIGINT
STOPPED = 128 + signal.SIGTERM

# How often a question to the terminal looks for a signal.
LOOKS_EVERY_S = 0.2


class Report:
    """Results on standard output, one a line, as text or as JSON; faults on standard error. Counts the faults.

    With JSON a fault is an object on standard output too, so that a script sees each thing once. `err`: standard output
    belongs to something else, and results go beside it.
    """

    def __init__(self, *, as_json: bool, err: bool = False) -> None:
        self.as_json = as_json
        self.faults = 0
        self._err = err

    def say(self, text: str, **fields: Any) -> None:
        """One result."""
        self._write(json.dumps(fields, default=str) if self.as_json else printable(text))

    def fail(self, what: str, why: object) -> None:
        """One fault. The rest goes on."""
        self.faults += 1
        sentence = printable(str(why))
        if self.as_json:
            self._write(json.dumps({"name": what, "outcome": "failed", "why": sentence}))
        words = sentence if sentence.startswith(what) else f"{printable(what)}: {sentence}"
        sys.stderr.write("".join(f"authproxy: {line}\n" for line in words.splitlines()))

    def _write(self, line: str) -> None:
        # Not by typer, which writes to the file below sys.stdout: progress bars are there, lines go above them.
        out = sys.stderr if self._err else sys.stdout
        out.write(f"{line}\n")
        out.flush()


def printable(text: str) -> str:
    """What a registry or an image says, safe on a terminal: control characters escaped."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


def remote_faults() -> tuple[type[Exception], ...]:
    """What ends one image and not the rest."""
    from authproxy.images.archive.errors import ArchiveError
    from authproxy.images.daemon import DaemonError
    from authproxy.images.endpoints import Interrupted, Missing
    from authproxy.images.transfer import TransferError
    from authproxy.registry_client.errors import RegistryClientError

    return ArchiveError, DaemonError, Interrupted, Missing, TransferError, RegistryClientError


def run(work: Coroutine[Any, Any, None], report: Report, what: str) -> None:
    """Run a command to its end. Exit code 1 where anything failed; `what` names a fault that ended all of it.

    SIGTERM ends it as Ctrl-C does, so that nothing half done is left behind: 143, and 130 for Ctrl-C.
    """
    import asyncio

    try:
        asyncio.run(_until_stopped(work))
    except remote_faults() as error:
        report.fail(what, error)
    except asyncio.CancelledError:
        raise typer.Exit(STOPPED) from None
    if report.faults:
        raise typer.Exit(FAILED)


def ask(question: str) -> bool:
    """Ask on the terminal, whatever standard output is. Ctrl-C ends the command."""
    # asyncio's own handler waits for the event loop, and so for the answer.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.stderr.write(question)
        sys.stderr.flush()
        _wait_for_line()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGINT, before)


def _wait_for_line() -> None:
    """Wait until a line is typed. A signal that comes just before a read is noticed at the end of that read only."""
    with suppress(io.UnsupportedOperation):  # a file in memory
        while not select.select([sys.stdin], [], [], LOOKS_EVERY_S)[0]:
            pass


async def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    import asyncio

    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await work
