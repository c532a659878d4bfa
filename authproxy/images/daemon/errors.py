"""What is wrong with the daemon, and what to do about it."""

import errno
import json
from pathlib import Path

import httpx


class DaemonError(Exception):
    """The daemon cannot be asked, or refused: one sentence."""


def unreachable(socket: Path, error: httpx.TransportError) -> DaemonError:
    """Why nothing came back from the socket, in words that say what to do."""
    match _errno(error):
        case errno.ENOENT:
            why = "there is no such socket: start docker, or name its socket by DOCKER_HOST=unix:///path"
        case errno.EACCES | errno.EPERM:
            why = "permission denied: run this as root, or as a user in the group that owns the socket (docker)"
        case errno.ECONNREFUSED | errno.ENOTSOCK:
            why = "nobody listens there: start docker, or name its socket by DOCKER_HOST=unix:///path"
        case _:
            why = f"the connection failed ({str(error) or type(error).__name__})"
    return DaemonError(f"docker daemon at {socket}: {why}")


def refused(status: int, content: bytes, socket: Path) -> DaemonError:
    """What the daemon said instead of doing it."""
    try:
        message = json.loads(content)["message"]
    except (ValueError, RecursionError, KeyError, TypeError):
        message = f"it answered {status}"
    return DaemonError(f"docker daemon at {socket}: {message}")


def _errno(error: BaseException | None) -> int | None:
    # httpx wraps httpcore's error, which wraps the system's.
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        error = error.__cause__ or error.__context__
    return None
