"""What people do with Helm: our own chart goes into our own registry and comes back, over TLS and with a login."""

from pathlib import Path

import helm_python as helm
import pytest

import authproxy
from release.chart import contents, pack
from release.plan import Plan
from tests.support.binaries import ROOT
from tests.support.helm import Helm
from tests.support.people import ALICE, BOB, User
from tests.support.server import Server

VERSION = authproxy.__version__


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """Our chart, as `make release` packs it."""
    file = tmp_path / f"authproxy-{VERSION}.tgz"
    file.write_bytes(pack(contents(Plan(ROOT, tmp_path, VERSION, "", 0), VERSION), 0))
    return file


def logged_in(folder: Path, server: Server, user: User) -> Helm:
    helm_of = Helm(folder / user.name, server.ca)
    helm_of.must("login", server.host, user.name, stdin=user.password)
    return helm_of


def test_the_chart_pulled_is_the_chart_pushed(server: Server, tmp_path: Path, chart: Path, repository: str) -> None:
    alice = logged_in(tmp_path, server, ALICE)
    url = f"oci://{server.host}/{repository}"
    alice.must("push", str(chart), url)
    assert alice.must("tags", f"{server.host}/{repository}/authproxy").strip() == f"['{VERSION}']"
    (tmp_path / "pulled").mkdir()
    alice.must("pull", f"{url}/authproxy", VERSION, str(tmp_path / "pulled"))
    pulled = tmp_path / "pulled" / chart.name
    assert pulled.read_bytes() == chart.read_bytes()
    with helm.Chart.load(pulled) as loaded:
        assert (loaded.name, loaded.version) == ("authproxy", VERSION)
        assert "authproxy/templates/deployment.yaml" in loaded.render(name="a")


def test_a_user_who_may_not_push_learns_why(server: Server, tmp_path: Path, chart: Path) -> None:
    """A user who may not even pull gets a 401 without a reason: Helm asks by HEAD first, whose answer has no body."""
    refused = logged_in(tmp_path, server, BOB)("push", str(chart), f"oci://{server.host}/public/helm")
    assert refused.code != 0
    assert "bob may not push public/helm/authproxy" in refused.text


def test_a_user_who_may_not_pull_learns_why(server: Server, tmp_path: Path, chart: Path, repository: str) -> None:
    alice, bob = logged_in(tmp_path, server, ALICE), logged_in(tmp_path, server, BOB)
    alice.must("push", str(chart), f"oci://{server.host}/{repository}")
    refused = bob("pull", f"oci://{server.host}/{repository}/authproxy", VERSION, str(tmp_path))
    assert refused.code != 0
    assert f"bob may not pull {repository}/authproxy" in refused.text


def test_without_a_login_nothing_is_pushed(server: Server, tmp_path: Path, chart: Path, repository: str) -> None:
    refused = Helm(tmp_path / "nobody", server.ca)("push", str(chart), f"oci://{server.host}/{repository}")
    assert refused.code != 0
    assert "401" in refused.text or "denied" in refused.text


def test_a_wrong_password_is_refused(server: Server, tmp_path: Path) -> None:
    refused = Helm(tmp_path / "alice", server.ca)("login", server.host, ALICE.name, stdin="wrong")
    assert refused.code != 0
    assert "401" in refused.text


def test_a_ca_that_is_not_trusted_is_no_login(server: Server, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    refused = Helm(tmp_path / "alice", tmp_path / "empty.pem")("login", server.host, ALICE.name, stdin=ALICE.password)
    assert refused.code != 0
    assert "certificate signed by unknown authority" in refused.text
