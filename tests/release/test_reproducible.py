"""A second build, with nothing kept of the first but its downloads, gives the same bytes."""

import os
import sys
import tarfile
from pathlib import Path

import pytest

from release.checksums import TRIAL, digest_of
from release.plan import read_plan
from tests.support.binaries import ROOT
from tests.support.program import environment, run, succeed
from tests.support.released import FOLDER, released

WITHIN_S = 600.0
PARTS = ("wheel", "sbom", "image")


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "authproxy"


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("second")
    (folder / "cache/authproxy").mkdir(parents=True)
    for downloads in ("debs", "wheels"):
        (folder / "cache/authproxy" / downloads).symlink_to(cache() / downloads)
    dist = folder / "dist"
    settings = {"XDG_CACHE_HOME": str(folder / "cache"), **pip_settings()}
    words = ("-m", "release", "--trial", "--dist", str(dist), *PARTS)
    succeed(sys.executable, *words, env=environment(folder, **settings), cwd=ROOT, timeout_s=WITHIN_S)
    return dist


def pip_settings() -> dict[str, str]:
    """How this machine reaches the package index."""
    return {name: value for name, value in os.environ.items() if name.startswith("PIP_")}


def test_every_artefact_is_the_same(second: Path) -> None:
    digests = {file.name: digest_of(file) for file in second.iterdir() if file.name != TRIAL}
    assert len(digests) == 6
    assert digests == {name: digest_of(FOLDER / name) for name in digests}


def test_the_wheel_of_the_source_distribution_is_the_wheel(tmp_path: Path) -> None:
    source = released("authproxy_registry-*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    env = environment(tmp_path, SOURCE_DATE_EPOCH=str(read_plan(FOLDER).epoch))
    words = ("-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path / "dist"))
    succeed(sys.executable, *words, env=env, cwd=tmp_path / source.name.removesuffix(".tar.gz"))
    (wheel,) = (tmp_path / "dist").iterdir()
    assert digest_of(wheel) == digest_of(released("*.whl"))


def test_checksums_are_those_that_sha256sum_checks(tmp_path: Path) -> None:
    env = environment(tmp_path)
    (tmp_path / "a.txt").write_text("a")
    words = ("-m", "release", "--trial", "--dist", str(tmp_path), "checksums")
    succeed(sys.executable, *words, env=env, cwd=ROOT)
    sums = (tmp_path / "SHA256SUMS").read_text()
    assert sums == f"{digest_of(tmp_path / 'a.txt')}  a.txt\n"
    assert (tmp_path / TRIAL).exists()


def test_snapshot_that_is_no_time_is_refused(tmp_path: Path) -> None:
    words = ("-m", "release", "--trial", "--dist", str(tmp_path), "wheel", "image")
    done = run(sys.executable, *words, env=environment(tmp_path, SNAPSHOT="yesterday"), cwd=ROOT)
    assert done.code == 1
    assert "SNAPSHOT is 'yesterday'; write a time of snapshot.debian.org, 20261130T000000Z" in done.err
