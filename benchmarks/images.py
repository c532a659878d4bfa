"""`authproxy images` compared with its alternatives: a list of 10,000 tags, and a copy of an image of 1 GiB.

All sides use docker-registry over plain HTTP, alternately, each as a process of its own. The time is that of the whole
process, including its start.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from authproxy.digest import Digest
from benchmarks.client import MANIFEST
from benchmarks.content import MIB, BigBlob
from benchmarks.errors import WrongAnswer
from benchmarks.peer import start_registry
from benchmarks.process import Server
from benchmarks.programs import find_program, program
from benchmarks.seed import SmallImage, seed
from benchmarks.tables import NOTHING, figure

_ROOT = Path(__file__).parent.parent
_OCI = "application/vnd.oci.image"
LAYERS = 4
LIMIT_MIB = 150
NAMES = ("docker-registry", "skopeo", "curl", "jq")

COLUMNS = ("images", "by", "seconds", "CPU s", "peak MiB", "times ours")


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of one run."""

    repositories: int
    tags_of_each: int
    copy_mib: int
    rounds: int


@dataclass(slots=True)
class Side:
    """One way to do a work, and its cost in each round. Peaks are those of the largest process."""

    name: str
    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    peak_mib: float = 0

    def add(self, seconds: float, cpu_s: float, peak_mib: float) -> None:
        """Add a round."""
        self.seconds.append(seconds)
        self.cpu_s.append(cpu_s)
        self.peak_mib = max(self.peak_mib, peak_mib)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One work, done by each side; ours is the first."""

    what: str
    sides: Sequence[Side]

    @property
    def ours(self) -> Side:
        """Our side."""
        return self.sides[0]

    def is_within_limits(self) -> bool:
        """Whether our process stayed within its memory limit, which does not depend on the size of the image."""
        return self.ours.peak_mib < LIMIT_MIB


def measure_images(folder: Path, sizes: Sizes) -> list[Comparison]:
    """List and copy. Makes `folder`; empty if a program is not installed. Raises WrongAnswer."""
    if missing := [name for name in NAMES if find_program(name) is None]:
        print(f"nothing to compare `authproxy images` with: {' and '.join(missing)} not installed")
        return []
    folder.mkdir()
    return [_compare_lists(folder, sizes), _compare_copies(folder, sizes)]


def cells(comparison: Comparison) -> list[list[str]]:
    """The rows of the table."""
    ours = statistics.median(comparison.ours.seconds)
    return [
        [
            comparison.what,
            side.name,
            figure(statistics.median(side.seconds)),
            figure(statistics.median(side.cpu_s)),
            f"{side.peak_mib:.0f}",
            NOTHING if side is comparison.ours else f"{statistics.median(side.seconds) / ours:.2f}",
        ]
        for side in comparison.sides
    ]


def as_entry(comparison: Comparison) -> dict[str, Any]:
    """The same for programs, with every round."""
    return {"what": comparison.what, "sides": [asdict(side) for side in comparison.sides]}


def _compare_lists(folder: Path, sizes: Sizes) -> Comparison:
    count = sizes.repositories * sizes.tags_of_each
    ours, pipe = Side("authproxy"), Side("curl and jq")
    with start_registry(folder / "listed") as (server, port):
        _wait(server, port)
        image = SmallImage.create()
        for number in range(sizes.repositories):
            seed(folder / "listed" / "registry", f"bench/r-{number:04}", image, sizes.tags_of_each)
        host = f"127.0.0.1:{port}"
        for _ in range(sizes.rounds):
            listed = _run(ours, [*_OURS, "list", host], folder / "home").splitlines()
            piped = _list_by_pipe(pipe, host, folder / "home")
            if len(listed) != count or sorted(listed) != sorted(piped):
                raise WrongAnswer(f"{len(listed)} lines of ours and {len(piped)} of curl and jq are not {count} images")
    return Comparison(f"list of {count:,} tags", [ours, pipe])


def _compare_copies(folder: Path, sizes: Sizes) -> Comparison:
    ours, skopeo = Side("authproxy"), Side("skopeo")
    with start_registry(folder / "source") as (source, port):
        _wait(source, port)
        here = f"127.0.0.1:{port}/bench/big:v1"
        layout = _write_layout(folder / "layout", sizes.copy_mib)
        _run(Side("nobody"), [*_OURS, "push", str(layout), here], folder / "home")
        shutil.rmtree(layout)
        for number in range(sizes.rounds):
            turns = [(ours, [*_OURS, "copy", here]), (skopeo, [*_skopeo(), f"docker://{here}"])]
            for side, command in turns if number % 2 == 0 else turns[::-1]:
                _copy(side, command, folder / "target", folder / "home")
    return Comparison(f"copy of {sizes.copy_mib:,} MiB in {LAYERS} layers", [ours, skopeo])


def _copy(side: Side, command: Sequence[str], folder: Path, home: Path) -> None:
    """Copy to a new registry: one that was used before has the blobs, and skopeo caches which, by its address."""
    with start_registry(folder) as (server, port):
        _wait(server, port)
        os.sync()  # no side pays for unwritten data of another
        _run(side, [*command, f"{'docker://' if side.name == 'skopeo' else ''}127.0.0.1:{port}/bench/big:v1"], home)
    shutil.rmtree(folder)


def _list_by_pipe(side: Side, host: str, home: Path) -> list[str]:
    """A shell pipeline: a curl and a jq for the catalog, and for each repository."""
    turn = Side(side.name)
    began = time.perf_counter()
    catalog = _run(turn, [program("curl"), "-sS", f"http://{host}/v2/_catalog?n=1000"], home)
    names = _run(turn, [program("jq"), "-r", ".repositories[]"], home, catalog).splitlines()
    lines: list[str] = []
    for name in names:
        tags = _run(turn, [program("curl"), "-sS", f"http://{host}/v2/{name}/tags/list"], home)
        lines += _run(turn, [program("jq"), "-r", r'"\(.name):\(.tags[])"'], home, tags).splitlines()
    side.add(time.perf_counter() - began, sum(turn.cpu_s), turn.peak_mib)
    return lines


_OURS = (sys.executable, "-m", "authproxy", "images")


def _skopeo() -> Sequence[str]:
    plain = ("--src-tls-verify=false", "--dest-tls-verify=false")
    return program("skopeo"), "--insecure-policy", "copy", "--quiet", *plain


def _run(side: Side, command: Sequence[str], home: Path, stdin: str = "") -> str:
    """Run a program to its end, and add its cost. Raises WrongAnswer with its output if it fails."""
    home.mkdir(exist_ok=True)
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(_ROOT)}
    with TemporaryFile("w+") as given, TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        given.write(stdin)
        given.seek(0)
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment, cwd=home, stdin=given, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise WrongAnswer(f"{' '.join(command)} ended with {process.returncode}: {err.read()}")
        side.add(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)  # Linux: KiB
        return out.read()


def _write_layout(folder: Path, size_mib: int) -> Path:
    """An OCI image layout with one image of random layers, which do not compress."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    layers = []
    for number in range(LAYERS):
        big = BigBlob.create(blobs / f"layer-{number}", size_mib * MIB // LAYERS)
        big.path.rename(blobs / big.digest.hex)
        layers.append({"mediaType": f"{_OCI}.layer.v1.tar+gzip", "digest": str(big.digest), "size": big.size})
    config = _add(blobs, f"{_OCI}.config.v1+json", {"os": "linux", "architecture": "amd64"})
    image = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
    index = {"schemaVersion": 2, "manifests": [_add(blobs, MANIFEST, image)]}
    (folder / "index.json").write_text(json.dumps(index), "utf-8")
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', "utf-8")
    return folder


def _add(blobs: Path, media_type: str, value: object) -> dict[str, Any]:
    content = json.dumps(value).encode()
    digest = Digest.of(content)
    (blobs / digest.hex).write_bytes(content)
    return {"mediaType": media_type, "digest": str(digest), "size": len(content)}


def _wait(server: Server, port: int) -> None:
    def answers() -> bool:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    server.wait_until(answers)
