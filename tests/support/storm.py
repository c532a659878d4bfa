"""A storm: many clients push, mount, pull, delete and restore at once, beside collectors, while all are killed.

Each client keeps the ledger of what it was promised; `tests/support/aftermath.py` looks at what is left. Everything
random comes from one seed; the order in which the server answers is its own.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from authproxy.oci.media_types import OCI_IMAGE, OCI_INDEX
from tests.support import warm
from tests.support.ledger import Fate, Name, Operation
from tests.support.program import environment, succeed
from tests.support.registry import image, index, sha256
from tests.support.storm_client import GRACE_S, REPOSITORIES, TRASH_S, Answer, Client, Interrupted, Weather, pull
from tests.support.storm_collector import FLEETING, POLICY

PUSHERS, PULLERS, DELETERS, RESTORERS, COLLECTORS = 5, 2, 2, 1, 2
TAGS = tuple(f"t{number}" for number in range(6))  # in each repository, set by all pushers
FLEETING_TAGS = 8
# Images and indexes that all pushers push, besides images of their own.
COMMON_IMAGES, COMMON_INDEXES = 8, 3
MANY_KEPT = 4  # tags that are certain before something is deleted
CALM_S = 0.5
# So many lives are longer than the caller asks for, up to so long: a grace passes, and a sweep ends.
LONG_LIVES, LONG_S = 0.15, 16.0
CHUNK_BYTES = 100_000
# A client starts a push over as often as this, where something has gone meanwhile.
PUSHES = 6


@dataclass(frozen=True)
class Image:
    """A manifest with all that it needs."""

    manifest: bytes
    media_type: str = OCI_IMAGE
    blobs: tuple[bytes, ...] = ()
    children: tuple["Image", ...] = ()

    @property
    def digest(self) -> str:
        """Of the manifest."""
        return sha256(self.manifest)

    @property
    def all_blobs(self) -> set[str]:
        """The digests of its blobs and of those of its children."""
        own = {sha256(blob) for blob in self.blobs}
        return own.union(*(child.all_blobs for child in self.children))


def make_image(label: str, layers: tuple[bytes, ...]) -> Image:
    """An image that no other label has."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "label": label}).encode()
    return Image(image(config, layers), blobs=(config, *layers))


class StormClient(Client):
    """A client of a storm."""

    storm: "Storm"


class Refused(Exception):
    """Something that the push relies on has gone: the client starts it over."""


