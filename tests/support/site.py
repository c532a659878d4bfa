"""The site of the pages, built as `make docs` builds it, and a web server for it on this machine."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.support.binaries import ROOT
from tests.support.program import environment, run

MKDOCS = Path(sys.executable).with_name("mkdocs")


def build(folder: Path, *, root: Path = ROOT) -> str:
    """Build the site of a tree into `folder`: what mkdocs said. Raises AssertionError where it fails."""
    command = (str(MKDOCS), "build", "--strict", "--quiet", "--site-dir", str(folder))
    done = run(*command, env=environment(folder.parent, NO_MKDOCS_2_WARNING="1"), cwd=root)
    assert done.code == 0, str(done)
    return done.text


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A web server for a folder, for the length of a block: yields its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
