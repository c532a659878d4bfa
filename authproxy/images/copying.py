"""Images from one registry to another, or within one; what is there already is left."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum

from authproxy.digest import Digest
from authproxy.images.archive.names import is_place, renamed
from authproxy.images.listing import find_repositories, tags
from authproxy.images.model import Platform
from authproxy.images.move import Progress, choose_platform, move_image
from authproxy.images.pattern import is_pattern, means
from authproxy.images.registries import Registries
from authproxy.remote.faults import RemoteError
from authproxy.remote.name import ImageName, parse_image_name, split_host


class Outcome(StrEnum):
    """What became of an image."""

    COPIED = "copied"
    THERE = "already there"
    PLANNED = "would be copied"


@dataclass(frozen=True, slots=True)
class Copied:
    """One image at its destination: what became of it, and how many bytes of blobs went over the line for it."""

    name: str
    outcome: Outcome
    digest: Digest
    moved_bytes: int = 0


async def find_sources(registries: Registries, source: str) -> AsyncIterator[ImageName]:
    """The images that a name, which is one, or a pattern, `host/pattern`, means.

    Raises RemoteError; for a repository that cannot be listed at the end, after the images of the others.
    """
    if not is_pattern(source):
        yield parse_image_name(source)
        return
    host, pattern = split_host(source)
    if host is None:
        raise RemoteError(f"{source!r}: a pattern begins behind a registry: example.org/{source}")
    named = pattern.rpartition(":")[0]
    client = await registries.open(host, "" if is_pattern(named) else named)
    faults: list[RemoteError] = []
    async for repository in find_repositories(client, pattern):
        try:
            async for tag in tags(client, repository):
                if means(pattern, f"{repository}:{tag}"):
                    yield parse_image_name(f"{host}/{repository}:{tag}")
        except RemoteError as error:
            faults.append(error)
    if len(faults) > 1:
        raise RemoteError(f"{faults[0]}; {len(faults) - 1} more repositories could not be listed")
    if faults:
        raise faults[0]


@dataclass(frozen=True, slots=True)
class Copier:
    """Copies to one name, or below a place, as `archive.names` has it. What it does and would do are the same code."""

    registries: Registries
    destination: str
    platform: Platform | None
    is_dry: bool
    turns: asyncio.Semaphore
    progress: Progress

    async def copy(self, name: ImageName) -> Copied:
        """Copy one image. Raises what the registries and the move raise."""
        source = await self.registries.to_pull(name)
        manifest = await source.manifest(name.digest or name.reference)
        if self.platform is not None:
            manifest = await choose_platform(source, manifest, self.platform)
        target = self._target(name)
        repository, tag = await self.registries.to_push(target, name)
        if await repository.find_digest(tag) == manifest.digest:
            repository.learn(manifest)
            return Copied(target, Outcome.THERE, manifest.digest)
        if self.is_dry:
            return Copied(target, Outcome.PLANNED, manifest.digest)
        moved = await move_image(source, repository, manifest, tag, turns=self.turns, progress=self.progress)
        return Copied(target, Outcome.COPIED, manifest.digest, moved.moved_bytes)

    def _target(self, name: ImageName) -> str:
        own = f"{name.host}/{name.repository}:{name.tag}" if name.tag is not None else str(name)
        if is_place(self.destination):
            if name.tag is None:
                raise RemoteError(f"{name}: a digest has no name to keep; say which it is to have as the destination")
            return renamed(own, self.destination)
        if ":" in self.destination.rpartition("/")[2]:
            return self.destination
        if name.tag is None:
            raise RemoteError(f"{name}: a digest has no tag to keep; say {self.destination}:TAG as the destination")
        return f"{self.destination}:{name.tag}"
