"""The works: each does one thing to one target and measures how fast.

Before the clock starts, a work checks that the answer is right. Timed answers are checked for their status and length,
so that a quick error never counts as speed.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from authproxy.digest import Digest
from benchmarks.client import MANIFEST, check_digest, local, read_token
from benchmarks.content import MIB, SMALL_BYTES, TAGS, BigBlob, image_manifest
from benchmarks.errors import WrongAnswer
from benchmarks.images import Sizes as ImageSizes
from benchmarks.limits import BARE_FILE, BARE_TLS, DURABLE_SMALL, DURABLE_WRITE
from benchmarks.load import download_s, request_rate, upload
from benchmarks.marking import Sizes as MarkingSizes
from benchmarks.scale import Sizes
from benchmarks.target import PUSH_SCOPE, REPOSITORY, Target, token_path

ANONYMOUS_SCOPE = "repository:public/app:pull"
_BLOBS = f"/v2/{REPOSITORY}/blobs"
_MANIFESTS = f"/v2/{REPOSITORY}/manifests"


@dataclass(frozen=True, slots=True)
class Effort:
    """The sizes of one run."""

    rounds: int
    big_mib: int  # the blob that is pushed and pulled repeatedly
    wrk_s: int  # how long each work with wrk lasts
    small_pushes: int  # in one measurement
    passage_mib: int  # the blob of the memory run
    worker_rounds: int  # with two workers
    weight_rounds: int
    scale: Sizes
    images: ImageSizes
    markings: MarkingSizes


@dataclass(frozen=True, slots=True)
class Content:
    """The content of both targets before anything is measured, and what is pushed to both."""

    big: BigBlob  # another blob in each round
    layer: Digest  # the big blob as `prepare` pushed it
    config: bytes
    manifest: bytes

    @classmethod
    def around(cls, big: BigBlob) -> "Content":
        """A small image whose only layer is the big blob as it is now."""
        config = os.urandom(SMALL_BYTES)
        return cls(big, big.digest, config, image_manifest(Digest.of(config), big.digest, big.size))


@dataclass(frozen=True, slots=True)
class Turn:
    """One measurement: the target, the content, the sizes, and the round (0 is the warm-up)."""

    target: Target
    content: Content
    effort: Effort
    round: int


@dataclass(frozen=True, slots=True)
class Work:
    """`measure` returns a figure in `unit`, more is better; `limit` names its bound, in the same unit.

    Works that `issue` tokens have no peer.
    """

    name: str
    title: str
    unit: str
    limit: str
    measure: Callable[[Turn], float]
    issues_tokens: bool = False


def prepare(target: Target, content: Content) -> None:
    """Push the content that works pull, and check once that the big blob is returned unchanged."""
    with target.connect(target.authorization()) as client:
        location = upload(target, client.open_upload(REPOSITORY), content.big.path, target.authorization())
        client.close_upload(local(location), content.layer)
        client.push_blob(REPOSITORY, content.config, Digest.of(content.config))
        for tag in TAGS:
            client.push_manifest(REPOSITORY, tag, content.manifest)
        size, digest = client.download(f"{_BLOBS}/{content.layer}")
    if (size, digest) != (content.big.size, content.layer):
        raise WrongAnswer(f"{target.name} answers {size} bytes with {digest} for {content.layer}")


def push_one(turn: Turn) -> float:
    """MiB/s of a new blob: POST, PATCH with all of it, PUT. The clock stops at the 201."""
    target, big = turn.target, turn.content.big
    big.become(turn.round + 1)
    os.sync()  # unwritten data of an earlier work must not slow this one down
    headers = target.authorization()
    with target.connect(headers) as client:
        client.request("GET", "/v2/", expect=200)
        began = time.perf_counter()
        location = upload(target, client.open_upload(REPOSITORY), big.path, headers)
        client.close_upload(local(location), big.digest)
        took = time.perf_counter() - began
    return big.size / MIB / took


def pull(streams: int) -> Callable[[Turn], float]:
    """MiB/s of several connections that pull the same blob at once, added up."""

    def measure(turn: Turn) -> float:
        target, size = turn.target, turn.content.big.size
        path, headers = f"{_BLOBS}/{turn.content.layer}", target.authorization()
        with target.connect(headers) as client:
            check_digest(client.request("HEAD", path, expect=200), turn.content.layer)
        return streams * size / MIB / download_s(target, path, size, headers, streams=streams)

    return measure


def push_small(turn: Turn) -> float:
    """New small blobs per second, one after the other over one connection: POST and PUT with the body for each."""
    blobs = [os.urandom(SMALL_BYTES) for _ in range(turn.effort.small_pushes)]
    digests = [Digest.of(blob) for blob in blobs]
    os.sync()
    with turn.target.connect(turn.target.authorization()) as client:
        client.request("GET", "/v2/", expect=200)
        began = time.perf_counter()
        for blob, digest in zip(blobs, digests, strict=True):
            client.push_blob(REPOSITORY, blob, digest)
        took = time.perf_counter() - began
    return len(blobs) / took


def manifest_by_tag(turn: Turn) -> float:
    """Answers per second for a manifest by its tag."""
    return _get_rate(turn, f"{_MANIFESTS}/{TAGS[0]}", _same(turn.content.manifest), {"Accept": MANIFEST})


def manifest_by_digest(turn: Turn) -> float:
    """Answers per second for a manifest by its digest."""
    path = f"{_MANIFESTS}/{Digest.of(turn.content.manifest)}"
    return _get_rate(turn, path, _same(turn.content.manifest), {"Accept": MANIFEST})


def small_blob(turn: Turn) -> float:
    """Answers per second for a blob of SMALL_BYTES."""
    return _get_rate(turn, f"{_BLOBS}/{Digest.of(turn.content.config)}", _same(turn.content.config))


def tags_list(turn: Turn) -> float:
    """Answers per second for the list of all tags."""
    return _get_rate(turn, f"/v2/{REPOSITORY}/tags/list", lambda body: sorted(json.loads(body)["tags"]) == list(TAGS))


def base(turn: Turn) -> float:
    """Answers per second for `/v2/`."""
    return _get_rate(turn, "/v2/", _same(b"{}"))


def token_basic(turn: Turn) -> float:
    """Tokens per second for the right password."""
    return _token_rate(turn, token_path(PUSH_SCOPE), turn.target.basic())


def token_anonymous(turn: Turn) -> float:
    """Tokens per second without credentials."""
    return _token_rate(turn, token_path(ANONYMOUS_SCOPE), {})


WORKS = (
    Work("push", "push, one stream", "MiB/s", DURABLE_WRITE, push_one),
    Work("pull-1", "pull, one stream", "MiB/s", BARE_FILE, pull(1)),
    Work("pull-8", "pull, eight streams", "MiB/s", BARE_FILE, pull(8)),
    Work("manifest-tag", "manifest by tag", "1/s", BARE_TLS, manifest_by_tag),
    Work("manifest-digest", "manifest by digest", "1/s", BARE_TLS, manifest_by_digest),
    Work("blob-small", "small blob", "1/s", BARE_TLS, small_blob),
    Work("tags", "tags list", "1/s", BARE_TLS, tags_list),
    Work("base", "/v2/", "1/s", BARE_TLS, base),
    Work("push-small", "small blob push", "1/s", DURABLE_SMALL, push_small),
    Work("token-basic", "token, Basic", "1/s", BARE_TLS, token_basic, issues_tokens=True),
    Work("token-anonymous", "token, anonymous", "1/s", BARE_TLS, token_anonymous, issues_tokens=True),
)


def _get_rate(
    turn: Turn, path: str, is_right: Callable[[bytes], bool], headers: Mapping[str, str] | None = None
) -> float:
    """Check the body of one answer, then request as fast as possible."""
    carried = {**turn.target.authorization(), **(headers or {})}
    with turn.target.connect(carried) as client:
        body = client.request("GET", path, expect=200).body
    if not is_right(body):
        raise WrongAnswer(f"{turn.target.name} answers {path} with {body[:100]!r}")
    return request_rate(f"{turn.target.url}{path}", carried, seconds=turn.effort.wrk_s)


def _same(expected: bytes) -> Callable[[bytes], bool]:
    return expected.__eq__


def _token_rate(turn: Turn, path: str, headers: Mapping[str, str]) -> float:
    with turn.target.connect(headers) as client:
        read_token(client.request("GET", path, expect=200))
    return request_rate(f"{turn.target.url}{path}", headers, seconds=turn.effort.wrk_s)
