"""Images out of archives and out of the local daemon, pushed under the names that they get; what is there is left."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import NamedTemporaryFile, gettempdir
from typing import Protocol

from authproxy.digest import Digest
from authproxy.images.archive.archive import Archive, ArchivedImage
from authproxy.images.archive.docker_save import LayerCache
from authproxy.images.archive.errors import ArchiveError
from authproxy.images.archive.opening import find_archives, open_archive
from authproxy.images.daemon import Daemon, choose
from authproxy.images.endpoints import Destination, Interrupted, Missing, Source
from authproxy.images.names import is_prefix, name_in_repository, names_below
from authproxy.images.transfer import Progress, TransferError, transfer_image
from authproxy.oci.manifest import Manifest
from authproxy.registry_client.errors import RegistryClientError


class Repository(Source, Destination, Protocol):
    """A repository of a registry: a source and a destination at once."""

    def learn(self, manifest: Manifest) -> None:
        """It has this image, so that others can have its blobs from there."""


# Where an image's name leads: the repository, and the tag in it.
Locate = Callable[[str], Awaitable[tuple[Repository, str]]]


class PushOutcome(StrEnum):
    """What became of a name."""

    PUSHED = "pushed"
    THERE = "already there"
    PLANNED = "would be pushed"


@dataclass(frozen=True, slots=True)
class Pushed:
    """One name: what became of it, under which digest, and how many bytes of blobs went over the line for it."""

    name: str
    outcome: PushOutcome
    digest: Digest | None = None  # None where it is only planned: packing its layers would tell
    moved_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """Something that was not pushed, by its name or its file, and why."""

    what: str
    why: str


# What ends one image and not the rest.
FAULTS = (ArchiveError, Interrupted, Missing, TransferError, RegistryClientError)


@dataclass(frozen=True, slots=True)
class Pusher:
    """Pushes to wherever names lead, below or as `destination`: `host[:port][/prefix/]` or `host/repository[:tag]`.

    What it does and what it would do, where `is_dry`, are the same code.
    """

    destination: str
    locate: Locate
    is_dry: bool
    turns: asyncio.Semaphore
    progress: Progress

    async def push_archives(self, paths: Sequence[Path]) -> AsyncIterator[Pushed | Failed]:
        """Push all images of archives, and of folders of archives."""
        known: LayerCache = {}
        for path in paths:
            try:
                found = find_archives(path)
            except ArchiveError as error:
                yield Failed(str(path), str(error))
                continue
            for file in found:
                try:
                    with open_archive(file, known) as archive:
                        self._refuse_several(file, len(found) * len(paths) * len(archive.images))
                        for image in archive.images:
                            async for outcome in self._push_image(archive, image):
                                yield outcome
                except ArchiveError as error:
                    yield Failed(str(file), str(error))

    def _refuse_several(self, file: Path, count: int) -> None:
        if count > 1 and not is_prefix(self.destination):
            raise ArchiveError(
                file, f"{self.destination} is one repository, for one image: end it with / to keep the images' names"
            )

    async def push_local(self, daemon: Daemon, patterns: Sequence[str]) -> AsyncIterator[Pushed | Failed]:
        """Push what the local daemon holds, by patterns of names; what is there is not even asked of it.

        Raises DaemonError.
        """
        chosen = choose(await daemon.images(), patterns)
        if not chosen:
            what = f"no image of such a name: {' '.join(patterns)}" if patterns else "no image that has a name"
            yield Failed("docker", f"the docker daemon holds {what}")
        if not is_prefix(self.destination) and sum(len(image.names) for image in chosen) > 1:
            yield Failed(
                self.destination, "it is one repository, for one image: end it with / to keep the images' names"
            )
            return
        known: LayerCache = {}
        for image in chosen:
            missing: list[str] = []
            for own in image.names:
                target = self._target(ArchivedImage("", (own,), (), image.identity))[0]
                outcome = await self._before(target, image.identity)
                if outcome is None:
                    missing.append(own)
                else:
                    yield outcome
            if missing:
                async for outcome in self._push_exported(daemon, missing, known):
                    yield outcome

    async def _push_exported(
        self, daemon: Daemon, names: Sequence[str], known: LayerCache
    ) -> AsyncIterator[Pushed | Failed]:
        with NamedTemporaryFile(prefix="authproxy-", suffix=".tar") as file:
            try:
                await daemon.export(names, file)
            except OSError as error:
                why = f"cannot be exported to {gettempdir()}: {error.strerror}; TMPDIR names another"
                yield Failed(", ".join(names), why)
                return
            try:
                with open_archive(Path(file.name), known) as archive:
                    for image in archive.images:
                        async for outcome in self._push_image(archive, image):
                            yield outcome
            except ArchiveError as error:
                yield Failed(", ".join(names), str(error))

    async def _push_image(self, archive: Archive, image: ArchivedImage) -> AsyncIterator[Pushed | Failed]:
        targets = self._target(image)
        if not targets:
            where = f"{self.destination.rstrip('/')}/REPOSITORY:{image.tags[0] if image.tags else 'TAG'}"
            yield Failed(str(archive.path), f"the archive gives {image.identity} no repository: push it as {where}")
        for name in targets:
            try:
                yield await self._before(name, image.identity) or await self._push(archive, image, name)
            except FAULTS as error:
                yield Failed(name, str(error))

    def _target(self, image: ArchivedImage) -> tuple[str, ...]:
        if is_prefix(self.destination):
            return names_below(image, self.destination)
        return (name_in_repository(image, self.destination),)

    async def _before(self, name: str, identity: Digest) -> Pushed | Failed | None:
        """What is to be said of a name without a push. None where the push is to be done."""
        try:
            repository, tag = await self.locate(name)
            digest = await find_same(repository, tag, identity)
        except FAULTS as error:
            return Failed(name, str(error))
        if digest is not None:
            return Pushed(name, PushOutcome.THERE, digest)
        return Pushed(name, PushOutcome.PLANNED) if self.is_dry else None

    async def _push(self, archive: Archive, image: ArchivedImage, name: str) -> Pushed:
        repository, tag = await self.locate(name)
        manifest = await archive.manifest(image.reference)
        moved = await transfer_image(archive, repository, manifest, tag, turns=self.turns, progress=self.progress)
        return Pushed(name, PushOutcome.PUSHED, manifest.digest, moved.moved_bytes)


async def find_same(repository: Repository, tag: str, identity: Digest) -> Digest | None:
    """The digest of the image that has this tag, where it is the one with this identity.

    The identity is a manifest's digest or a configuration's: a configuration names its layers' plain content, so an
    image that somebody else has packed is the same one.
    """
    try:
        manifest = await repository.manifest(tag)
    except Missing:
        return None
    is_same = manifest.digest == identity or (manifest.config is not None and manifest.config.digest == identity)
    if not is_same:
        return None
    repository.learn(manifest)
    return manifest.digest
