"""Where the daemon's socket is: `DOCKER_HOST`, as the docker command reads it, or the usual place."""

from collections.abc import Mapping
from pathlib import Path

from authproxy.images.daemon.errors import DaemonError

DEFAULT_SOCKET = Path("/var/run/docker.sock")
_UNIX = "unix://"


def find_socket(environment: Mapping[str, str]) -> Path:
    """The socket's path. Raises DaemonError where DOCKER_HOST names a daemon on another machine."""
    address = environment.get("DOCKER_HOST", "")
    if not address:
        return DEFAULT_SOCKET
    path = address.removeprefix(_UNIX)
    if not address.startswith(_UNIX) or not path.startswith("/"):
        raise DaemonError(
            f"DOCKER_HOST is {address}, and only a daemon on this machine is asked: unix:///path/to/docker.sock"
        )
    return Path(path)