class Pusher(StormClient):
    """Pushes images to tags, both of which others push too."""

    pushed = 0

    async def do_one_thing(self) -> None:
        """Push an image or an index by a tag or by its digest, or delete a tag."""
        chance = self.random.random()
        if chance < 0.1:
            await self._delete_tag(Name(self.random.choice(REPOSITORIES), self.random.choice(TAGS)))
        elif chance < 0.2:
            await self._push(self._own(), Name(FLEETING, f"b{self.random.randrange(FLEETING_TAGS)}"))
        else:
            chosen = self._own() if chance < 0.45 else self.random.choice(self.storm.common)
            repository = self.random.choice(REPOSITORIES)
            tag = None if self.random.random() < 0.15 else Name(repository, self.random.choice(TAGS))
            await self._push(chosen, tag or Name(repository, chosen.digest))

    def _own(self) -> Image:
        self.pushed += 1
        own = self.random.randbytes(self.random.randrange(1, 100_000))
        return make_image(f"{self.number} {self.pushed}", (own, *self.random.sample(self.storm.shared, 2)))

    async def _delete_tag(self, tag: Name) -> None:
        if tag not in self.storm.ledger.tags:
            return
        with self.storm.ledger.delete(tag) as operation:
            answer = await self.ask("DELETE", f"/v2/{tag.repository}/manifests/{tag.reference}")
            if self.expect(answer, 202, 404):  # 404: it went with its image, or was never there
                operation.fate = Fate.DONE
                self.storm.done["untagged"] += 1

    async def _push(self, chosen: Image, to: Name) -> None:
        for _ in range(PUSHES):
            began = time.monotonic()
            try:
                await self._push_once(chosen, to)
            except Refused as refused:
                self.storm.done["pushed again"] += 1
                if not self.storm.may_have_gone(to.repository, chosen, began):
                    self.storm.faults.append(
                        f"push of {to} ({chosen.digest}) {time.monotonic() - began:.1f} s: {refused}"
                    )
                    return
            else:
                return
        self.storm.faults.append(f"push of {to} ({chosen.digest}) was refused {PUSHES} times")

    async def _push_once(self, chosen: Image, to: Name) -> None:
        repository, is_tag = to.repository, ":" not in to.reference
        for child in chosen.children:
            path = f"/v2/{repository}/manifests/{child.digest}"
            seen = await self.ask("HEAD", path)
            if self.expect(seen, 200, 404) and seen.status_code == 404:
                await self._push_once(child, Name(repository, child.digest))
        for content in chosen.blobs:
            await self._push_blob(repository, content)
        with self.storm.ledger.push(to if is_tag else None, Name(repository, chosen.digest)) as operation:
            path = f"/v2/{repository}/manifests/{to.reference}"
            headers = {"Content-Type": chosen.media_type}
            answer = await self.ask("PUT", path, content=chosen.manifest, headers=headers)
            if answer.status_code == 404:
                operation.fate = Fate.REFUSED
                raise Refused(answer.text[:300])
            if self.expect(answer, 201):
                operation.fate = Fate.DONE
                self.storm.done["pushed an index" if chosen.children else "pushed"] += 1

    async def _push_blob(self, repository: str, content: bytes) -> None:
        """Push as docker does, or as one of the others; go on with an interrupted session now and then."""
        digest = sha256(content)
        seen = await self.ask("HEAD", f"/v2/{repository}/blobs/{digest}")
        if self.expect(seen, 200, 404) and seen.status_code == 200:
            return
        way = self.random.choice(("one PUT", "one POST", "chunks", "mount", "mount", "mount"))
        source = self.random.choice([each for each in (*REPOSITORIES, FLEETING) if each != repository])
        query = {"one POST": {"digest": digest}, "mount": {"mount": digest, "from": source}}.get(way, {})
        body = content if way == "one POST" else b""
        opened = await self.ask("POST", f"/v2/{repository}/blobs/uploads/", params=query, content=body)
        if not self.expect(opened, 201, 202):
            return
        if opened.status_code == 201:
            self.storm.done["mounted" if way == "mount" else "uploaded"] += 1
            return
        session = httpx.URL(opened.headers["location"])
        sent = 0
        while way == "chunks" and sent < len(content):
            session, sent = await self._send_chunk(session, content, sent)
        closing = session.copy_merge_params({"digest": digest})
        if self.expect(await self.ask("PUT", closing, content=content[sent:]), 201):
            self.storm.done["uploaded"] += 1

    async def _send_chunk(self, session: httpx.URL, content: bytes, sent: int) -> tuple[httpx.URL, int]:
        """Send the next chunk: where the session is now, and how much it holds."""
        chunk = content[sent : sent + CHUNK_BYTES]
        headers = {"Content-Range": f"{sent}-{sent + len(chunk) - 1}"}
        try:
            answer = await self.ask("PATCH", session, content=chunk, headers=headers)
        except Interrupted:
            if self.random.random() < 0.5:
                raise
            # What was acknowledged is there after the kill, and the session goes on.
            answer = await self.ask("GET", session)
            if not self.expect(answer, 204):
                raise
            self.storm.done["continued"] += 1
        if not self.expect(answer, 202, 204):
            raise Interrupted
        last = int(answer.headers["range"].removeprefix("0-"))
        held = last + 1 if last else sent  # "0-0" is nothing or one byte, and one byte is never sent
        if not sent <= held <= sent + len(chunk):
            self.storm.faults.append(f"{session}: holds {held} bytes after {sent} were acknowledged")
        return httpx.URL(answer.headers["location"]), held


class Puller(StormClient):
    """Pulls images that have to be there, and looks at lists."""

    async def do_one_thing(self) -> None:
        """Pull an image by its tag or by its digest, or look at a list."""
        certain = self.storm.ledger.certain()
        if not certain:
            await asyncio.sleep(0.05)
            return
        tag, digest = self.random.choice(certain)
        if self.random.random() < 0.2:
            await self._look_at_tags(tag.repository)
            return
        found = await pull(self.ask, self.random.choice((tag, Name(tag.repository, digest))))
        if self.storm.ledger.certainly(tag) == digest:  # else somebody was asked to change it meanwhile
            self.storm.faults += found
        self.storm.done["pulled"] += 1

    async def _look_at_tags(self, repository: str) -> None:
        before = {pair for pair in self.storm.ledger.certain() if pair[0].repository == repository}
        answer = await self.ask("GET", f"/v2/{repository}/tags/list")
        if answer.status_code == 404 and not before:
            return
        if not self.expect(answer, 200):
            return
        missing = {str(pair[0]) for pair in before & set(self.storm.ledger.certain())} - {
            f"{repository}:{tag}" for tag in answer.json()["tags"]
        }
        self.storm.faults += [f"{tag} is not in the list of tags" for tag in missing]
        self.storm.done["listed"] += 1


