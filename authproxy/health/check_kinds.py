"""What can be checked: a storage, a file, a TCP port; an HTTP server in `http_check.py`.

Names and meaning are CNCF Distribution's, so that monitoring of its /debug/health works here too: a storage is
`storagedriver_<kind>`, the others are named after their path, URL or address.
"""

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

from authproxy.health.check import INTERVAL, THRESHOLD, TIMEOUT, Check, CheckFailed


def storage_check(
    look: Callable[[], Awaitable[object]],
    *,
    interval: timedelta = INTERVAL,
    threshold: int = THRESHOLD,
) -> Check:
    """`look` is a cheap operation on the storage, which raises if it fails."""
    return Check("storagedriver_filesystem", partial(_probe_storage, look), interval, interval, threshold)


async def look_at_folder(folder: Path, *, for_writing: bool) -> None:
    """Open a folder, and check whether it may be written: a storage check.

    Raises OSError if it is gone, cannot be listed, or is read-only although it is `for_writing`.
    """
    await asyncio.to_thread(_open_folder, folder, for_writing)


def file_check(path: Path, *, interval: timedelta = INTERVAL) -> Check:
    """Unhealthy as long as the file exists: a switch by which an operator takes a node out of service."""
    return Check(str(path), partial(_probe_file, path), interval, interval)


def tcp_check(
    host: str,
    port: int,
    *,
    interval: timedelta = INTERVAL,
    timeout: timedelta = TIMEOUT,
    threshold: int = THRESHOLD,
) -> Check:
    """Healthy if a connection is accepted within `timeout`. An empty host is this machine."""
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    limit_s = (timeout or TIMEOUT).total_seconds()
    return Check(name, partial(_probe_tcp, host or "localhost", port, limit_s), interval, timeout, threshold)


async def _probe_storage(look: Callable[[], Awaitable[object]]) -> None:
    try:
        await look()
    except OSError as exc:
        raise CheckFailed(f"the storage does not answer: {_reason(exc)}") from exc
    except Exception as exc:  # a driver may raise errors of its own, whose text may contain a secret
        raise CheckFailed(f"the storage does not answer: {type(exc).__name__}") from exc


def _open_folder(folder: Path, for_writing: bool) -> None:  # noqa: FBT001 - positional, for a thread
    os.scandir(folder).close()
    if for_writing and not os.access(folder, os.W_OK | os.X_OK):
        # os.access does not distinguish the two.
        is_read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
        code = errno.EROFS if is_read_only else errno.EACCES
        raise OSError(code, os.strerror(code))


async def _probe_file(path: Path) -> None:
    try:
        await asyncio.to_thread(path.stat)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise CheckFailed(f"whether the file exists is unknown: {_reason(exc)}") from exc
    raise CheckFailed("file exists")


async def _probe_tcp(host: str, port: int, limit_s: float) -> None:
    try:
        async with asyncio.timeout(limit_s):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError as exc:
        raise CheckFailed(f"no connection within {limit_s:g} s") from exc
    except OSError as exc:
        raise CheckFailed(f"connection failed: {_reason(exc)}") from exc
    writer.close()
    with suppress(OSError):  # it was accepted, so the check has passed
        await writer.wait_closed()


def _reason(exc: OSError) -> str:
    """Only the system's words, without the path, and without the several attempts that asyncio reports in one."""
    return os.strerror(exc.errno) if exc.errno else exc.strerror or str(exc)
