"""Sync many files and folders at once: one after the other, each would wait for the disk.

A file system with a journal commits in one step all syncs that are requested meanwhile. Python's calls request one and
wait; Linux' asynchronous I/O requests all (`io_submit`, which syncs from 4.18 on). Where the kernel, a sandbox or the
architecture does not offer it, they are synced one after the other: the same result, later. Reasons and measurements:
docs/decisions/0014-sync-many-files-at-once.md.
"""

import ctypes
import os
import platform
import struct
import threading
from collections.abc import Sequence
from typing import NamedTuple

# Syncs of one thread that run at once; more run in rounds.
MAX_AT_ONCE = 16

# linux/aio_abi.h, little endian. Of a request: data, key, flags, operation, priority, descriptor; the rest is for reads
# and writes, and has to be 0. Of an event: data, request, result (0, or an error's number below 0), second result.
_REQUEST = struct.Struct("<QIIHhI40x")
_EVENT = struct.Struct("<QQqq")
_FSYNC, _FDATASYNC = 2, 3


class _Numbers(NamedTuple):
    """The numbers of the system calls (asm/unistd.h)."""

    setup: int
    getevents: int
    submit: int


_NUMBERS = {"x86_64": _Numbers(206, 208, 209), "aarch64": _Numbers(0, 4, 2)}.get(platform.machine())
_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long


def sync_all(files: Sequence[int], folders: Sequence[int]) -> None:
    """Make the content of files and the entries of folders durable, given their descriptors. Blocks. Raises OSError."""
    jobs = [(_FDATASYNC, file) for file in files] + [(_FSYNC, folder) for folder in folders]
    queue = _own_queue() if len(jobs) > 1 else None
    if queue is None:
        _one_by_one(jobs)
        return
    for first in range(0, len(jobs), MAX_AT_ONCE):
        queue.run(jobs[first : first + MAX_AT_ONCE])


class _Queue:
    """The requests of one thread to the kernel. The kernel frees its side when the process ends."""

    def __init__(self, numbers: _Numbers) -> None:
        self._numbers = numbers
        self._context = ctypes.c_ulong(0)
        self._requests = ctypes.create_string_buffer(_REQUEST.size * MAX_AT_ONCE)
        self._events = ctypes.create_string_buffer(_EVENT.size * MAX_AT_ONCE)
        first = ctypes.addressof(self._requests)
        places = range(first, first + len(self._requests), _REQUEST.size)
        self._pointers = (ctypes.c_void_p * MAX_AT_ONCE)(*places[:MAX_AT_ONCE])
        made = _syscall(ctypes.c_long(numbers.setup), ctypes.c_long(MAX_AT_ONCE), ctypes.byref(self._context))
        self.is_open = made == 0

    def run(self, jobs: Sequence[tuple[int, int]]) -> None:
        """Run all and wait for all, at most MAX_AT_ONCE. Raises the first error, after all have ended."""
        for place, (operation, descriptor) in enumerate(jobs):
            _REQUEST.pack_into(self._requests, place * _REQUEST.size, place, 0, 0, operation, 0, descriptor)
        begun = max(0, self._call(self._numbers.submit, len(jobs), ctypes.byref(self._pointers)))
        errors = self._wait(begun)
        _one_by_one(jobs[begun:])  # those that the kernel did not accept
        if errors:
            raise OSError(errors[0], os.strerror(errors[0]))

    def _wait(self, begun: int) -> list[int]:
        errors: list[int] = []
        while begun:
            ended = self._call(self._numbers.getevents, begun, begun, ctypes.byref(self._events), None)
            for place in range(ended):  # below 0 after a signal: wait again
                _, _, result, _ = _EVENT.unpack_from(self._events, place * _EVENT.size)
                if result < 0:
                    errors.append(-result)
            begun -= max(0, ended)
        return errors

    def _call(self, number: int, *arguments: object) -> int:
        numbers = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
        result: int = _syscall(ctypes.c_long(number), self._context, *numbers)
        return result


class _Own(threading.local):
    queue: _Queue | None = None
    is_known = False


_own = _Own()


def _own_queue() -> _Queue | None:
    """This thread's queue; None where the system has none."""
    if not _own.is_known:
        _own.is_known = True
        if _NUMBERS is not None:
            queue = _Queue(_NUMBERS)
            _own.queue = queue if queue.is_open else None
    return _own.queue


def _one_by_one(jobs: Sequence[tuple[int, int]]) -> None:
    for operation, descriptor in jobs:
        (os.fdatasync if operation == _FDATASYNC else os.fsync)(descriptor)
