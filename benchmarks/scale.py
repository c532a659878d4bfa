"""How figures move with size: from 10 to 100,000 tags, from 1 MiB to 4 GiB, with 10,000 repositories. Without a peer.

Everything is seeded before the server starts, so its start is measured with a full folder.
"""

import math
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.big_blob import Passage, pass_blob
from benchmarks.client import MANIFEST, Client
from benchmarks.content import MIB
from benchmarks.errors import WrongAnswer
from benchmarks.footprint import forget_peak, peak_bytes
from benchmarks.load import request_rate
from benchmarks.ours import start_ours, storage_of
from benchmarks.seed import SmallImage, seed, tag_name
from benchmarks.target import Target

TAGS_OF_EACH = 10  # in a repository of the catalog
_PAGE = 100
_CATALOG = "/v2/_catalog"
_CATALOG_SCOPE = "registry:catalog:*"
_SMALL_MIB = 64  # a smaller blob is pushed and pulled more than once


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of one run."""

    tags: tuple[int, ...]
    blobs_mib: tuple[int, ...]
    repositories: int
    catalog_pages: int  # how often the first page is requested


@dataclass(frozen=True, slots=True)
class TagStep:
    """A repository with this number of tags: answers and pushes per second, and the server's peak memory."""

    tags: int
    page_s: float
    manifest_s: float
    push_s: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class CatalogStep:
    """The first catalog page with this number of repositories, in ms: the first answer after the start, and later."""

    repositories: int
    first_ms: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Scale:
    """Figures by size. Starts are in seconds, from the command to the first answer."""

    tags: Sequence[TagStep]
    blobs: Sequence[Passage]
    catalog: CatalogStep
    start_empty_s: float
    start_full_s: float


def measure_scale(folder: Path, sizes: Sizes, *, wrk_s: int, pushes: int) -> Scale:
    """Seed, start, measure. Makes `folder`."""
    with _started(folder / "empty") as (_, start_empty_s):
        pass
    image = SmallImage.create()
    print(f"seeding {sum(sizes.tags):,} tags and {sizes.repositories:,} repositories", flush=True)
    root = storage_of(folder / "full")
    for tags in sizes.tags:
        seed(root, _repository_of(tags), image, tags)
    for number in range(sizes.repositories):
        seed(root, f"r-{number}", image, TAGS_OF_EACH)
    os.sync()
    with _started(folder / "full") as (target, start_full_s):
        catalog = _first_page(target, sizes)
        steps = [_tag_step(target, tags, image, wrk_s, pushes) for tags in sizes.tags]
        blobs = [_pass_often(target, size_mib) for size_mib in sizes.blobs_mib]
    return Scale(steps, blobs, catalog, start_empty_s, start_full_s)


def percentile(values: Sequence[float], percent: float) -> float:
    """The percentile of these values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


@contextmanager
def _started(folder: Path) -> Iterator[tuple[Target, float]]:
    began = time.perf_counter()
    with start_ours(folder) as target:
        yield target, time.perf_counter() - began


def _repository_of(tags: int) -> str:
    return f"bench/tags-{tags}"


def _first_page(target: Target, sizes: Sizes) -> CatalogStep:
    with target.connect(target.authorization(_CATALOG_SCOPE)) as client:
        client.request("GET", "/v2/", expect=200)  # so that the time excludes the connection and its token
        first_ms, *others = [_page_ms(client, sizes) for _ in range(sizes.catalog_pages + 1)]
    return CatalogStep(sizes.repositories, first_ms, percentile(others, 50), percentile(others, 99))


def _page_ms(client: Client, sizes: Sizes) -> float:
    began = time.perf_counter()
    answer = client.request("GET", _CATALOG, expect=200)
    took = time.perf_counter() - began
    has_next = sizes.repositories + len(sizes.tags) > _PAGE
    if (answer.headers["Link"] is not None) != has_next:
        raise WrongAnswer(f"{_CATALOG} of {sizes.repositories} repositories has Link: {answer.headers['Link']}")
    return took * 1000


def _tag_step(target: Target, tags: int, image: SmallImage, wrk_s: int, pushes: int) -> TagStep:
    repository = _repository_of(tags)
    headers = target.authorization(f"repository:{repository}:pull,push")
    middle = tag_name(tags // 2)
    forget_peak(target.pids)
    page = f"/v2/{repository}/tags/list?n={_PAGE}&last={middle}"
    manifest = f"/v2/{repository}/manifests/{middle}"
    with target.connect(headers) as client:
        expected = [tag_name(number) for number in range(tags // 2 + 1, min(tags, tags // 2 + 1 + _PAGE))]
        if client.tags(page) != expected:
            raise WrongAnswer(f"{page} is not the page behind {middle}")
        if client.request("GET", manifest, expect=200).body != image.manifest:
            raise WrongAnswer(f"{manifest} is not what was seeded")
        page_s = request_rate(f"{target.url}{page}", headers, seconds=wrk_s)
        manifest_s = request_rate(f"{target.url}{manifest}", {**headers, "Accept": MANIFEST}, seconds=wrk_s)
        began = time.perf_counter()
        for number in range(pushes):
            client.push_manifest(repository, f"new-{number}", image.manifest)
        push_s = pushes / (time.perf_counter() - began)
    return TagStep(tags, page_s, manifest_s, push_s, peak_bytes(target.pids) / MIB)


def _pass_often(target: Target, size_mib: int) -> Passage:
    """A large blob once; a small one several times, for the median rates and the highest peaks."""
    passages = [pass_blob(target, "core", size_mib) for _ in range(max(1, _SMALL_MIB // size_mib))]
    return Passage(
        "core",
        size_mib,
        idle_mib=passages[0].idle_mib,
        push_peak_mib=max(passage.push_peak_mib for passage in passages),
        pull_peak_mib=max(passage.pull_peak_mib for passage in passages),
        push_mib_s=statistics.median(passage.push_mib_s for passage in passages),
        pull_mib_s=statistics.median(passage.pull_mib_s for passage in passages),
    )
