"""The image as it was built, without a daemon: what it contains, and what it does not."""

import json
import re
import ssl
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.base import ACCOUNT, BUNDLE, OMITTED, SHELL_PROGRAMS
from release.elf import is_elf
from tests.release.rootfs import PROGRAM, PYTHON, Layout, open_layout, run_in
from tests.support.released import released

ARCHITECTURES = ("amd64", "arm64")
MACHINES = {"amd64": 62, "arm64": 183}  # e_machine of ELF
SMALL_MB = 180
COMPRESSED_MB = 65
# What no container should have, or need.
ABSENT = re.compile(
    r".*/(pip|setuptools|hatchling|ensurepip|idlelib|tests?)/.*|usr/share/(man|locale|perl5)/.*"
    r"|(usr/)?s?bin/(apt.*|dpkg.*|perl.*|openssl|bash)|.*/zstandard/_cffi.*|bazel-project/.*"
    r"|opt/authproxy/(.*/)?\.[^/]+/.*"
)


@pytest.fixture(scope="module")
def layout() -> Iterator[Layout]:
    with open_layout() as opened:
        yield opened


@pytest.fixture(scope="module")
def root(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layout.unpack("amd64", tmp_path_factory.mktemp("image") / "root")


def members(layout: Layout, architecture: str) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    for layer in layout.layers(architecture):
        for member in layer:
            yield layer, member


def content(layer: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = layer.extractfile(member)
    assert file is not None
    return file.read()


def test_it_is_for_amd64_and_arm64_under_one_name(layout: Layout) -> None:
    assert tuple(layout.platforms) == ARCHITECTURES
    version = re.search(r"authproxy-(.*)\.oci\.tar", released("*.oci.tar").name)
    assert version is not None
    assert layout.entries[0]["annotations"]["org.opencontainers.image.ref.name"] == f"authproxy:{version[1]}"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_starts_as_the_docs_say(layout: Layout, architecture: str) -> None:
    config = layout.json(layout.manifest(architecture)["config"]["digest"])
    assert (config["os"], config["architecture"]) == ("linux", architecture)
    about = config["config"]
    assert (about["Entrypoint"], about["Cmd"]) == (["authproxy"], ["serve"])
    assert about["Healthcheck"]["Test"] == ["CMD", "authproxy", "health"]
    assert {"AUTHPROXY_RUN_AS=65532:65532", "AUTHPROXY_HOME=/var/lib/authproxy"} < set(about["Env"])
    assert (about["ExposedPorts"], about["Volumes"]) == ({"5000/tcp": {}}, {"/var/lib/registry": {}})
    assert about["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_is_small(layout: Layout, architecture: str) -> None:
    assert sum(member.size for _, member in members(layout, architecture)) / 1e6 < SMALL_MB
    assert sum(layer["size"] for layer in layout.manifest(architecture)["layers"]) / 1e6 < COMPRESSED_MB


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_has_nothing_that_is_not_needed(layout: Layout, architecture: str) -> None:
    assert [member.name for _, member in members(layout, architecture) if ABSENT.fullmatch(member.name)] == []


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_owners_modes_and_kinds_of_files(layout: Layout, architecture: str) -> None:
    found = [member for _, member in members(layout, architecture)]
    owned = {member.name for member in found if (member.uid, member.gid) != (0, 0)}
    assert owned == {"var/lib/registry", "var/lib/authproxy"}
    assert {(member.uid, member.gid) for member in found if member.name in owned} == {(ACCOUNT, ACCOUNT)}
    assert [member.name for member in found if member.isfile() and member.mode & 0o7022] == []
    assert [member.name for member in found if member.isdir() and member.mode & 0o022] == ["tmp", "var/tmp"]
    assert [member.name for member in found if not (member.isfile() or member.isdir() or member.issym())] == []
    assert not any(member.uname or member.gname for member in found)


DANGLING = """
import os
for folder, below, files in os.walk("/"):
    for path in (os.path.join(folder, name) for name in below + files):
        if os.path.islink(path) and not os.path.exists(path):
            print(path)
    below[:] = [name for name in below if name != "proc"]
"""


def test_no_link_leads_nowhere(root: Path) -> None:
    assert run_in(root, PYTHON, "-c", DANGLING).text == ""


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_programs_and_libraries_are_for_its_architecture(layout: Layout, architecture: str) -> None:
    found = [
        (member.name, struct.unpack_from("<H", head, 18)[0])
        for layer, member in members(layout, architecture)
        if member.isfile() and is_elf(head := content(layer, member)[:64])
    ]
    assert len(found) > 60
    assert [name for name, machine in found if machine != MACHINES[architecture]] == []


def test_both_architectures_have_the_same_python_files(layout: Layout) -> None:
    ours = [
        {
            member.name: content(layer, member)
            for layer, member in members(layout, architecture)
            if member.name.startswith("opt/") and member.name.endswith((".py", ".pyc"))
        }
        for architecture in ARCHITECTURES
    ]
    assert ours[0] == ours[1]


def test_python_never_compiles_at_a_start(layout: Layout) -> None:
    sources, compiled = set(), set()
    for layer, member in members(layout, "amd64"):
        folder, _, name = member.name.rpartition("/")
        if name.endswith(".py") and member.isfile():
            sources.add(f"{folder}/{name.removesuffix('.py')}")
        elif name.endswith(".pyc"):
            # PEP 552: one bit for a hash in place of a time, and none for a check of it.
            assert struct.unpack_from("<I", content(layer, member), 4)[0] == 0b01, member.name
            compiled.add(f"{folder.removesuffix('/__pycache__')}/{name.removesuffix('.cpython-313.pyc')}")
    assert sources == compiled


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packages_are_recorded_for_scanners(layout: Layout, architecture: str) -> None:
    listed = dict(
        one.split("=", 1) for one in layout.manifest(architecture)["annotations"]["authproxy.debian.packages"].split()
    )
    recorded = {}
    for layer, member in members(layout, architecture):
        if member.isfile() and member.name.startswith("var/lib/dpkg/status.d/"):
            text = content(layer, member).decode()
            assert "\nStatus: install ok installed\n" in text
            recorded[member.name.rpartition("/")[2]] = re.findall(r"^Version: (.*)$", text, re.MULTILINE)[0]
    assert recorded == listed
    assert not set(listed) & set(OMITTED)


def test_ca_certificates_are_where_every_program_looks(root: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(root / BUNDLE)
    done = run_in(root, PYTHON, "-c", "import ssl; print(ssl.create_default_context().cert_store_stats()['x509_ca'])")
    assert done.out.strip() == str(context.cert_store_stats()["x509_ca"]) != "0", str(done)


def test_modules_that_a_server_may_need_are_there(root: Path) -> None:
    modules = "bz2, ctypes, hashlib, json, lzma, sqlite3, ssl, uuid, zlib, zoneinfo; zoneinfo.ZoneInfo('Europe/Berlin')"
    done = run_in(root, PYTHON, "-c", f"import {modules}")
    assert done.code == 0, str(done)


# Not all that rich needs is there: see OMITTED in release/dependencies.py.
@pytest.mark.parametrize(
    "words",
    ["--help", "serve --help", "images copy --help", "doctor --help", "version --json", "config show"],
)
def test_commands_work_in_the_image(root: Path, words: str) -> None:
    done = run_in(root, PYTHON, PROGRAM, *words.split())
    assert (done.code, "Traceback" in done.text) == (0, False), str(done)


PROGRESS = """
import sys
sys.stderr.isatty = lambda: True
from authproxy.cli.images.progress import shown
with shown() as progress:
    print(type(progress).__name__)
"""


CRASH = """
import sys
import authproxy.cli
del authproxy.cli.app
sys.argv = ["authproxy", "version"]
authproxy.cli.main()
"""


def test_progress_bars_and_tracebacks_work_in_the_image(root: Path) -> None:
    bars = run_in(root, PYTHON, "-c", PROGRESS)
    assert (bars.code, bars.out.strip()) == (0, "Bars"), str(bars)
    done = run_in(root, PYTHON, "-c", CRASH)
    assert done.err.rstrip().endswith("NameError: name 'app' is not defined"), str(done)
    assert "pygments" not in done.err


def test_an_account_and_a_shell_for_docker_exec(root: Path) -> None:
    done = run_in(root, "/bin/sh", "-c", "grep authproxy /etc/passwd | cut -d: -f3; ls /usr/bin | wc -l")
    assert done.out.split()[0] == str(ACCOUNT), str(done)
    offered = set(run_in(root, "/usr/bin/busybox", "--list").out.split())
    assert set(SHELL_PROGRAMS.split()) - offered == set()


def test_the_version_is_the_wheels(root: Path) -> None:
    told = json.loads(run_in(root, PYTHON, PROGRAM, "version", "--json").out)
    assert f"authproxy_registry-{told['authproxy']}-py3-none-any.whl" == released("*.whl").name
    assert told["python"].startswith("3.13.")
