"""A registry in the model: a core for each actor above one storage, clients' requests, and what they were promised."""

import json
import math
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from authproxy import asgi
from authproxy.client_view import ClientView
from authproxy.errors import RegistryError
from authproxy.oci.media_types import OCI_IMAGE, OCI_INDEX
from authproxy.reference import Repository, Tag
from authproxy.registry.core import Core
from authproxy.registry.deletions import MAX_AGE_S
from authproxy.registry.options import Rules
from authproxy.registry.undelete import NotRestorable, Undelete
from authproxy.route import MANIFEST_LIST, parse_route
from authproxy.storage.driver import Driver
from tests.model.schedule import Act, Schedule
from tests.model.twins import BucketTwin, FolderTwin
from tests.support.registry import descriptor, image, index, sha256

REPOSITORY = "r"
OTHER = "s"
BLOBS = {name: name.encode() for name in ("config", "one", "two")}
IMAGES = {
    "first": image(BLOBS["config"], [BLOBS["one"]]),
    "second": image(BLOBS["config"], [BLOBS["one"], BLOBS["two"]], annotations={"x": "2"}),
}
INDEXES = {"list": index([IMAGES["first"]])}
# What refers to another image, which need not be there.
REFERRERS = {"signature": image(BLOBS["config"], [BLOBS["two"]], subject=descriptor(IMAGES["first"], OCI_IMAGE))}
MANIFESTS = {**IMAGES, **INDEXES, **REFERRERS}

# A client tries a request, or a whole push, as often as this.
ATTEMPTS = 4


@dataclass
class Operation:
    """One request of a client. It begins with its first step in the storage. `ended`: None if it has not."""

    kind: str  # "push", "delete", "head" of a manifest
    reference: str  # the tag or digest
    digest: str  # of the manifest; "" for a deletion by tag
    began: float
    ended: float | None = None
    status: int = 0
    repository: str = REPOSITORY

    @property
    def is_promised(self) -> bool:
        """Whether the client was told that it is done, or that it is there."""
        return self.status in (200, 201, 202)

    @property
    def may_delete(self) -> bool:
        """Whether it is a deletion that may have removed something: 404 and 405 say that it hasn't."""
        return self.kind == "delete" and self.status not in (404, 405)


