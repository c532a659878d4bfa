"""`make publish-pypi`: twine uploads the two files of this version to an index, and only as SHA256SUMS lists them."""

import re
import shutil
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from release.checksums import make
from release.plan import ROOT, Plan, read_version
from tests.support.program import Outcome, environment, run
from tests.support.released import make_clone, released

VERSION = read_version(ROOT)
CODE = """
import sys
from pathlib import Path
from release import pypi
pypi.ROOT = Path(sys.argv[1])
sys.exit(pypi.main())
"""
FILENAME = re.compile(rb'filename="([^"]+)"')


class Index(ThreadingHTTPServer):
    """An index that takes every upload."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Upload)
        self.uploaded: list[str] = []

    @property
    def url(self) -> str:
        """Where to upload."""
        return f"http://127.0.0.1:{self.server_address[1]}/legacy/"


class Upload(BaseHTTPRequestHandler):
    """A request of twine, which has the file's name in its form."""

    server: Index

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.uploaded += [name.decode() for name in FILENAME.findall(body)]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def index() -> Iterator[Index]:
    with Index() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone after `make release`, with a wheel of an earlier version beside it."""
    root = make_clone(tmp_path / "clone", VERSION)
    dist = root / "dist"
    for pattern in ("authproxy_registry-*.whl", "authproxy_registry-*.tar.gz"):
        shutil.copy(released(pattern), dist)
    make(Plan(ROOT, dist, VERSION, "", 0))
    shutil.copy(released("*.whl"), dist / "authproxy_registry-0.0.9-py3-none-any.whl")
    return root


def upload(clone: Path, index: Index) -> Outcome:
    login = {"TWINE_USERNAME": "__token__", "TWINE_PASSWORD": "a token"}
    env = environment(clone.parent, TWINE_REPOSITORY_URL=index.url, **login)
    return run(sys.executable, "-c", CODE, str(clone), env=env, cwd=ROOT)


def test_wheel_and_source_of_this_version_are_uploaded_and_no_other(clone: Path, index: Index) -> None:
    done = upload(clone, index)
    assert done.code == 0, str(done)
    names = [f"authproxy_registry-{VERSION}-py3-none-any.whl", f"authproxy_registry-{VERSION}.tar.gz"]
    assert sorted(index.uploaded) == names


def test_a_file_that_the_sums_do_not_list_stays_here(clone: Path, index: Index) -> None:
    with (clone / f"dist/authproxy_registry-{VERSION}.tar.gz").open("ab") as file:
        file.write(b"more")
    done = upload(clone, index)
    assert (done.code, index.uploaded) == (1, [])
    assert "is not the one that SHA256SUMS lists" in done.err


def test_a_trial_is_not_uploaded(clone: Path, index: Index) -> None:
    (clone / "dist/TRIAL").touch()
    done = upload(clone, index)
    assert (done.code, index.uploaded) == (1, [])
    assert "was made by a trial, which is not published" in done.err
