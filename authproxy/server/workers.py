"""Worker processes, forked from a parent that has already loaded all code: they share that memory.

The parent serves nothing. It replaces workers that die or hang, until a signal ends all of them.

    SIGTERM, SIGINT    the workers drain, then the parent ends
    SIGHUP             a new worker for each of the old ones, which drain
    SIGTTIN, SIGTTOU   one worker more, one less

Why not uvicorn's supervisor: docs/decisions/0061-fork-the-workers.md.
"""

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from socket import socket

import structlog
import uvicorn

from authproxy.errors import StartError

log = structlog.get_logger(__name__)

# After how long without an answer to its parent a worker is killed and replaced. It can't answer while the machine is
# too busy to run it.
ANSWERS_WITHIN_S = 30.0
# How often the parent asks its workers.
ASK_EVERY_S = 0.5
# How long the parent waits before it replaces a worker that never served, or could not be forked.
RETRY_S = 1.0

_FORK = multiprocessing.get_context("fork")
_ENDING = {signal.SIGTERM, signal.SIGINT}
# Those without a meaning here are taken too: they would end the parent, and leave its workers behind.
_WITHOUT_MEANING = {signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH}
_SIGNALS = _ENDING | _WITHOUT_MEANING | {signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD}


class Worker:
    """One worker process, and the line on which it answers its parent. Forked when it is made.

    `others` are the parent's ends of the lines to the other workers, which this one must not hold open.
    """

    def __init__(
        self, make_server: Callable[[], uvicorn.Server], sockets: Sequence[socket], others: Sequence[Connection]
    ) -> None:
        self.line, theirs = _FORK.Pipe()
        self.is_ready = False  # it serves
        self._asked_at: float | None = None  # since when an answer is awaited
        self.process = _FORK.Process(target=_work, args=(make_server, sockets, theirs, [*others, self.line]))
        self.process.start()
        theirs.close()

    def __repr__(self) -> str:
        return f"Worker({self.process.pid}, ready={self.is_ready})"

    def answers(self, now: float) -> bool:
        """Ask whether it serves, without waiting. False if an answer is overdue."""
        with suppress(OSError, EOFError):  # it is ending
            if self._asked_at is not None and self.line.poll():
                self.is_ready = self.line.recv_bytes() == _SERVES
                self._asked_at = None
            if self._asked_at is None:
                self.line.send_bytes(b"?")
                self._asked_at = now
        return self._asked_at is None or now - self._asked_at < ANSWERS_WITHIN_S

    def join(self) -> None:
        """Wait for its end, then close the line: without it, the worker would take its parent for dead."""
        self.process.join()
        self.line.close()


class Workers:
    """Keeps `count` workers running. `make_server` is called in each of them."""

    def __init__(self, make_server: Callable[[], uvicorn.Server], sockets: Sequence[socket], count: int) -> None:
        self._make_server = make_server
        self._sockets = sockets
        self._count = count
        self._workers: list[Worker] = []
        self._leaving: list[Worker] = []  # replaced, and draining
        self._next_start = 0.0  # on the monotonic clock

    def __repr__(self) -> str:
        return f"Workers({self._workers}, leaving={self._leaving})"

    def run(self) -> bool:
        """Keep them running until SIGTERM or SIGINT, then wait for their drain. False if one could not start."""
        # Objects of now are never collected: a collection would write to all their pages, and share none.
        gc.collect()
        gc.freeze()
        gc.enable()
        # Blocked, they wait for `sigtimedwait`; each worker unblocks them for itself.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            return self._keep_running()
        finally:
            for worker in self._all:
                worker.process.terminate()
            for worker in self._all:
                worker.join()
            while signal.sigtimedwait(_SIGNALS, 0):
                pass
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @property
    def _all(self) -> list[Worker]:
        return [*self._workers, *self._leaving]

    def _keep_running(self) -> bool:
        """Return at an ending signal, or with False as soon as a worker could not start."""
        while True:
            while len(self._workers) < self._count and time.monotonic() >= self._next_start:
                self._workers += self._start()
            received = signal.sigtimedwait(_SIGNALS, ASK_EVERY_S)
            number = received.si_signo if received else None
            if number in _ENDING:
                return True
            if number == signal.SIGHUP:
                self._replace_all()
            elif number == signal.SIGTTIN:
                self._count += 1
            elif number == signal.SIGTTOU and self._count > 1:
                self._count -= 1
                self._retire(self._workers.pop())
            if not self._remove_ended():
                return False

    def _start(self) -> list[Worker]:
        """A new worker, or none if the system has no room for it."""
        try:
            return [Worker(self._make_server, self._sockets, [worker.line for worker in self._all])]
        except OSError as exc:
            log.warning("a worker process cannot be started", reason=exc.strerror)
            self._next_start = time.monotonic() + RETRY_S
            return []

    def _remove_ended(self) -> bool:
        """Remove workers that have ended, and kill those that do not answer. False if one could not start."""
        for worker in self._all:
            pid = worker.process.pid
            if worker.process.is_alive():
                if worker.answers(time.monotonic()):
                    continue
                log.error("a worker process does not answer, and is killed", pid=pid)
                worker.process.kill()
            worker.join()
            if worker.process.exitcode == uvicorn.config.STARTUP_FAILURE:
                return False
            if not worker.is_ready:
                self._next_start = time.monotonic() + RETRY_S
            if worker in self._workers:
                log.warning("a worker process ended, and is replaced", pid=pid, exit=worker.process.exitcode)
                self._workers.remove(worker)
            else:
                self._leaving.remove(worker)
        return True

    def _replace_all(self) -> None:
        """One after the other; each new worker serves before an old one drains. Ends if a new one does not serve."""
        for old in list(self._workers):
            for new in self._start():
                if not _is_ready_in_time(new):
                    new.process.kill()
                    new.join()
                    log.error("a new worker process does not serve, so the old ones go on", pid=new.process.pid)
                    return
                self._workers[self._workers.index(old)] = new
                self._retire(old)

    def _retire(self, worker: Worker) -> None:
        worker.process.terminate()
        self._leaving.append(worker)


def _is_ready_in_time(worker: Worker) -> bool:
    """Wait until it serves; not if it ends, takes too long, or the parent is to end."""
    deadline = time.monotonic() + ANSWERS_WITHIN_S
    while not worker.is_ready:
        now = time.monotonic()
        if now > deadline or not worker.process.is_alive() or signal.sigpending() & _ENDING:
            return False
        worker.answers(now)
        time.sleep(0.05)
    return True


# A worker's answers.
_SERVES, _STARTS = b"1", b"0"


def _work(
    make_server: Callable[[], uvicorn.Server],
    sockets: Sequence[socket],
    line: Connection,
    not_ours: Sequence[Connection],
) -> None:
    """The life of a worker, in its own process."""
    for other in not_ours:
        other.close()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    server = make_server()
    threading.Thread(target=_answer, args=(line, server), name="answer the parent", daemon=True).start()
    try:
        server.run(list(sockets))
    except StartError as exc:  # a file that was right when the parent started
        log.warning("a worker process cannot start", reason=str(exc))
        sys.exit(1)


def _answer(line: Connection, server: uvicorn.Server) -> None:
    """Answer the parent until it is gone. Then the worker drains: nothing would replace it."""
    with suppress(OSError, EOFError):
        while line.recv_bytes():
            line.send_bytes(_SERVES if server.started else _STARTS)
    os.kill(os.getpid(), signal.SIGTERM)