@dataclass
class World:
    """One run's registry and its log."""

    schedule: Schedule
    driver: Driver
    log: list[Operation] = field(default_factory=list)
    whole: set[tuple[str, str]] = field(default_factory=set)
    """Manifests that were acknowledged before the log began: repository and digest."""

    def core(self) -> Core:
        """A process of its own."""
        core = Core(
            self.driver,
            Rules(delete_enabled=True),
            now=lambda: datetime.fromtimestamp(self.schedule.now, UTC),
            sleep=self.schedule.sleep,
        )
        core._quarantine._next = math.inf  # looks by the clock of this machine, which is not the run's
        return core

    async def ask(
        self, core: Core, method: str, path: str, body: bytes = b"", repository: str = REPOSITORY
    ) -> tuple[int, bytes]:
        """One request. Waits and asks again after 503, as clients do."""
        answer = (503, b"")
        for _ in range(ATTEMPTS):
            answer = await _ask(core, method, path, body, repository)
            if answer[0] != 503:
                return answer
            await self.schedule.sleep(20.0)
        return answer

    async def push(
        self, core: Core, name: str, reference: str, repository: str = REPOSITORY, source: str | None = None
    ) -> None:
        """Push an image as docker does: HEAD, upload what is missing, PUT; again where something has gone meanwhile.

        `source`: the repository from which blobs are mounted if they are missing.
        """
        content = MANIFESTS[name]
        for _ in range(ATTEMPTS):
            if name in INDEXES:
                if not await self._push_parts(core, [IMAGES["first"]], repository, source):
                    await self.schedule.sleep(20.0)
                    continue
            else:
                await self._push_blobs(core, content, repository, source)
            operation = self._begin("push", reference, sha256(content), repository)
            operation.status, _ = await _ask(core, "PUT", f"manifests/{reference}", content, repository)
            operation.ended = self.schedule.now
            if operation.is_promised:
                return
            await self.schedule.sleep(20.0)

    async def find(self, core: Core, digest: str, repository: str = REPOSITORY) -> int:
        """Ask for a manifest with HEAD, as clients do before they push it, or an index of it. Returns the status."""
        operation = self._begin("head", digest, digest, repository)
        operation.status, _ = await self.ask(core, "HEAD", f"manifests/{digest}", repository=repository)
        operation.ended = self.schedule.now
        return operation.status

    async def delete(self, core: Core, reference: str, repository: str = REPOSITORY) -> None:
        """Delete a tag, or a manifest by its digest."""
        digest = reference if ":" in reference else ""
        operation = self._begin("delete", reference, digest, repository)
        operation.status, _ = await _ask(core, "DELETE", f"manifests/{reference}", repository=repository)
        operation.ended = self.schedule.now

    async def delete_repository(self, core: Core) -> None:
        """Delete all manifests that the registry lists, as `images delete` does: what names others comes first."""
        status, answer = await self.ask(core, "GET", MANIFEST_LIST)
        entries = json.loads(answer)["manifests"] if status == 200 else []
        for entry in sorted(entries, key=lambda entry: entry.get("mediaType") != OCI_INDEX):
            await self.delete(core, entry["digest"])

    async def delete_blob(self, core: Core, name: str, repository: str = REPOSITORY) -> None:
        """Delete a blob, which is refused while a manifest needs it."""
        await self.ask(core, "DELETE", f"blobs/{sha256(BLOBS[name])}", repository=repository)

    async def undelete(self, tag: str, repository: str = REPOSITORY) -> None:
        """Restore a tag with its image, where the trash has it. It never changes a tag that is there."""
        undelete = Undelete(self.driver, now=lambda: datetime.fromtimestamp(self.schedule.now, UTC))
        undelete._publisher._sleep = self.schedule.sleep
        with suppress(NotRestorable, RegistryError):
            await undelete.restore(Repository(repository), Tag(tag))

    async def tags(self, repository: str) -> dict[str, str | None]:
        """The tags of a repository, and the digests of the manifests that they lead to (None: missing)."""
        status, content = await _ask(self.core(), "GET", "tags/list", repository=repository)
        tags = json.loads(content)["tags"] if status == 200 else []
        return {tag: await self._digest_of(tag, repository) for tag in tags}

    def forget(self) -> None:
        """Begin the log: what was acknowledged so far may be collected, and until then a response may promise it."""
        self.whole = {_at(each) for each in self.log if each.kind == "push" and each.is_promised}
        self.log.clear()

    def _begin(self, kind: str, reference: str, digest: str, repository: str) -> Operation:
        operation = Operation(kind, reference, digest, self.schedule.now, repository=repository)
        self.log.append(operation)

        def begins() -> None:
            operation.began = self.schedule.now

        self.schedule.at_next_step(begins)
        return operation

    async def _push_blobs(self, core: Core, content: bytes, repository: str, source: str | None) -> None:
        body = json.loads(content)
        for entry in (body["config"], *body["layers"]):
            digest = entry["digest"]
            status, _ = await self.ask(core, "HEAD", f"blobs/{digest}", repository=repository)
            if status != 200 and source is not None:
                path = f"blobs/uploads/?mount={digest}&from={source}"
                status, _ = await self.ask(core, "POST", path, repository=repository)
            if status not in (200, 201):
                [blob] = [blob for blob in BLOBS.values() if sha256(blob) == digest]
                await self.ask(core, "POST", f"blobs/uploads/?digest={digest}", blob, repository)

    async def _push_parts(self, core: Core, contents: Iterable[bytes], repository: str, source: str | None) -> bool:
        """Push the images of an index. False: one was refused, and the client gives up."""
        for content in contents:
            path = f"manifests/{sha256(content)}"
            status = await self.find(core, sha256(content), repository)
            if status != 200:
                await self._push_blobs(core, content, repository, source)
                status, _ = await self.ask(core, "PUT", path, content, repository)
            if status not in (200, 201):
                return False
        return True

    async def faults(self) -> list[str]:
        """What is wrong once all actors have ended: each sentence is a promise that was not kept."""
        self.schedule.now += 120.0  # past the fence of an actor that has crashed
        incomplete = [] if self.schedule.crashed else await self._incomplete()
        return [*await self._lost(), *incomplete, *await self._incomplete_tags(), *await self._undone()]

    async def _lost(self) -> list[str]:
        """Manifests that a client knows to be there, and that nobody has asked to delete since."""
        faults = []
        for told in self.log:
            if told.kind == "delete" or not told.is_promised:
                continue
            deletes = [each for each in self.log if each.may_delete and _at(each) == _at(told)]
            if any(each.ended is None or each.ended > told.began for each in deletes):
                continue
            if told.kind == "head" and not self._was_acknowledged(told, deletes):
                continue
            missing = await self.missing(told.digest, told.repository)
            faults += [f"{told.kind} of {told.repository}:{told.reference}: {what}" for what in missing]
        return faults

    def _was_acknowledged(self, head: Operation, deletes: Sequence[Operation]) -> bool:
        """Whether the manifest was pushed before: one whose push was refused may be seen for a moment."""
        if deletes or _at(head) in self.whole:
            return not deletes
        pushes = [each for each in self.log if each.kind == "push" and _at(each) == _at(head)]
        return any(each.is_promised and (each.ended or math.inf) <= head.began for each in pushes)

    async def _incomplete(self) -> list[str]:
        """Manifests that lack something, though no process was killed: a push that is refused leaves nothing."""
        faults = []
        for repository in sorted({each.repository for each in self.log}):
            status, answer = await _ask(self.core(), "GET", MANIFEST_LIST, repository=repository)
            for entry in json.loads(answer)["manifests"] if status == 200 else []:
                missing = await self.missing(entry["digest"], repository)
                faults += [f"manifest {repository}@{entry['digest']}: {what}" for what in missing]
        return faults

    async def _incomplete_tags(self) -> list[str]:
        """Tags that are there, were acknowledged, and lead to a manifest that is not complete."""
        faults = []
        for repository in sorted({each.repository for each in self.log}):
            for tag, digest in (await self.tags(repository)).items():
                pushes = [
                    each
                    for each in self.log
                    if each.kind == "push" and (each.repository, each.reference) == (repository, tag)
                    if digest in (None, each.digest)
                ]
                # A push that crashed may have left its tag before it had put back what a deletion took meanwhile.
                if (
                    pushes
                    and all(each.ended is not None for each in pushes)
                    and any(each.is_promised for each in pushes)
                ):
                    missing = await self.missing(digest, repository) if digest else ["its manifest is gone"]
                    faults += [f"tag {repository}:{tag}: {what}" for what in missing]
        return faults

    async def _undone(self) -> list[str]:
        """Tags that an older push, which had been held up, has taken back from a newer one."""
        faults = []
        for new in self.log:
            if new.kind != "push" or not new.is_promised or ":" in new.reference:
                continue
            later = [
                each
                for each in self.log
                if each is not new and each.repository == new.repository
                if each.reference in (new.reference, new.digest) and _may_overwrite(each, new)
            ]
            if not later and (found := await self._digest_of(new.reference, new.repository)) != new.digest:
                tag = f"{new.repository}:{new.reference}"
                faults.append(f"tag {tag} is {found}, though the last push to it was {new.digest}")
        return faults

    async def _digest_of(self, tag: str, repository: str) -> str | None:
        status, content = await _ask(self.core(), "GET", f"manifests/{tag}", repository=repository)
        return sha256(content) if status == 200 else None

    async def missing(self, digest: str, repository: str = REPOSITORY) -> list[str]:
        """What a manifest lacks, itself included."""
        status, content = await _ask(self.core(), "GET", f"manifests/{digest}", repository=repository)
        if status != 200:
            return [f"manifest {digest} is {status}"]
        body = json.loads(content)
        missing = []
        for entry in body.get("manifests", []):
            missing += await self.missing(entry["digest"], repository)
        for entry in [*body.get("layers", []), *([body["config"]] if "config" in body else [])]:
            status, content = await _ask(self.core(), "GET", f"blobs/{entry['digest']}", repository=repository)
            if status != 200 or sha256(content) != entry["digest"]:
                missing.append(f"blob {entry['digest']} is {status}")
        return missing


