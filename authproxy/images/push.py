"""Pushes images of archives and of the local daemon to a registry; skips what the registry has."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from tempfile import NamedTemporaryFile, gettempdir
from typing import Protocol

from authproxy.digest import Digest
from authproxy.images.archive.archive import Archive, ArchivedImage
from authproxy.images.archive.docker_save import LayerCache
from authproxy.images.archive.errors import ArchiveError
from authproxy.images.archive.layout import LayoutArchive
from authproxy.images.archive.opening import find_archives, open_archive
from authproxy.images.daemon import Daemon, choose
from authproxy.images.endpoints import Interrupted, Missing, Source
from authproxy.images.names import is_prefix, name_in_repository, names_below
from authproxy.images.referrers import ReferrersDestination, find_attached, transfer_missing
from authproxy.images.transfer import Progress, TransferError, collect_manifests, transfer_image
from authproxy.oci.manifest import Manifest
from authproxy.registry_client.errors import RegistryClientError


class Repository(Source, ReferrersDestination, Protocol):
    """A repository of a registry: both a source and a destination."""

    def learn(self, manifest: Manifest) -> None:
        """Record that it has this image, so that others can mount its blobs."""


# Finds the repository and the tag of an image's name.
Locate = Callable[[str], Awaitable[tuple[Repository, str]]]


class PushOutcome(StrEnum):
    """The result for a name."""

    PUSHED = "pushed"
    THERE = "already there"
    PLANNED = "would be pushed"


@dataclass(frozen=True, slots=True)
class Pushed:
    """The result for one name. `moved_bytes`: bytes of blobs that were transferred for it."""

    name: str
    outcome: PushOutcome
    digest: Digest | None = None  # None in a dry run: its layers are not compressed
    moved_bytes: int = 0
    referrers: int = 0  # of a layout: signatures, SBOMs that were pushed with it, or would be


@dataclass(frozen=True, slots=True)
class Failed:
    """An image or file that was not pushed, and why."""

    what: str
    why: str


# Errors that end one image, but not the command.
FAULTS = (ArchiveError, Interrupted, Missing, TransferError, RegistryClientError)


@dataclass(frozen=True, slots=True)
class Pusher:
    """Pushes images below a prefix, `host[:port][/prefix/]`, or to one name, `host/repository[:tag]`.

    With `is_dry` it takes the same steps, but writes nothing.
    """

    destination: str
    locate: Locate
    is_dry: bool
    turns: asyncio.Semaphore
    progress: Progress

    async def push_archives(self, paths: Sequence[Path]) -> AsyncIterator[Pushed | Failed]:
        """Push all images of archives and of folders of archives."""
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
                file, f"{self.destination} is a repository for one image: end it with / to keep the images' names"
            )

    async def push_local(self, daemon: Daemon, patterns: Sequence[str]) -> AsyncIterator[Pushed | Failed]:
        """Push images of the local daemon whose names match a pattern. Does not export what the registry has.

        Raises DaemonError.
        """
        chosen = choose(await daemon.images(), patterns)
        if not chosen:
            what = f"no image that matches {' '.join(patterns)}" if patterns else "no image with a name"
            yield Failed("docker", f"the docker daemon has {what}")
        if not is_prefix(self.destination) and sum(len(image.names) for image in chosen) > 1:
            yield Failed(self.destination, "it is a repository for one image: end it with / to keep the images' names")
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
                why = f"cannot be exported to {gettempdir()}: {error.strerror}; set TMPDIR to use another folder"
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
            yield Failed(str(archive.path), f"the archive has no repository for {image.identity}: push it as {where}")
        for name in targets:
            try:
                outcome = await self._before(name, image.identity) or await self._push(archive, image, name)
                if isinstance(outcome, Pushed) and isinstance(archive, LayoutArchive) and archive.has_referrers:
                    outcome = await self._push_referrers(archive, image, outcome)
                yield outcome
            except FAULTS as error:
                yield Failed(name, str(error))

    def _target(self, image: ArchivedImage) -> tuple[str, ...]:
        if is_prefix(self.destination):
            return names_below(image, self.destination)
        return (name_in_repository(image, self.destination),)

    async def _before(self, name: str, identity: Digest) -> Pushed | Failed | None:
        """The result for a name that needs no push; None if it must be pushed."""
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

    async def _push_referrers(self, archive: LayoutArchive, image: ArchivedImage, pushed: Pushed) -> Pushed:
        repository, _ = await self.locate(pushed.name)
        try:
            manifests = await collect_manifests(archive, await archive.manifest(image.reference))
            attached = await find_attached(archive, [manifest.digest for manifest in manifests], ())
            count, moved_bytes = await transfer_missing(
                attached, archive, repository, is_dry=self.is_dry, turns=self.turns, progress=self.progress
            )
        except FAULTS as error:
            what = f"{pushed.outcome}, but not all of its signatures and other referrers"
            raise TransferError(f"{what}: {error}") from error
        return replace(pushed, moved_bytes=pushed.moved_bytes + moved_bytes, referrers=count)


async def find_same(repository: Repository, tag: str, identity: Digest) -> Digest | None:
    """The digest of the image with this tag, if it has this identity.

    The identity is the digest of a manifest or of a configuration. A configuration contains the digests of its layers'
    plain tars, so an image that another client has compressed differently is the same.
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
