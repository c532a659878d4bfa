"""The site of the pages, built as `make docs` builds it, and a web server for it on this machine."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.support.binaries import ROOT
from tests.support.program import Outcome, environment, run

MKDOCS = Path(sys.executable).with_name("mkdocs")


def try_to_build(folder: Path, *, root: Path = ROOT) -> Outcome:
    """Build the site of a tree into `folder`."""
    # Not with --quiet, which drops warnings before --strict counts them.
    command = (str(MKDOCS), "build", "--strict", "--site-dir", str(folder))
    return run(*command, env=environment(folder.parent, NO_MKDOCS_2_WARNING="1"), cwd=root)


def build(folder: Path) -> None:
    """Build the site of this tree into `folder`. Raises AssertionError where it fails."""
    done = try_to_build(folder)
    assert done.code == 0, str(done)


def copy_sources(folder: Path) -> None:
    """Copy what the site is made of: tests too, since pages link to them."""
    sources = ("docs", "deploy", "policies", "tests", "release", "authproxy/__init__.py", "mkdocs.yml", "Makefile")
    for name in (*sources, *(page.name for page in ROOT.glob("*.md")), "packages.txt"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (folder / name).parent.mkdir(exist_ok=True, parents=True)
            shutil.copy(ROOT / name, folder / name)


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
