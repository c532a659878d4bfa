"""Processes that stop between two steps, as with SIGSTOP, while others go on over the same folder; then they go on.

A collector and servers, each a process of its own. Whatever was acknowledged meanwhile is there afterwards.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from authproxy.oci.media_types import OCI_IMAGE
from tests.support import one_collection, stopping
from tests.support.binaries import binary
from tests.support.peers import OUR_CONFIGURATION, running_docker_registry, running_open_server
from tests.support.program import environment, succeed
from tests.support.registry import image, sha256
from tests.support.server import AUTHPROXY, Server, running_server

T = TypeVar("T")

REPOSITORY = "team/app"
CONFIG, LAYER = b"a config", b"a layer of many images"
IMAGE = image(CONFIG, [LAYER])
NEWER = image(CONFIG, [LAYER], annotations={"is": "newer"})
GRACE_S = 1.0
STOPPED_WITHIN_S = 20.0
# What a process does beside one that has stopped takes less, unless it waits for that.
BESIDE_S = 3.0
# How old a request may be that moves a tag: authproxy/registry/deletions.py.
MAX_AGE_S = 30.0

DRIVER = "authproxy.storage.filesystem.driver:FilesystemDriver"
# A push that stops between its look for what it needs and its tag.
MOVE = ("authproxy.storage.filesystem.publication:FilePublication.move", "")


@dataclass
class Folder:
    """A storage with a server that goes on, and processes that stop."""

    path: Path
    server: Server
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """The storage."""
        return self.path / "storage"

    def collect(self) -> str:
        """One run of a collector: what it says."""
        with self.collecting() as process:
            said, _ = process.communicate(timeout=STOPPED_WITHIN_S)
        return said.strip()

    def pass_grace(self) -> None:
        """Time counts from the next tick on, and a tick begins with a run."""
        for _ in range(2):
            time.sleep(GRACE_S + 0.3)
            if _ == 0:
                assert self.collect() == "waiting"

    @contextmanager
    def collecting(self, method: str = f"{DRIVER}.close", part: str = "never") -> Iterator[subprocess.Popen[str]]:
        """A collector that stops before a step."""
        armed = self.path / f"armed-{time.monotonic_ns()}"
        armed.touch()
        program = [one_collection.__file__, str(self.root), str(GRACE_S), "0"]
        with subprocess.Popen(
            [sys.executable, stopping.__file__, method, part, str(armed), *program],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.send_signal(signal.SIGCONT)
                process.wait(STOPPED_WITHIN_S)

    def condemn_image(self) -> None:
        """An image that was tagged once, and is condemned with all that it names; its grace is over."""
        push(self.server.url, "old")
        self.delete("old")
        assert self.collect() == "removed 0 0"
        self.pass_grace()

    def condemn_bytes(self) -> None:
        """Content without a link, whose grace is over."""
        self.condemn_image()
        assert self.collect() == "removed 3 0"
        self.pass_grace()

    def delete(self, reference: str, url: str | None = None) -> int:
        """A client deletes a tag or a manifest."""
        path = f"{url or self.server.url}/v2/{REPOSITORY}/manifests/{reference}"
        return httpx.delete(path, trust_env=False, timeout=60).status_code

    def assert_whole(self, tag: str = "v1", content: bytes = IMAGE) -> None:
        """The image can be pulled by tag and digest, from a new process too; verify is clean."""
        with running_open_server(self.path / f"another-{time.monotonic_ns()}", self.root) as another:
            for url in (self.server.url, another.url):
                for reference in (tag, sha256(content)):
                    assert get(url, f"manifests/{reference}").content == content, (url, reference)
                for blob in (CONFIG, LAYER):
                    assert get(url, f"blobs/{sha256(blob)}").content == blob, url
        env = environment(self.path)
        succeed(*(AUTHPROXY, "verify", "--storage", str(self.root)), env=env, cwd=self.path)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with running_open_server(tmp_path / "server", tmp_path / "storage") as server:
        env = environment(tmp_path)
        succeed(*(AUTHPROXY, "gc", "--enable", "--storage", str(tmp_path / "storage")), env=env, cwd=tmp_path)
        yield Folder(tmp_path, server)


@contextmanager
def stopping_server(folder: Folder, method: str, part: str) -> Iterator[tuple[Server, Path]]:
    """A second server over the folder, which stops before a step once the file is there."""
    home, armed = folder.path / "stops", folder.path / "armed"
    home.mkdir()
    (home / "config.yml").write_text(OUR_CONFIGURATION.format(root=folder.root))
    through = (sys.executable, stopping.__file__, method, part, str(armed))
    with running_server(home, arguments=["config.yml"], has_tls=False, through=through) as server:
        try:
            yield server, armed
        finally:
            os.kill(server.pid, signal.SIGCONT)


@contextmanager
def stopped(
    folder: Folder, step: tuple[str, str], call: Callable[[str], T]
) -> Iterator[tuple[int, Future[T], ThreadPoolExecutor]]:
    """A call to a second server that has stopped before a step of it: the server's process, and the call.

    With threads for what happens meanwhile.
    """
    with ThreadPoolExecutor() as threads, stopping_server(folder, *step) as (stops, armed):
        armed.touch()
        called = threads.submit(call, stops.url)
        wait_until_stopped(stops.pid)
        yield stops.pid, called, threads


def get(url: str, path: str) -> httpx.Response:
    return httpx.get(f"{url}/v2/{REPOSITORY}/{path}", trust_env=False, timeout=60)


def put(url: str, tag: str, content: bytes = IMAGE) -> httpx.Response:
    path = f"{url}/v2/{REPOSITORY}/manifests/{tag}"
    return httpx.put(path, content=content, headers={"Content-Type": OCI_IMAGE}, trust_env=False, timeout=60)


def push(url: str, tag: str, content: bytes = IMAGE) -> None:
    """Push as docker does: HEAD, upload what is missing, PUT; again where something has gone meanwhile."""
    with httpx.Client(base_url=f"{url}/v2/{REPOSITORY}", trust_env=False, timeout=60) as client:
        statuses: list[int] = []
        while statuses[-1:] != [201]:
            for blob in (CONFIG, LAYER):
                if client.head(f"/blobs/{sha256(blob)}").status_code != 200:
                    answer = client.post("/blobs/uploads/", params={"digest": sha256(blob)}, content=blob)
                    assert answer.status_code == 201, answer.text
            statuses.append(put(url, tag, content).status_code)
            assert statuses[-1] in (201, 404, 503)
            assert len(statuses) <= 3, statuses


def wait_until_stopped(pid: int) -> None:
    deadline = time.monotonic() + STOPPED_WITHIN_S
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline, "it has not reached the step"
        time.sleep(0.02)


def go_on(pid: int, *, beside: Future[Any] | None = None) -> None:
    """Let what runs beside end, or wait for the process that has stopped, and let that go on."""
    deadline = time.monotonic() + BESIDE_S
    while beside is not None and not beside.done() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(pid, signal.SIGCONT)


# Where a collector stops, as (method, a part of its arguments).
SWEEP = {
    "between marking and sweep": (f"{DRIVER}.write", "/deleting/"),
    "before the batch is named": (f"{DRIVER}.replace", '"batch"'),
    "between the look for promises and the first removal": (f"{DRIVER}.delete_fenced", "docker/registry"),
    "between the comparison and the removal of a link": (f"{DRIVER}._remove", "_layers"),
    "before the next epoch": (f"{DRIVER}.replace", '"tick": null'),
}
BYTES = {
    "between the look for promises and the removal of bytes": (f"{DRIVER}.delete_fenced", "/blobs/"),
    "between the comparison and the removal of bytes": (f"{DRIVER}._remove", "/blobs/"),
}


@pytest.mark.parametrize("where", [*SWEEP, *BYTES])
def test_a_push_beside_a_collector_that_has_stopped(folder: Folder, where: str) -> None:
    if where in SWEEP:
        folder.condemn_image()
    else:
        folder.condemn_bytes()
    with ThreadPoolExecutor() as threads, folder.collecting(*{**SWEEP, **BYTES}[where]) as collector:
        wait_until_stopped(collector.pid)
        pushed = threads.submit(push, folder.server.url, "v1")
        go_on(collector.pid, beside=pushed)
        pushed.result()
        collector.wait(STOPPED_WITHIN_S)
    folder.assert_whole()


@pytest.mark.parametrize("where", [*SWEEP, *BYTES])
def test_a_collector_that_has_stopped_and_another_that_takes_over(folder: Folder, where: str) -> None:
    """The other one collects, then the content is pushed, and the first goes on with what it had decided."""
    if where in SWEEP:
        folder.condemn_image()
    else:
        folder.condemn_bytes()
    with ThreadPoolExecutor() as threads, folder.collecting(*{**SWEEP, **BYTES}[where]) as collector:
        wait_until_stopped(collector.pid)

        def beside() -> None:
            folder.collect()
            push(folder.server.url, "v1")

        done = threads.submit(beside)
        go_on(collector.pid, beside=done)
        done.result()
        collector.wait(STOPPED_WITHIN_S)
    folder.assert_whole()


@pytest.mark.parametrize(
    "step",
    [(f"{DRIVER}.delete_fenced", "current"), (f"{DRIVER}._remove", "current"), (f"{DRIVER}._remove", "revisions")],
    ids=["before the tag goes", "between comparison and removal of the tag", "between those of the manifest"],
)
def test_a_deletion_that_has_stopped_and_a_push(folder: Folder, step: tuple[str, str]) -> None:
    push(folder.server.url, "old")
    with stopped(folder, step, partial(folder.delete, sha256(IMAGE))) as (pid, deleted, threads):
        pushed = threads.submit(push, folder.server.url, "v1")
        go_on(pid, beside=pushed)
        pushed.result()
        assert deleted.result() == 202
        folder.assert_whole()


def test_a_push_that_has_stopped_between_look_and_tag_and_a_deletion(folder: Folder) -> None:
    push(folder.server.url, "old")
    with stopped(folder, MOVE, lambda url: put(url, "v1")) as (pid, pushed, threads):
        deleted = threads.submit(folder.delete, sha256(IMAGE))
        go_on(pid, beside=deleted)
        assert deleted.result() == 202
        assert pushed.result().status_code == 201
        folder.assert_whole()


def test_a_push_that_has_stopped_between_look_and_tag_and_a_collector(folder: Folder) -> None:
    folder.condemn_image()
    with stopped(folder, MOVE, lambda url: push(url, "v1")) as (pid, pushed, _):
        assert folder.collect() == "removed 0 0"
        go_on(pid)
        pushed.result()
        folder.assert_whole()


def test_a_push_that_was_stopped_for_long_overwrites_no_newer_one(folder: Folder) -> None:
    push(folder.server.url, "old")
    with stopped(folder, MOVE, lambda url: put(url, "v1")) as (pid, pushed, _):
        push(folder.server.url, "v1", NEWER)
        time.sleep(MAX_AGE_S + 1)
        go_on(pid)
        assert pushed.result().status_code == 503
        folder.assert_whole("v1", NEWER)


def test_head_then_collect_then_put_loses_nothing(folder: Folder) -> None:
    """The race that CNCF Distribution loses: below."""
    url = f"{folder.server.url}/v2/{REPOSITORY}"
    for blob in (CONFIG, LAYER):
        httpx.post(f"{url}/blobs/uploads/", params={"digest": sha256(blob)}, content=blob, trust_env=False)
    assert folder.collect() == "removed 0 0"
    folder.pass_grace()
    for blob in (CONFIG, LAYER):
        assert httpx.head(f"{url}/blobs/{sha256(blob)}", trust_env=False).status_code == 200
    assert folder.collect() == "removed 0 0"
    assert put(folder.server.url, "v1").status_code == 201
    folder.assert_whole()


def test_docker_registry_loses_a_layer_that_head_has_found(tmp_path: Path) -> None:
    """What others do: HEAD says 200, `garbage-collect` takes the layer, and the image that is pushed lacks it."""
    # Its default configuration has this cache.
    with running_docker_registry(tmp_path, settings={"REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR": "inmemory"}) as url:
        repository = f"{url}/v2/{REPOSITORY}"
        for blob in (CONFIG, LAYER):
            opened = httpx.post(f"{repository}/blobs/uploads/", trust_env=False)
            where = httpx.URL(opened.headers["location"]).copy_merge_params({"digest": sha256(blob)})
            assert httpx.put(where, content=blob, trust_env=False).status_code == 201
            assert httpx.head(f"{repository}/blobs/{sha256(blob)}", trust_env=False).status_code == 200
        subprocess.run(
            [binary("docker-registry"), "garbage-collect", "config.yml"],
            cwd=tmp_path,
            env=environment(tmp_path),
            check=True,
            capture_output=True,
        )
        pushed = put(url, "v1")
        assert pushed.status_code == 201, pushed.text
    with running_docker_registry(tmp_path) as url:
        assert get(url, f"blobs/{sha256(LAYER)}").status_code == 404