class Deleter(StormClient):
    """Deletes images by digest with the tags that point at them, blobs, and all images of a repository."""

    async def do_one_thing(self) -> None:
        """Delete something."""
        await asyncio.sleep(self.random.uniform(0, 0.4))
        certain = self.storm.ledger.certain()
        if len(certain) <= MANY_KEPT:
            return
        tag, digest = self.random.choice(certain)
        chance = self.random.random()
        if chance < 0.25:
            await self._delete_blob(tag.repository, self.random.choice(self.storm.blobs))
        elif chance < 0.28:
            self.storm.done["emptied a repository"] += 1
            for name in [name for name in self.storm.ledger.pushes if name.repository == tag.repository]:
                await self._delete_image(name)
        else:
            await self._delete_image(Name(tag.repository, digest))

    async def _delete_image(self, name: Name) -> None:
        with self.storm.ledger.delete(name) as operation:
            answer = await self.ask("DELETE", f"/v2/{name.repository}/manifests/{name.reference}")
            self._note(answer, operation)
        self.storm.done["deleted" if answer.status_code == 202 else "delete refused"] += 1

    def _note(self, answer: Answer, operation: Operation) -> None:
        if self.expect(answer, 202, 404, 405):  # 405: an index names it
            operation.fate = Fate.DONE if answer.status_code == 202 else Fate.REFUSED

    async def _delete_blob(self, repository: str, digest: str) -> None:
        with self.storm.deleting_blob(repository, digest):
            answer = await self.ask("DELETE", f"/v2/{repository}/blobs/{digest}")
        self.expect(answer, 202, 404, 405)  # 405: a manifest names it
        self.storm.done["deleted a blob" if answer.status_code == 202 else "delete of a blob refused"] += 1


class Restorer(StormClient):
    """Restores tags with `authproxy undelete`."""

    async def do_one_thing(self) -> None:
        """Restore a tag that may be gone."""
        await asyncio.sleep(self.random.uniform(0.2, 1.0))
        missing = [tag for tag in self.storm.ledger.tags if tag.repository != FLEETING]
        missing = [tag for tag in missing if self.storm.ledger.allowed(tag) == {None}]
        if not missing:
            return
        await self.storm.is_up.wait()
        tag = self.random.choice(missing)
        life = self.storm.lives
        with self.storm.ledger.undelete(tag) as operation:
            code, output = await self.storm.run_command(
                "undelete", str(tag), "--storage", str(self.storm.server.storage)
            )
            if code == 0:
                operation.fate = Fate.DONE
                self.storm.done["restored"] += 1
            elif life == self.storm.lives and ("trash" in output or "is gone" in output):
                self.storm.done["not restored"] += 1
            elif life == self.storm.lives and self.storm.is_up.is_set():
                self.storm.faults.append(f"undelete {tag}: {code} {output[-300:]}")


