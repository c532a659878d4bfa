"""Can the server listen on its ports, or does it already."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from authproxy.config.document.scalars import Address
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.machine.files import find_closed
from authproxy.doctor.machine.installation import Installation
from authproxy.doctor.probe import find_fault
from authproxy.errors import StartError
from authproxy.server.sockets import bind

# For a response of our own server, on this machine.
TIMEOUT_S = 3.0
# Lower ports need a capability, unless the system allows them (net.ipv4.ip_unprivileged_port_start).
FIRST_FREE = 1024


def check_ports(installation: Installation) -> Iterator[Finding]:
    """`http.addr`, and `http.debug.addr` if there is one."""
    http = installation.settings.http
    is_up = find_fault(installation.settings, TIMEOUT_S) is None
    yield _check(installation, "http.addr", http.addr, is_up=is_up)
    if http.debug.addr is not None:
        yield _check(installation, "http.debug.addr", http.debug.addr, is_up=is_up)


def _check(installation: Installation, key: str, where: Address | Path, *, is_up: bool) -> Finding:
    if is_up and key == "http.addr":
        return Finding(Level.OK, "port", f"{where} ({key}): a registry answers there, so our server seems to run")
    if isinstance(where, Path):
        return _check_socket(installation, key, where)
    try:
        for opened in bind(where.host, where.port, key=key):
            opened.close()
    except StartError as error:
        if is_up:
            return Finding(Level.OK, "port", f"{where} ({key}) is in use, and our server runs")
        what, _, fix = str(error).partition("; ")
        if "not permitted" in what:
            fix = (
                f"{installation.place(key)}: a port above {FIRST_FREE - 1}; or in its systemd unit"
                " AmbientCapabilities=CAP_NET_BIND_SERVICE, which cannot be seen from here"
            )
        return Finding(Level.FAILED, "port", what, fix or f"{installation.place(key)}: an address of this machine")
    return Finding(Level.OK, "port", f"{where} ({key}) can be listened on")


def _check_socket(installation: Installation, key: str, path: Path) -> Finding:
    """Whether a socket can be created; one that a killed server has left is replaced at the start."""
    place = installation.place(key)
    if find_closed(path) is None and not path.parent.is_dir():
        return Finding(
            Level.FAILED, "port", f"there is no folder {path.parent} for {path} ({key})", f"mkdir {path.parent}"
        )
    if not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=True):
        fix = f"let the server's account write there, or {place}: a path where it may"
        return Finding(Level.FAILED, "port", f"no socket can be created in {path.parent} ({key})", fix)
    if path.exists() and not stat.S_ISSOCK(path.lstat().st_mode):
        return Finding(Level.FAILED, "port", f"{path} ({key}) exists and is not a socket", f"{place}: another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(TIMEOUT_S)
        if path.exists() and probe.connect_ex(os.fspath(path)) == 0:
            return Finding(Level.FAILED, "port", f"another program listens on {path} ({key})", "stop it")
    return Finding(Level.OK, "port", f"{path} ({key}) can be listened on")
