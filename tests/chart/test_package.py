"""`python -m release chart`: the archive loads, lints, is the same each time, and holds what the folder holds."""

import io
import tarfile
from pathlib import Path

import helm_python as helm
import pytest
import yaml

import authproxy
from release.__main__ import check
from release.chart import contents, make, semantic_version
from release.errors import ReleaseError
from release.plan import Plan
from tests.deploy.chart import FOLDER, render
from tests.support.binaries import ROOT


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.delenv("IMAGE", raising=False)
    return Plan(ROOT, tmp_path, authproxy.__version__, "f" * 40, 1_800_000_000)


def test_the_archive_has_the_name_that_helm_gives_it_and_helm_takes_it(plan: Plan) -> None:
    (file,) = make(plan)
    assert file.name == f"authproxy-{authproxy.__version__}.tgz"
    report = helm.lint(file, strict=True)
    assert report["errors"] == []
    assert {kind for kind, _ in render(chart=file)} == {kind for kind, _ in render()}


def test_helm_unpacks_the_files_of_the_folder_and_the_licence(plan: Plan, tmp_path: Path) -> None:
    (file,) = make(plan)
    helm.expand(tmp_path, file)
    unpacked = tmp_path / "authproxy"
    found = {path.relative_to(unpacked): path.read_bytes() for path in unpacked.rglob("*") if path.is_file()}
    assert found.pop(Path("LICENSE")) == (ROOT / "LICENSE").read_bytes()
    assert found == {
        path.relative_to(FOLDER): path.read_bytes()
        for path in FOLDER.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_the_same_commit_makes_the_same_bytes(plan: Plan) -> None:
    first = make(plan)[0].read_bytes()
    assert make(plan)[0].read_bytes() == first


def test_nothing_of_the_machine_is_in_the_archive(plan: Plan) -> None:
    with tarfile.open(fileobj=io.BytesIO(make(plan)[0].read_bytes())) as archive:
        entries = archive.getmembers()
    assert entries[0].name == "authproxy/Chart.yaml"
    assert {(e.uid, e.gid, e.uname, e.gname, e.mode, e.mtime) for e in entries} == {
        (0, 0, "", "", 0o644, 1_800_000_000)
    }


def test_the_image_is_the_one_that_is_published(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE", "ghcr.io/owner/authproxy")
    (file,) = make(plan)
    container = render(chart=file)["Deployment", "authproxy"]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == f"ghcr.io/owner/authproxy:{authproxy.__version__}"


@pytest.mark.parametrize("name", ["ghcr.io/owner/authproxy:1\nx: y", "-", 'a"'])
def test_a_name_of_an_image_that_is_none_is_refused(plan: Plan, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("IMAGE", name)
    with pytest.raises(ReleaseError, match="no name of an image"):
        make(plan)


@pytest.mark.parametrize(("ours", "helms"), [("0.2.0", "0.2.0"), ("1.0.0rc2", "1.0.0-rc.2"), ("1.0.0b1", "1.0.0-b.1")])
def test_a_version_is_also_one_for_helm(plan: Plan, ours: str, helms: str) -> None:
    assert semantic_version(ours) == helms
    chart = yaml.safe_load(contents(Plan(ROOT, plan.dist, ours, "", 0), helms)["Chart.yaml"])
    assert (chart["version"], chart["appVersion"]) == (helms, ours)


@pytest.mark.parametrize("version", ["0.2", "0.2.0.dev1", "0.2.0+local"])
def test_a_version_that_helm_would_not_take_is_refused(version: str) -> None:
    with pytest.raises(ReleaseError, match="no version for a Helm chart"):
        semantic_version(version)


def test_a_tag_that_is_not_the_version_makes_no_release(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("release.__main__.uncommitted", lambda _: [])
    monkeypatch.setenv("RELEASE_TAG", "v9.9.9")
    with pytest.raises(ReleaseError, match=f"the tag v9.9.9 is not v{plan.version}"):
        check(plan)
