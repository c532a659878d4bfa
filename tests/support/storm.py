"""A storm: many clients push, pull and delete at once while the server is killed and started again.

Each client keeps the ledger of what it was promised; `tests/support/aftermath.py` looks at what is left. Everything
random comes from one seed; the order in which the server answers is its own.
"""

import asyncio
import json
import time

import httpx

from authproxy.oci.media_types import OCI_IMAGE
from tests.support.ledger import Name
from tests.support.registry import descriptor, sha256
from tests.support.storm_client import REPOSITORIES, Client, Interrupted, Weather, pull

PUSHERS, PULLERS, DELETERS = 6, 3, 2
TAGS_OF_ONE = 5  # tags that one pusher sets again and again, so that deletes and overwrites meet
MANY_KEPT = 5  # images that are there before one of them is deleted
CALM_S = 0.5
TAG_DELETES = 0.1  # of all that a pusher does
CHUNK_BYTES = 100_000


class Pusher(Client):
    """Pushes images that no other has to tags that no other sets."""

    pushed = 0

    async def do_one_thing(self) -> None:
        """Push an image, or delete a tag."""
        repository = self.random.choice(REPOSITORIES)
        tag = Name(repository, f"p{self.number}-{self.random.randrange(TAGS_OF_ONE)}")
        if tag in self.storm.ledger.tags and self.random.random() < TAG_DELETES:
            await self._delete_tag(tag)
        else:
            await self._push(tag)

    async def _delete_tag(self, tag: Name) -> None:
        self.storm.ledger.tag_delete_begins(tag)
        answer = await self.ask("DELETE", f"/v2/{tag.repository}/manifests/{tag.reference}")
        if self.expect(answer, 202, 404):  # 404: it went with its image, or was never there
            self.storm.ledger.tag_delete_is_answered(tag)
            self.storm.done["untagged"] += 1

    async def _push(self, tag: Name) -> None:
        repository = tag.repository
        self.pushed += 1
        own = self.random.randbytes(self.random.randrange(1, 200_000))
        layers = [own, *self.random.sample(self.storm.shared, 2)]
        config = json.dumps({"architecture": "amd64", "os": "linux", "number": f"{self.number} {self.pushed}"}).encode()
        for content in (config, *layers):
            await self._push_blob(repository, content)
        body = {
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE,
            "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
            "layers": [descriptor(layer, "application/vnd.oci.image.layer.v1.tar") for layer in layers],
        }
        manifest = json.dumps(body).encode()
        ledger, digest = self.storm.ledger, sha256(manifest)
        ledger.push_begins(tag, digest)
        headers = {"Content-Type": OCI_IMAGE}
        path = f"/v2/{repository}/manifests/{tag.reference}"
        if self.expect(await self.ask("PUT", path, content=manifest, headers=headers), 201):
            ledger.push_is_answered(tag, digest)
            self.storm.done["pushed"] += 1

    async def _push_blob(self, repository: str, content: bytes) -> None:
        """Push as docker does, or as one of the others; go on with an interrupted session now and then."""
        digest = sha256(content)
        seen = await self.ask("HEAD", f"/v2/{repository}/blobs/{digest}")
        if self.expect(seen, 200, 404) and seen.status_code == 200:
            return
        way = self.random.choice(("one PUT", "one POST", "chunks", "mount"))
        query = {"one POST": {"digest": digest}, "mount": {"mount": digest}}.get(way, {})
        body = content if way == "one POST" else b""
        opened = await self.ask("POST", f"/v2/{repository}/blobs/uploads/", params=query, content=body)
        if not self.expect(opened, 201, 202) or opened.status_code == 201:
            return
        session = httpx.URL(opened.headers["location"])
        sent = 0
        while way == "chunks" and sent < len(content):
            session, sent = await self._send_chunk(session, content, sent)
        closing = session.copy_merge_params({"digest": digest})
        self.expect(await self.ask("PUT", closing, content=content[sent:]), 201)

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


class Puller(Client):
    """Pulls images that have to be there, and looks at lists."""

    async def do_one_thing(self) -> None:
        """Pull an image, or look at a list."""
        kept = self.storm.ledger.kept()
        if not kept:
            await asyncio.sleep(0.05)
        elif self.random.random() < 0.1:
            await self._look_at_tags(self.random.choice(kept).repository)
        else:
            await self._pull(self.random.choice(kept))

    async def _pull(self, image: Name) -> None:
        found = await pull(self.ask, image)
        if self.storm.ledger.is_kept(image):  # else somebody was told to delete it meanwhile
            self.storm.faults += found
        self.storm.done["pulled"] += 1

    async def _look_at_tags(self, repository: str) -> None:
        before = self._certain(repository)
        answer = await self.ask("GET", f"/v2/{repository}/tags/list")
        if not self.expect(answer, 200):
            return
        # What was sure before and after: no image is pushed twice, so a tag that was set anew shows another digest.
        missing = {tag for tag, _ in before & self._certain(repository)} - set(answer.json()["tags"])
        self.storm.faults += [f"{repository}:{tag} is not in the list of tags" for tag in missing]
        self.storm.done["listed"] += 1

    def _certain(self, repository: str) -> set[tuple[str, str]]:
        """The tags that are there without a doubt, and what they point at."""
        tags = self.storm.ledger.tags.items()
        return {
            (name.reference, str(digest))
            for name, allowed in tags
            if name.repository == repository and len(allowed) == 1
            for digest in allowed - {None}
        }


class Deleter(Client):
    """Deletes images by digest, with the tags that point at them."""

    async def do_one_thing(self) -> None:
        """Delete an image."""
        await asyncio.sleep(self.random.uniform(0, 0.3))
        kept = self.storm.ledger.kept()
        if len(kept) <= MANY_KEPT:
            return
        image = self.random.choice(kept)
        self.storm.ledger.delete_begins(image)
        answer = await self.ask("DELETE", f"/v2/{image.repository}/manifests/{image.reference}")
        if self.expect(answer, 202):
            self.storm.ledger.delete_is_answered(image)
            self.storm.done["deleted"] += 1


class Storm(Weather):
    """One storm on one server."""

    async def rage(self, seconds: float, *, kill_every_s: tuple[float, float] | None) -> None:
        """Let all clients work for so long, and until each kind has come to something.

        `kill_every_s`: the shortest and the longest life of the server, counted from when it serves; None: no kills.
        """
        self.is_up.set()
        self.is_over = False
        async with asyncio.TaskGroup() as group:
            for number in range(PUSHERS):
                group.create_task(Pusher(self, number).work())
            for number in range(PULLERS):
                group.create_task(Puller(self, number).work())
            for number in range(DELETERS):
                group.create_task(Deleter(self, number).work())
            end = time.monotonic() + seconds
            while time.monotonic() < end or not self._has_come_to_something(kills=kill_every_s is not None):
                await self._live(kill_every_s)
            self.is_over = True

    async def _live(self, kill_every_s: tuple[float, float] | None) -> None:
        if kill_every_s is None:
            await asyncio.sleep(CALM_S)
            return
        await asyncio.sleep(self.random.uniform(*kill_every_s))
        self.is_up.clear()
        self.lives += 1
        await asyncio.to_thread(self.server.kill_group)
        await asyncio.to_thread(self.server.start)
        self.is_up.set()

    def _has_come_to_something(self, *, kills: bool) -> bool:
        """On a busy machine a few seconds may be too few. Bounded: what hangs ends with the time-out of a request."""
        wanted = {"pushed", "pulled", "deleted"} | ({"interrupted"} if kills else set())
        return wanted <= self.done.keys() and len(self.ledger.kept()) > MANY_KEPT
