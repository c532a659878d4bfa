"""Debian's Caddy and HAProxy as something that stands before a registry; nginx has a module of its own."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.binaries import binary
from tests.support.program import environment
from tests.support.server import speaks_tls

READY_WITHIN_S = 20.0

# Nothing outside its folder, no port but the site's.
CADDY_GLOBALS = "{\n\tadmin off\n\tauto_https disable_redirects\n\tdefault_sni localhost\n\tstorage file_system %s\n}\n"
HAPROXY_GLOBALS = "global\n    log stderr format raw local0\n"


@contextmanager
def running_caddy(folder: Path, site: str, port: int) -> Iterator[None]:
    """A Caddy with this site, which listens on that port, for the length of a block."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "Caddyfile"
    config.write_text(CADDY_GLOBALS % (folder / "storage") + site)
    command = (binary("caddy"), "run", "--config", str(config), "--adapter", "caddyfile")
    with _running(folder, command, lambda: speaks_tls(port)):
        yield


@contextmanager
def running_haproxy(folder: Path, sections: str, is_ready: Callable[[], bool]) -> Iterator[None]:
    """An HAProxy with these sections, for the length of a block."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY_GLOBALS + sections)
    with _running(folder, (binary("haproxy"), "-db", "-f", str(config)), is_ready):
        yield


@contextmanager
def _running(folder: Path, command: Sequence[str], is_ready: Callable[[], bool]) -> Iterator[None]:
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment(folder), cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while not is_ready():
            words = (folder / "proxy.log").read_text()
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}:\n{words}"
            assert time.monotonic() < deadline, f"{command[0]} was not ready in {READY_WITHIN_S} s:\n{words}"
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(READY_WITHIN_S)
