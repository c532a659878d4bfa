"""systemd's datagrams."""

import secrets
import socket
from pathlib import Path

import pytest

from authproxy.server.systemd import READY, notify


@pytest.mark.parametrize("is_abstract", [False, True])
def test_the_state_arrives_at_the_socket_that_the_environment_names(tmp_path: Path, *, is_abstract: bool) -> None:
    name = f"@authproxy-{secrets.token_hex(8)}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(20)
        manager.bind("\0" + name[1:] if is_abstract else name)
        notify(READY, {"NOTIFY_SOCKET": name})
        assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/notify"}])
def test_where_nobody_listens_nothing_happens(environ: dict[str, str]) -> None:
    notify(READY, environ)
