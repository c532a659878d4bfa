"""The tags of a repository: their sizes, and who pushed and pulled them last."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from authproxy.digest import Digest
from authproxy.errors import ManifestInvalid, TagInvalid
from authproxy.maintenance.gc.store_reading import StoreReader
from authproxy.oci.manifest import find_digest as digest_of
from authproxy.oci.manifest import parse_object
from authproxy.reference import Repository, Tag, is_repository, parse_tag
from authproxy.registry import history
from authproxy.registry.links import find_digest
from authproxy.registry.pull_times import Pull, PullTimes
from authproxy.storage import layout
from authproxy.storage.driver import Driver

# Manifests and blobs of one image that are counted: an index may name very many.
MAX_PARTS = 10_000
# Images whose size is kept, since many tags lead to the same.
MAX_KEPT = 1000


class Times(NamedTuple):
    """When something was pushed and pulled last, and by whom; None: not recorded. "" is an anonymous caller."""

    pushed: datetime | None = None
    pushed_by: str | None = None
    pulled: datetime | None = None
    pulled_by: str | None = None


class TagUsage(NamedTuple):
    """One tag. `size` in bytes is that of its image: the manifests and blobs that it needs, each once."""

    repository: Repository
    tag: Tag
    digest: Digest
    size: int
    times: Times


class TagReader:
    """Reads the tags of one repository after the other."""

    def __init__(self, driver: Driver, reader: StoreReader, pulls: PullTimes) -> None:
        self._driver = driver
        self._reader = reader
        self._pulls = pulls
        self._sizes: OrderedDict[tuple[Repository, Digest], int] = OrderedDict()

    async def times_of(self, repository: Repository) -> Times:
        """The last push to a repository, and the last pull from it. For a foreign name nothing is known."""
        if not is_repository(repository):
            return Times()
        last: history.Push | None = None
        async for push in history.all_pushes(self._driver, repository):
            if last is None or push.at > last.at:
                last = push
        return await self._to_times(repository, last, await self._pulls.recorded_in(repository))

    async def tags(self, repository: Repository) -> AsyncIterator[TagUsage]:
        """Every tag, in the order of the storage."""
        async for names in self._reader.names(layout.tags(repository)):
            tags = [Tag(name) for name in names if _is_tag(name)]
            links = await self._reader.contents([layout.tag_current(repository, tag) for tag in tags])
            for tag, link in zip(tags, links, strict=True):
                if (digest := find_digest(link)) is not None:
                    stored = await self._stored(repository, digest)
                    yield TagUsage(
                        repository,
                        tag,
                        digest,
                        await self._size(repository, stored),
                        await self._times(repository, stored, tag),
                    )

    async def _times(self, repository: Repository, stored: Digest, tag: Tag) -> Times:
        pushes = [push for push in await history.pushes_of(self._driver, repository, stored) if push.tag == tag]
        last = max(pushes, key=lambda push: push.at, default=None)
        return await self._to_times(repository, last, await self._pulls.recorded(repository, stored, tag))

    async def _to_times(self, repository: Repository, push: history.Push | None, pull: Pull | None) -> Times:
        by = None if push is None else await history.pushed_by(self._driver, repository, push)
        pushed = None if push is None else push.at
        return Times(pushed, by, *((None, None) if pull is None else pull))

    async def _stored(self, repository: Repository, digest: Digest) -> Digest:
        """The digest under which a manifest is stored."""
        if digest.algorithm == "sha256":
            return digest
        [link] = await self._reader.contents([layout.revision_link(repository, digest)])
        return find_digest(link) or digest

    async def _size(self, repository: Repository, stored: Digest) -> int:
        key = repository, stored
        if key not in self._sizes:
            if len(self._sizes) >= MAX_KEPT:
                self._sizes.popitem(last=False)
            self._sizes[key] = await self._measure(repository, stored)
        return self._sizes[key]

    async def _measure(self, repository: Repository, stored: Digest) -> int:
        blobs: dict[Digest, None] = {}
        manifests: dict[Digest, None] = {stored: None}
        waiting = [stored]
        while waiting and len(manifests) + len(blobs) < MAX_PARTS:
            manifest = waiting.pop()
            [content] = await self._reader.contents([layout.blob(manifest)])
            children, found = _parts(content)
            blobs.update((digest, None) for digest in found)
            for child in [await self._stored(repository, child) for child in children]:
                if child not in manifests:
                    manifests[child] = None
                    waiting.append(child)
        links = await self._reader.contents([layout.layer_link(repository, blob) for blob in blobs])
        contents = {*manifests, *(find_digest(link) or blob for blob, link in zip(blobs, links, strict=True))}
        return sum(filter(None, await self._reader.sizes([layout.blob(digest) for digest in contents])))


def _parts(content: bytes | None) -> tuple[list[Digest], list[Digest]]:
    """The manifests and the blobs that a manifest names, as far as it can be read."""
    with suppress(ManifestInvalid):
        body = parse_object(content or b"")
        return _digests(body.get("manifests")), [*_digests(body.get("layers")), *_digests([body.get("config")])]
    return [], []


def _digests(descriptors: object) -> list[Digest]:
    listed: Iterable[object] = descriptors[:MAX_PARTS] if isinstance(descriptors, list) else ()
    return [found for descriptor in listed if (found := digest_of(descriptor)) is not None]


def _is_tag(name: str) -> bool:
    try:
        parse_tag(name)
    except TagInvalid:
        return False
    return True
