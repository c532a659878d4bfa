"""The parts of a build, without a build: plans, file systems in memory, ELF files, sources of packages."""

import io
import re
import shutil
import struct
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from authproxy.digest import Digest
from authproxy.images.archive.opening import open_archive
from release import base, debian
from release.__main__ import check, mark, remove_previous
from release.architecture import AMD64, ARM64
from release.checksums import TRIAL
from release.dependencies import LOCKED, UNWANTED, read_wheel
from release.elf import HEADER, is_elf, needed, strip
from release.errors import ReleaseError
from release.layout import compress
from release.local import ARCHIVE, load
from release.pages import becomes_latest
from release.plan import Plan, read_plan, read_version
from release.tree import Tree
from release.wheel import make as make_wheel
from tests.support.binaries import ROOT, binary
from tests.support.program import environment, run, succeed
from tests.support.released import FOLDER, released


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with one commit of version 1.2.3."""
    root = tmp_path / "clone"
    (root / "authproxy").mkdir(parents=True)
    (root / "authproxy/__init__.py").write_text('"""A package."""\n\n__version__ = "1.2.3"\n')
    (root / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n## 1.2.2\n")
    git(root, "init", "--quiet")
    commit(root)
    return root


def git(root: Path, *words: str) -> str:
    name = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    dates = {"GIT_AUTHOR_DATE": "1000000000 +0000", "GIT_COMMITTER_DATE": "1000000000 +0000"}
    return succeed(binary("git"), "-C", str(root), *name, *words, env=environment(root, **dates)).out


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "all")


def plan_of(clone: Path) -> Plan:
    return read_plan(clone.parent / "dist", clone)


def test_a_plan_is_the_commits(clone: Path) -> None:
    plan = plan_of(clone)
    assert (plan.version, plan.epoch) == ("1.2.3", 1_000_000_000)
    assert plan.revision == git(clone, "rev-parse", "HEAD").strip()


def test_uncommitted_files_are_refused_by_name(clone: Path) -> None:
    (clone / "CHANGELOG.md").write_text("## 1.2.3\n")
    (clone / "new.py").touch()
    with pytest.raises(ReleaseError, match=r"not committed(.|\n)* M CHANGELOG\.md(.|\n)*\?\? new\.py(.|\n)*TRIAL=1"):
        check(plan_of(clone))


def test_a_version_without_a_section_in_the_changelog_is_refused(clone: Path) -> None:
    with pytest.raises(ReleaseError, match=r"CHANGELOG\.md has no section `## 1\.2\.3`(.|\n)*TRIAL=1"):
        check(plan_of(clone))
    (clone / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.3 (2026-11-30)\n")
    commit(clone)
    check(plan_of(clone))


def test_a_section_of_a_longer_version_does_not_count(clone: Path) -> None:
    (clone / "CHANGELOG.md").write_text("## 1.2.3rc1\n\n## 1.2.30\n\n## 1.2.3.1\n")
    commit(clone)
    with pytest.raises(ReleaseError, match="has no section"):
        check(plan_of(clone))


def test_a_trial_says_in_its_revision_that_files_are_not_committed(clone: Path) -> None:
    dist, head = clone.parent / "dist", git(clone, "rev-parse", "HEAD").strip()
    assert read_plan(dist, clone, is_trial=True).revision == head
    (clone / "new.py").touch()
    assert read_plan(dist, clone, is_trial=True).revision == f"{head}-dirty"


def test_a_part_of_a_release_is_never_made_beside_those_of_a_trial(clone: Path) -> None:
    dist = clone.parent / "dist"
    mark(read_plan(dist, clone, is_trial=True))
    with pytest.raises(ReleaseError, match="has the artefacts of a trial; make all of them again: make release"):
        mark(read_plan(dist, clone))
    remove_previous(dist)
    mark(read_plan(dist, clone))
    assert not (dist / TRIAL).exists()


def test_a_file_that_git_ignores_for_this_user_alone_is_no_part_of_a_release(clone: Path) -> None:
    (clone / ".git/info/exclude").write_text("secret.txt\n")
    (clone / "authproxy/secret.txt").write_text("secret")
    for name in ("README.md", "LICENSE", "hatch_build.py", "pyproject.toml"):
        shutil.copy(ROOT / name, clone / name)
    commit(clone)
    with pytest.raises(ReleaseError, match=r"authproxy/secret\.txt would be in the source distribution"):
        make_wheel(plan_of(clone))
    (clone / "authproxy/secret.txt").unlink()
    assert len(make_wheel(plan_of(clone))) == 2


def test_wheel_and_source_distribution_have_the_commit() -> None:
    revision = re.escape(read_plan(FOLDER, is_trial=True).revision.removesuffix("-dirty").encode())
    with zipfile.ZipFile(released("*.whl")) as wheel:
        assert re.fullmatch(revision + rb"(-dirty)?\n", wheel.read("authproxy/revision"))
    with tarfile.open(source := released("authproxy_registry-*.tar.gz")) as archive:
        file = archive.extractfile(f"{source.name.removesuffix('.tar.gz')}/authproxy/revision")
        assert file is not None
        assert re.fullmatch(revision + rb"(-dirty)?\n", file.read())


def test_files_that_are_no_part_of_a_release_are_never_removed(tmp_path: Path) -> None:
    for name in ("SHA256SUMS", "authproxy-0.1.0.oci.tar", "thesis.txt"):
        (tmp_path / name).touch()
    with pytest.raises(ReleaseError, match=r"no part of a release, thesis\.txt: move it away"):
        remove_previous(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    (tmp_path / "thesis.txt").unlink()
    remove_previous(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="git"):
        read_plan(tmp_path / "dist", tmp_path)


def test_the_image_without_the_wheel_says_what_to_do_first(tmp_path: Path) -> None:
    words = ("-m", "release", "--trial", "--dist", str(tmp_path / "dist"), "image")
    done = run(sys.executable, *words, env=environment(tmp_path), cwd=ROOT)
    assert (done.code, done.err.strip().endswith("so make it first: python -m release wheel image")) == (1, True)


def test_this_repository_has_a_version() -> None:
    assert read_version(ROOT).count(".") >= 2


def tar_of(*members: tuple[str, bytes, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = kind, target, 0o755
            tar.addfile(info)
    return out.getvalue()


def test_a_tree_gives_the_same_tar_in_whatever_order_it_was_made() -> None:
    one, other = Tree(mtime=5), Tree(mtime=5)
    one.file("b/c", "text")
    one.link("a", "b/c")
    other.link("a", "b/c")
    other.file("b/c", "text")
    assert one.tar() == other.tar()


def test_a_tree_without_a_folder_has_nothing_below_it() -> None:
    tree = Tree(mtime=0)
    tree.file("a/b/c/d", "")
    tree.file("a/e", "")
    tree.remove(lambda path: path == "a/b")
    assert sorted(tree.entries) == ["a", "a/e"]


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ((("../etc/passwd", tarfile.REGTYPE, ""),), "the path"),
        ((("a/../../b", tarfile.REGTYPE, ""),), "the path"),
        ((("dev/sda", tarfile.BLKTYPE, ""),), "the device"),
    ],
    ids=["above", "above, later", "device"],
)
def test_a_package_that_leads_out_of_the_tree_is_refused(members: tuple[tuple[str, bytes, str], ...], why: str) -> None:
    with pytest.raises(ReleaseError, match=why):
        Tree(mtime=0).unpack(tar_of(*members))


def test_a_folder_of_a_package_does_not_replace_a_link_of_another() -> None:
    tree = Tree(mtime=0)
    tree.unpack(tar_of(("./lib", tarfile.SYMTYPE, "usr/lib")))
    tree.unpack(tar_of(("./lib", tarfile.DIRTYPE, "")))
    assert tree.entries["lib"].is_link


def test_a_file_below_a_link_is_refused() -> None:
    tree = Tree(mtime=0)
    tree.unpack(tar_of(("./lib", tarfile.SYMTYPE, "/etc")))
    tree.unpack(tar_of(("./lib/passwd", tarfile.REGTYPE, "")))
    with pytest.raises(ReleaseError, match="/lib/passwd is below a link"):
        tree.tar()


def test_a_damaged_layer_of_the_cache_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plain = b"a layer" * 1000
    first = compress(plain, Digest.of(plain))
    (kept,) = (tmp_path / "authproxy/layers").iterdir()
    for damaged in (first[:-5], first[:40], b"", compress(b"another", Digest.of(b"another"))):
        kept.write_bytes(damaged)
        assert compress(plain, Digest.of(plain)) == first
    assert kept.read_bytes() == first


def test_a_stripped_library_has_no_sections_and_needs_the_same() -> None:
    content = Path(binary("openssl")).read_bytes()
    assert is_elf(content)
    short = strip(content)
    assert needed(short) == needed(content) != []
    assert len(short) < len(content)
    assert HEADER.unpack_from(short)[12] == 0
    assert strip(short) == short


def test_a_stripped_program_runs(tmp_path: Path) -> None:
    stripped = tmp_path / "bin/busybox"
    stripped.parent.mkdir()
    (tmp_path / "proc").mkdir()
    stripped.write_bytes(strip(Path(binary("busybox")).read_bytes()))
    stripped.chmod(0o755)
    words = ("--root", str(tmp_path), "/bin/busybox", "echo", "it runs")
    assert succeed(binary("unshare"), *words, env={}).out == "it runs\n"


@pytest.mark.parametrize(
    "content",
    [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01" + bytes(60), struct.pack("<16sHH", b"\x7fELF\x02\x01", 1, 62) + bytes(44)],
)
def test_what_is_no_program_for_64_bits_stays_as_it_is(content: bytes) -> None:
    assert (is_elf(content), strip(content), needed(content)) == (False, content, [])


async def test_without_docker_the_image_is_in_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = tmp_path / "authproxy.oci.tar"
    layout.symlink_to(released("*.oci.tar"))
    await load(layout, "registry.example.com:5000/app", {"DOCKER_HOST": f"unix://{tmp_path}/none"})
    told = capsys.readouterr().out
    assert "not loaded into docker: " in told
    assert f"docker load -i {tmp_path}/{ARCHIVE}.tar" in told
    with open_archive(tmp_path / f"{ARCHIVE}.tar") as archive:
        assert [image.names for image in archive.images] == [("registry.example.com:5000/app:latest",)]


def test_a_snapshot_takes_the_place_of_every_archive() -> None:
    lines = debian.sources("20261130T000000Z").splitlines()
    assert [line.split()[2:4] for line in lines] == [
        ["http://snapshot.debian.org/archive/debian/20261130T000000Z", "trixie"],
        ["http://snapshot.debian.org/archive/debian/20261130T000000Z", "trixie-updates"],
        ["http://snapshot.debian.org/archive/debian-security/20261130T000000Z", "trixie-security"],
    ]
    assert all(f"[signed-by={debian.KEYRING}]" in line for line in lines)


@pytest.mark.parametrize(
    ("line", "is_taken"),
    [
        ('Acquire::http::Proxy "http://proxy.example.com:3128";', True),
        ('Acquire::https::CAInfo "/etc/ca.pem";', True),
        ('Acquire::Retries "3";', True),
        ('Acquire::AllowInsecureRepositories "true";', False),
        ('Acquire::AllowWeakRepositories "true";', False),
        ('APT::Get::AllowUnauthenticated "true";', False),
        ('APT::Update::Post-Invoke:: "rm -f /var/cache/apt/archives/*.deb";', False),
    ],
)
def test_of_this_machines_apt_only_the_connection_is_taken(line: str, *, is_taken: bool) -> None:
    assert (debian.CONNECTION.fullmatch(line) is not None) is is_taken


def test_every_line_of_the_lock_is_read() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pinned = [line.partition("==")[0] for line in lock.splitlines() if "==" in line.partition(" ")[0]]
    assert [match["name"] for match in LOCKED.finditer(lock)] == pinned


def test_a_wheel_needs_no_extras_and_the_same_on_both_architectures() -> None:
    wheel = read_wheel(released("*.whl"))
    assert wheel.requires(AMD64) == wheel.requires(ARM64)
    assert {"cryptography", "uvicorn"} < set(wheel.requires(AMD64))
    assert not {"pytest", "hatchling"} & set(wheel.requires(AMD64))


def test_the_wheels_metadata_is_what_pypi_shows() -> None:
    metadata = read_wheel(released("*.whl")).metadata
    assert metadata["Name"] == "authproxy-registry"
    assert metadata["License-Expression"] == "Apache-2.0"
    versions = {one.rpartition(" ")[2] for one in metadata.get_all("Classifier", []) if ":: Python :: 3." in one}
    assert versions >= {"3.11", "3.12", base.PYTHON, "3.14"}
    text = str(metadata.get_payload())
    assert text.strip()
    # A link to a file of the repository leads nowhere on PyPI.
    assert "](docs/" not in text
    assert "](deploy/" not in text


def test_the_source_distribution_has_what_building_and_running_take() -> None:
    with tarfile.open(released("authproxy_registry-*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed_files = {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "hatch_build.py", "policies/default.yaml"}
    assert needed_files < names
    assert not any(name.startswith(("tests/", "docs/", "deploy/", "release/", ".git/")) for name in names)


@pytest.mark.parametrize(
    ("version", "holder", "is_latest"),
    [
        ("0.2.0", None, True),
        ("0.2.0rc1", None, True),
        ("0.2.1", "0.2", True),
        ("0.10.0", "0.9", True),
        ("0.9.5", "0.10", False),
        ("0.3.0rc1", "0.2", False),
    ],
)
def test_latest_goes_to_a_newer_version_alone(version: str, holder: str | None, *, is_latest: bool) -> None:
    there = [{"version": holder, "aliases": ["latest"]}] if holder else []
    assert becomes_latest(version, [*there, {"version": "0.1", "aliases": []}]) is is_latest


@pytest.mark.parametrize(
    ("path", "is_left_out"),
    [
        ("typer/.agents/skills/typer/SKILL.md", True),
        (".github/workflows/ci.yml", True),
        ("cryptography.libs/libssl.so.3", False),
        ("cryptography-46.0.0.dist-info/licenses/LICENSE", False),
        ("package/.version", False),
    ],
)
def test_hidden_folders_of_wheels_are_left_out(path: str, *, is_left_out: bool) -> None:
    assert any(one.fullmatch(path) for one in UNWANTED) is is_left_out


def test_patterns_of_unwanted_paths_keep_what_is_needed() -> None:
    kept = ("usr/share/doc/libc6/copyright", f"{base.STDLIB}/sqlite3/__init__.py", "etc/ssl/openssl.cnf", "usr/sbin")
    assert [path for path in kept if any(one.fullmatch(path) for one in base.UNWANTED)] == []
