"""Notifies systemd as a service of `Type=notify`: see sd_notify(3), "Description".

A datagram to the socket that NOTIFY_SOCKET names; without the variable, nothing is sent.
"""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

READY = "READY=1"


def notify(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """Notify the service manager, if there is one. If it is gone, the server still serves."""
    path = environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    # An @ replaces the NUL that abstract names begin with: unix(7).
    address = "\0" + path[1:] if path.startswith("@") else path
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(state.encode(), address)
