"""`make publish`: image and chart go into a registry, and are there under the digests that it prints."""

import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from authproxy.digest import Digest
from release.chart import contents, pack
from release.checksums import make
from release.errors import ReleaseError
from release.plan import Plan
from release.publish import read_destination
from tests.support.binaries import ROOT
from tests.support.image import make_image, write_layout
from tests.support.people import OPERATOR
from tests.support.program import Outcome, environment, run
from tests.support.released import make_clone
from tests.support.server import Server, running_server

VERSION = "0.9.1"
CODE = """
import sys
from pathlib import Path
from release import publish
publish.ROOT = Path(sys.argv[1])
sys.exit(publish.main())
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone after `make release`, with a small image."""
    root = make_clone(tmp_path / "clone", VERSION)
    dist = root / "dist"
    plan = Plan(ROOT, dist, VERSION, "", 0)
    (dist / f"authproxy-{VERSION}.tgz").write_bytes(pack(contents(plan, VERSION), 0))
    write_layout(make_image("published"), tmp_path / "layout", VERSION)
    with tarfile.open(dist / f"authproxy-{VERSION}.oci.tar", "w") as archive:
        archive.add(tmp_path / "layout", ".")
    make(plan)
    return root


def publish(clone: Path, server: Server, **settings: str) -> Outcome:
    home = clone.parent / "home"
    home.mkdir(exist_ok=True)
    given = {
        "IMAGE": f"{server.host}/Owner/authproxy",
        "CHARTS": f"{server.host}/Owner/charts",
        "PUBLISH_USER": OPERATOR.name,
        "PUBLISH_PASSWORD": OPERATOR.password,
        "SSL_CERT_FILE": str(server.ca),
        "GITHUB_OUTPUT": str(clone.parent / "output"),
    }
    return run(sys.executable, "-c", CODE, str(clone), env=environment(home, **given | settings), cwd=ROOT)


def test_both_are_in_the_registry_under_the_digests_that_are_printed(clone: Path, server: Server) -> None:
    done = publish(clone, server)
    assert done.code == 0, str(done)
    pushed = dict(line.split("=", 1) for line in done.out.splitlines())
    assert (clone.parent / "output").read_text() == done.out
    assert (pushed["image"], pushed["chart"]) == (
        f"{server.host}/owner/authproxy",
        f"{server.host}/owner/charts/authproxy",
    )
    scope = "repository:owner/authproxy:pull repository:owner/charts/authproxy:pull"
    with server.client_for(OPERATOR.name, OPERATOR.password, scope) as client:
        for name in ("image", "chart"):
            path = pushed[name].partition("/")[2]
            answer = client.get(f"/v2/{path}/manifests/{VERSION}")
            assert answer.status_code == 200
            assert str(Digest.of(answer.content)) == pushed[f"{name}_digest"]


def test_a_file_that_the_sums_do_not_list_stays_here(clone: Path, server: Server) -> None:
    with (clone / f"dist/authproxy-{VERSION}.tgz").open("ab") as file:
        file.write(b"more")
    done = publish(clone, server)
    assert done.code == 1
    assert "is not the one that SHA256SUMS lists" in done.err


def test_without_a_release_nothing_is_pushed(clone: Path, server: Server) -> None:
    (clone / "dist/SHA256SUMS").unlink()
    done = publish(clone, server)
    assert done.code == 1
    assert "make them: make release" in done.err


def test_a_trial_is_not_published(clone: Path, server: Server) -> None:
    (clone / "dist/TRIAL").touch()
    done = publish(clone, server)
    assert done.code == 1
    assert "was made by a trial, which is not published" in done.err


def test_a_login_that_is_refused_is_said_without_the_password(clone: Path, server: Server) -> None:
    done = publish(clone, server, PUBLISH_PASSWORD="a wrong password")
    assert done.code == 1
    assert "the image cannot be pushed" in done.err
    assert "a wrong password" not in done.text


@pytest.mark.parametrize("name", ["IMAGE", "CHARTS", "PUBLISH_USER", "PUBLISH_PASSWORD"])
def test_a_variable_that_is_missing_is_named(name: str) -> None:
    everything = {"IMAGE": "a/b", "CHARTS": "a/c", "PUBLISH_USER": "u", "PUBLISH_PASSWORD": "p"}
    with pytest.raises(ReleaseError, match=rf"the variable {name} is not set; set it: .*\b{name}(=|$)"):
        read_destination({key: value for key, value in everything.items() if key != name})
