"""Debian's nginx as something that stands before a registry, or in its place."""

import os
import pwd
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.binaries import binary
from tests.support.program import environment
from tests.support.server import free_port, speaks_http

READY_WITHIN_S = 20.0

# Every path is below its own folder, so that it reads and writes nothing else.
CONFIGURATION = """\
{user}
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port}{tls};
        {server}
    }}
}}
"""


@contextmanager
def running_nginx(folder: Path, server: str, *, has_tls: bool = False) -> Iterator[str]:
    """An nginx for the length of a block: yields `http://127.0.0.1:<port>`, or `https:`.

    `server` is what its one server says besides the address, certificates included.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    # Workers of a master that runs as root would be nobody, who cannot write here.
    user = f"user {pwd.getpwuid(0).pw_name};" if os.getuid() == 0 else ""
    config = folder / "nginx.conf"
    tls = " ssl" if has_tls else ""
    config.write_text(CONFIGURATION.format(user=user, folder=folder, port=port, tls=tls, server=server))
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen(
            [binary("nginx"), "-c", str(config), "-e", "stderr"],
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while not speaks_http(port):  # with TLS it answers that with 400
            words = (folder / "nginx.log").read_text()
            assert process.poll() is None, f"nginx ended with {process.returncode}:\n{words}"
            assert time.monotonic() < deadline, f"nginx was not ready in {READY_WITHIN_S} s:\n{words}"
            time.sleep(0.05)
        yield f"{'https' if has_tls else 'http'}://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(READY_WITHIN_S)
