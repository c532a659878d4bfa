"""`python -m benchmarks`: us and a peer, the edge, two workers, big blobs, scale, slow pushes, logins, images, gc.

Prints tables and writes a JSON file to results/.
"""

import argparse
import datetime as dt
import pstats
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks.big_blob import pass_big_blob
from benchmarks.compare import Row, measure
from benchmarks.content import MIB, BigBlob
from benchmarks.edge import EdgeRow, measure_edge
from benchmarks.errors import BenchmarkError
from benchmarks.flood import Floods, measure_floods
from benchmarks.images import Sizes as ImageSizes
from benchmarks.images import measure_images
from benchmarks.limits import measure_limits
from benchmarks.long_push import push_slowly
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.marking import Sizes as MarkingSizes
from benchmarks.marking import measure_markings
from benchmarks.ours import start_ours
from benchmarks.peer import missing_programs, start_peer
from benchmarks.report import Report, as_text, write_json
from benchmarks.scale import Sizes, measure_scale
from benchmarks.touch import touch_in_a_process
from benchmarks.weight import measure_weight
from benchmarks.works import WORKS, Content, Effort, Turn, Work, prepare

_ROOT = Path(__file__).parent.parent
_BUILD = _ROOT / "build" / "bench"
_RESULTS = _ROOT / "benchmarks" / "results"
_FULL = Effort(
    rounds=5,
    big_mib=256,
    wrk_s=3,
    small_pushes=200,
    passage_mib=2048,
    worker_rounds=2,
    weight_rounds=7,
    scale=Sizes(
        tags=(10, 100, 1000, 10_000, 100_000), blobs_mib=(1, 16, 256, 4096), repositories=10_000, catalog_pages=300
    ),
    images=ImageSizes(repositories=100, tags_of_each=100, copy_mib=1024, rounds=5),
    markings=MarkingSizes(written=1_000_000, generated=10_000_000, repositories=1000),
)
_QUICK = Effort(
    rounds=2,
    big_mib=32,
    wrk_s=1,
    small_pushes=40,
    passage_mib=256,
    worker_rounds=1,
    weight_rounds=3,
    scale=Sizes(tags=(10, 1000), blobs_mib=(1, 64), repositories=300, catalog_pages=30),
    images=ImageSizes(repositories=10, tags_of_each=30, copy_mib=64, rounds=2),
    markings=MarkingSizes(written=10_000, generated=200_000, repositories=100),
)
_WORKERS = 2
_EDGE_ROUNDS = 3
_FLOODED = ("pull-1", "manifest-digest", "blob-small")
_PROFILE_LINES = 40


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen benchmarks: 0, or 1 if a server answers wrongly or exceeds its memory limit."""
    asked = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # leaves every block, which stops servers
    effort = _QUICK if asked.quick else _FULL
    works = [work for work in WORKS if not asked.only or work.name in asked.only]
    _BUILD.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=_BUILD))
    try:
        if asked.what == "profile":
            _profile(folder, works, effort)
            return 0
        return _report(folder, asked.what, works, effort, asked.before)
    except BenchmarkError as error:
        print("\n".join([f"benchmarks: {error}", *getattr(error, "__notes__", [])]), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        shutil.rmtree(folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        choices=(
            "all",
            "compare",
            "edge",
            "workers",
            "memory",
            "scale",
            "long-push",
            "flood",
            "images",
            "weight",
            "marking",
            "profile",
        ),
        default="all",
        help="compare: us and the peer alternately; edge: us and nginx before one registry;"
        " workers: us with two processes; memory: a 2 GiB blob; scale: from 10 to 100,000"
        " tags and from 1 MiB to 4 GiB; long-push: a push that outlives its token; flood: pulls while wrong logins come"
        " in; images: `authproxy images` compared with curl, jq and skopeo; weight: the time of a start, and the"
        " memory of an idle server; marking: what `gc` takes, with 20 GB on the disk; profile: us alone under cProfile",
    )
    parser.add_argument("--quick", action="store_true", help="less of everything: whether it works, not how fast")
    parser.add_argument("--only", action="append", choices=[work.name for work in WORKS], help="may be repeated")
    parser.add_argument(
        "--before",
        type=_checkout,
        metavar="CHECKOUT",
        help="compare with the checkout of another commit in this folder, instead of with the peer",
    )
    return parser


def _checkout(text: str) -> Path:
    if not (path := Path(text)).joinpath("authproxy", "__main__.py").is_file():
        raise argparse.ArgumentTypeError(
            f"{text} is no checkout of authproxy; make one: git worktree add {text} COMMIT"
        )
    return path


def _report(folder: Path, what: str, works: Sequence[Work], effort: Effort, before: Path | None) -> int:
    when = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    report = Report(when, _machine(effort), describe_versions(), effort)
    if what in ("all", "compare"):
        report.limits = measure_limits(folder / "limits", file_mib=effort.big_mib, wrk_s=effort.wrk_s)
        report.rows = _compare(folder, works, effort, before)
    if what in ("all", "edge"):
        report.fronts = _edge(folder, works, effort)
    if what in ("all", "workers"):
        report.two_workers = _two_workers(folder, works, effort)
    if what in ("all", "memory"):
        report.passages = pass_big_blob(folder / "passage", effort.passage_mib)
    if what in ("all", "scale"):
        report.scale = measure_scale(folder / "scale", effort.scale, wrk_s=effort.wrk_s, pushes=effort.small_pushes)
    if what in ("all", "long-push"):
        report.long_pushes = push_slowly(folder / "slow")
    if what in ("all", "flood"):
        report.floods = _flood(folder, effort)
    _measure_programs(report, folder, what, before)
    path = write_json(report, _RESULTS)
    print(f"\n{as_text(report)}\n\nwritten to {path}")
    if not report.is_within_limits():
        print(
            "benchmarks: a big blob, image or marking takes more memory, or a flood more of the pulls, than it may",
            file=sys.stderr,
        )
        return 1
    return 0


def _measure_programs(report: Report, folder: Path, what: str, before: Path | None) -> None:
    if what in ("all", "images"):
        report.images = measure_images(folder / "images", report.effort.images)
    if what in ("all", "weight"):
        report.weights = measure_weight(folder / "weight", report.effort.weight_rounds, before)
    if what in ("all", "marking"):
        report.markings = measure_markings(folder / "marking", report.effort.markings)


def _machine(effort: Effort) -> Mapping[str, str]:
    machine = describe_machine()
    if effort is _FULL:
        machine["memory touched"] = f"{touch_in_a_process() // MIB} MiB"
    return machine


def _compare(folder: Path, works: Sequence[Work], effort: Effort, before: Path | None) -> list[Row]:
    content = Content.around(BigBlob.create(folder / "blob", effort.big_mib * MIB))
    with ExitStack() as servers:
        ours, peer = servers.enter_context(start_ours(folder / "ours")), None
        if before is not None:
            peer = servers.enter_context(start_ours(folder / "peer", checkout=before))
        elif missing := missing_programs():
            print(f"no peer to compare with: {' and '.join(missing)} not installed")
        else:
            peer = servers.enter_context(start_peer(folder / "peer"))
        for target in [ours] if peer is None else [ours, peer]:
            prepare(target, content)
        return measure(works, ours, peer, content, effort)


def _edge(folder: Path, works: Sequence[Work], effort: Effort) -> list[EdgeRow]:
    """Us and nginx in front of one docker-registry, and that alone."""
    content = Content.around(BigBlob.create(folder / "blob", effort.big_mib * MIB))
    return measure_edge(folder / "edge", works, content, replace(effort, rounds=min(effort.rounds, _EDGE_ROUNDS)))


def _two_workers(folder: Path, works: Sequence[Work], effort: Effort) -> list[Row]:
    """The same works with more than one process, without a peer."""
    content = Content.around(BigBlob.create(folder / "blob", effort.big_mib * MIB))
    with start_ours(folder / "workers", workers=_WORKERS) as ours:
        prepare(ours, content)
        return measure(works, ours, None, content, replace(effort, rounds=effort.worker_rounds))


def _flood(folder: Path, effort: Effort) -> Floods:
    """Pulls while wrong logins come in, without a peer."""
    content = Content.around(BigBlob.create(folder / "blob", effort.big_mib * MIB))
    with start_ours(folder / "flood") as ours:
        prepare(ours, content)
        pulls = [work for work in WORKS if work.name in _FLOODED]
        return measure_floods(pulls, Turn(ours, content, effort, round=1))


def _profile(folder: Path, works: Sequence[Work], effort: Effort) -> None:
    """Where our main thread's time goes, over all chosen works. The profiler slows the server."""
    content = Content.around(BigBlob.create(folder / "blob", effort.big_mib * MIB))
    statistics = folder / "profile"
    with start_ours(folder / "ours", profile=statistics) as ours:
        prepare(ours, content)
        measure(works, ours, None, content, effort)
    pstats.Stats(str(statistics)).sort_stats("tottime").print_stats(_PROFILE_LINES)


if __name__ == "__main__":
    sys.exit(main())