@dataclass
class Storm(Weather):
    """One storm on one server."""

    processes: list[warm.Process | subprocess.Popen[bytes]] = field(default_factory=list)  # besides the server
    lock: threading.Lock = field(default_factory=threading.Lock)  # a command is polled by one thread at a time
    blob_deletes: dict[Name, float] = field(default_factory=dict)  # when each may have taken place at the latest

    def __post_init__(self) -> None:
        super().__post_init__()
        images = [
            make_image(f"common {number}", tuple(self.random.sample(self.shared, 2))) for number in range(COMMON_IMAGES)
        ]
        indexes = []
        for number in range(COMMON_INDEXES):
            children = tuple(self.random.sample(images, 2))
            content = index([child.manifest for child in children], annotations={"number": str(number)})
            indexes.append(Image(content, OCI_INDEX, children=children))
        self.common = [*images, *indexes]
        self.blobs = sorted(set().union(*(image.all_blobs for image in images)))
        self.policy = self.server.folder / "storm.yaml"
        self.policy.write_text(POLICY)

    async def rage(
        self, seconds: float, *, kill_every_s: tuple[float, float] | None, kills: int = 0, collects: bool = True
    ) -> None:
        """Let all work for so long, and for so many kills, and until each kind has come to something.

        `kill_every_s`: the shortest and the longest life of the server, counted from when it serves; None: no kills.
        """
        self.is_up.set()
        self.is_over = False
        if collects:
            succeed(
                *(warm.AUTHPROXY, "gc", "--enable", "--storage", str(self.server.storage)),
                env=environment(self.server.folder),
                cwd=self.server.folder,
            )
            self._start_collectors()
        clients = [
            *(Pusher(self, number) for number in range(PUSHERS)),
            *(Puller(self, number) for number in range(PULLERS)),
            *(Deleter(self, number) for number in range(DELETERS)),
            *(Restorer(self, number) for number in range(RESTORERS if collects else 0)),
        ]
        last_kill = self.lives + kills
        try:
            async with asyncio.TaskGroup() as group:
                for client in clients:
                    group.create_task(client.work())
                end = time.monotonic() + seconds
                while (
                    time.monotonic() < end
                    or self.lives < last_kill
                    or not self._has_come_to_something(kills=kill_every_s is not None)
                ) and not self.faults:
                    await self._live(kill_every_s, collects=collects)
                self.is_over = True
            self._check_collectors()
        finally:
            self._kill_processes()

    def removed(self) -> str:
        """What the collectors' runs that came to their end have removed."""
        lines = [line.split() for line in (self.server.folder / "collector.log").read_text().splitlines()]
        sums = [sum(map(int, column)) for column in zip(*lines, strict=True)] or [0] * 4
        return "{} runs: {} revisions, {} layers, {} blobs removed, {} spared".format(len(lines), *sums)

    def may_have_gone(self, repository: str, chosen: Image, since: float) -> bool:
        """Whether something that a push found may be missing at its end by right.

        A blob that was deleted, an image of an index that was, or any of them after a grace.
        """
        if time.monotonic() - since > GRACE_S - 1:
            return True
        names = [Name(repository, digest) for digest in chosen.all_blobs]
        if any(self.blob_deletes.get(name, 0.0) > since for name in names):
            return True
        return any(
            deleted.fate is not Fate.REFUSED and deleted.latest > since
            for child in chosen.children
            for deleted in self.ledger.deletes[Name(repository, child.digest)]
        )

    @contextmanager
    def deleting_blob(self, repository: str, digest: str) -> Iterator[None]:
        """Note that a blob may go."""
        name = Name(repository, digest)
        self.blob_deletes[name] = float("inf")
        try:
            yield
        finally:
            self.blob_deletes[name] = time.monotonic() + 1.0  # two at the same time end together

    async def run_command(self, *arguments: str) -> tuple[int, str]:
        """Run our command to its end, or until it is killed with all others."""
        log = self.server.folder / f"command-{self.lives}-{time.monotonic_ns()}.log"
        process = await asyncio.to_thread(self._start_command, arguments, log)
        while (code := self._poll(process)) is None:  # noqa: ASYNC110 - nothing tells of the end of a process
            await asyncio.sleep(0.05)
        if process in self.processes:
            self.processes.remove(process)
        text = log.read_text()
        log.unlink()
        return code, text

    def _poll(self, process: warm.Process) -> int | None:
        with self.lock:
            return process.poll()

    def _start_command(self, arguments: Sequence[str], log: Path) -> warm.Process:
        with log.open("wb") as output, Path(os.devnull).open("rb") as nothing:
            process = warm.start(
                [warm.AUTHPROXY, *arguments],
                folder=self.server.folder,
                env=environment(self.server.folder),
                stdin=nothing,
                stdout=output,
                stderr=output,
            )
        self.processes.append(process)
        return process

    def _start_collectors(self) -> None:
        arguments = [str(self.server.storage), str(GRACE_S), str(TRASH_S), str(self.policy)]
        for _ in range(COLLECTORS):
            with (self.server.folder / "collector.log").open("ab") as log:
                program = [sys.executable, "-m", "tests.support.storm_collector", *arguments]
                self.processes.append(
                    subprocess.Popen(
                        program, cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL, stdout=log, stderr=log
                    )
                )

    def _check_collectors(self) -> None:
        """A collector runs until it is killed."""
        for process in self.processes:
            if isinstance(process, subprocess.Popen) and process.poll() is not None:
                said = (self.server.folder / "collector.log").read_text()[-2000:]
                self.faults.append(f"a collector ended with {process.returncode}: {said}")

    def _kill_processes(self) -> None:
        killed, self.processes = self.processes, []
        with self.lock:
            for process in killed:
                process.send_signal(signal.SIGKILL)
        for process in killed:
            if isinstance(process, subprocess.Popen):  # a command is waited for where it was started
                process.wait()

    async def _live(self, kill_every_s: tuple[float, float] | None, *, collects: bool) -> None:
        if kill_every_s is None:
            await asyncio.sleep(CALM_S)
            return
        longest = kill_every_s[1]
        is_long = self.random.random() < LONG_LIVES
        await asyncio.sleep(self.random.uniform(longest, LONG_S) if is_long else self.random.uniform(*kill_every_s))
        self.is_up.clear()
        self.lives += 1
        await asyncio.to_thread(self._kill_all)
        await asyncio.to_thread(self.server.start)
        if collects:
            self._start_collectors()
        self.is_up.set()

    def _kill_all(self) -> None:
        self._check_collectors()
        with self.lock:
            for process in self.processes:  # first all signals
                process.send_signal(signal.SIGKILL)
        self.server.kill_group()
        self._kill_processes()

    def _has_come_to_something(self, *, kills: bool) -> bool:
        """On a busy machine a few seconds may be too few. Bounded: what hangs ends with the time-out of a request."""
        wanted = {"pushed", "pulled", "deleted"} | ({"interrupted"} if kills else set())
        return wanted <= self.done.keys() and len(self.ledger.certain()) > MANY_KEPT