def _at(operation: Operation) -> tuple[str, str]:
    return operation.repository, operation.digest


def _may_overwrite(one: Operation, other: Operation) -> bool:
    """Whether what one request sets may be there after another. Not if it ended before, or had begun long before."""
    has_ended = one.ended is not None and one.ended <= other.began
    is_old = not one.digest.startswith(one.reference) and one.began + MAX_AGE_S <= other.began
    return not has_ended and not is_old


async def _ask(
    core: Core, method: str, path: str, body: bytes = b"", repository: str = REPOSITORY
) -> tuple[int, bytes]:
    raw_path, _, query = f"/v2/{repository}/{path}".encode().partition(b"?")
    sent: list[asgi.Message] = []
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> asgi.Message:
        return pending.pop() if pending else {"type": "http.disconnect"}

    async def send(message: asgi.Message) -> None:
        sent.append(message)

    media_type = json.loads(body)["mediaType"].encode() if body.startswith(b"{") else b"application/octet-stream"
    scope: asgi.Scope = {
        "type": "http",
        "method": method,
        "headers": [(b"content-type", media_type), (b"content-length", b"%d" % len(body))],
        asgi.ROUTE: parse_route(method, raw_path, query),
        asgi.CLIENT_VIEW: ClientView("https", "registry.test", "192.0.2.1"),
    }
    try:
        await core._promises.look()  # as every request does once a second
        await core(scope, receive, send)
    except RegistryError as error:
        return error.status, str(error).encode()
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


Scenario = Callable[[World], Coroutine[Any, Any, list[Act]]]


async def run(scenario: Scenario, seed: int, twin: type[BucketTwin]) -> tuple[int, list[str]]:
    """Run a scenario once. Returns its steps, and what is wrong afterwards."""
    schedule = Schedule(seed)
    driver = twin(schedule, lost_answers=0.05 if twin is not FolderTwin and seed % 3 == 0 else 0.0)
    world = World(schedule, driver)
    acts = await scenario(world)
    await schedule.run(acts)
    return schedule.steps, await world.faults()
