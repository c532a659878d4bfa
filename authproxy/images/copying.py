"""Copies images from one registry to another, or within one; skips what the destination has."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from authproxy.digest import Digest
from authproxy.images.endpoints import Interrupted, Missing
from authproxy.images.listing import find_repositories, tags
from authproxy.images.names import is_pattern, is_prefix, matches, name_below
from authproxy.images.referrers import digest_tags, find_attached, transfer_missing
from authproxy.images.registries import Registries
from authproxy.images.repository import RegistryRepository
from authproxy.images.transfer import Progress, TransferError, choose_platform, collect_manifests, transfer_image
from authproxy.oci.image_name import ImageName, parse_image_name, split_host
from authproxy.oci.manifest import Manifest, Platform
from authproxy.registry_client.errors import RegistryClientError


class CopyOutcome(StrEnum):
    """The result for an image."""

    COPIED = "copied"
    THERE = "already there"
    PLANNED = "would be copied"


@dataclass(frozen=True, slots=True)
class Copied:
    """The result for one image. `moved_bytes`: bytes of blobs that were transferred for it."""

    name: str
    outcome: CopyOutcome
    digest: Digest
    moved_bytes: int = 0
    referrers: int = 0  # referrers (signatures, SBOMs) that were copied with it, or would be


async def find_sources(registries: Registries, source: str) -> AsyncIterator[ImageName]:
    """The image of a name, or the images that match a pattern, `host/pattern`.

    Raises RegistryClientError; if a repository cannot be listed, after the images of the others.
    """
    if not is_pattern(source):
        yield parse_image_name(source)
        return
    host, pattern = split_host(source)
    if host is None:
        raise RegistryClientError(f"{source!r}: a pattern must follow a registry: example.org/{source}")
    named = pattern.rpartition(":")[0]
    client = await registries.open(host, "" if is_pattern(named) else named)
    faults: list[RegistryClientError] = []
    async for repository in find_repositories(client, pattern):
        try:
            async for tag in tags(client, repository):
                if matches(pattern, f"{repository}:{tag}"):
                    yield parse_image_name(f"{host}/{repository}:{tag}")
        except RegistryClientError as error:
            faults.append(error)
    if len(faults) > 1:
        raise RegistryClientError(f"{faults[0]}; {len(faults) - 1} more repositories could not be listed")
    if faults:
        raise faults[0]


@dataclass(frozen=True, slots=True)
class Copier:
    """Copies images to one name, or below a prefix (see `names`). A dry run takes the same steps, but writes nothing.

    With `has_referrers` it copies an image's referrers too: see `referrers`.
    """

    registries: Registries
    destination: str
    platform: Platform | None
    is_dry: bool
    turns: asyncio.Semaphore
    progress: Progress
    has_referrers: bool = True
    _tags: dict[tuple[str, str], "asyncio.Task[frozenset[str]]"] = field(default_factory=dict)

    async def copy(self, name: ImageName) -> Copied:
        """Copy one image. Raises what the registries and the transfer raise."""
        source = await self.registries.to_pull(name)
        manifest = await source.manifest(name.digest or name.reference)
        if self.platform is not None:
            manifest = await choose_platform(source, manifest, self.platform)
        target = self._target(name)
        repository, tag = await self.registries.to_push(target, name)
        outcome, moved_bytes = CopyOutcome.PLANNED, 0
        manifests: Sequence[Manifest]
        if await repository.find_digest(tag) == manifest.digest:
            repository.learn(manifest)
            outcome = CopyOutcome.THERE
            manifests = await collect_manifests(source, manifest) if self.has_referrers else ()
        elif self.is_dry:
            manifests = await collect_manifests(source, manifest) if self.has_referrers else ()
        else:
            moved = await transfer_image(source, repository, manifest, tag, turns=self.turns, progress=self.progress)
            outcome, moved_bytes, manifests = CopyOutcome.COPIED, moved.moved_bytes, moved.manifests
        if not self.has_referrers:
            return Copied(target, outcome, manifest.digest, moved_bytes)
        try:
            count, more_bytes = await self._copy_referrers(name, source, repository, manifests)
        except (RegistryClientError, TransferError, Missing, Interrupted) as error:
            raise TransferError(f"{outcome}, but not all of its signatures and other referrers: {error}") from error
        return Copied(target, outcome, manifest.digest, moved_bytes + more_bytes, count)

    async def _copy_referrers(
        self, name: ImageName, source: RegistryRepository, target: RegistryRepository, manifests: Sequence[Manifest]
    ) -> tuple[int, int]:
        """Returns how many referrers were missing, and the bytes of their blobs that were transferred."""
        tags = await self._digest_tags(name)
        attached = await find_attached(source, [manifest.digest for manifest in manifests], tags)
        return await transfer_missing(
            attached, source, target, is_dry=self.is_dry, turns=self.turns, progress=self.progress
        )

    async def _digest_tags(self, name: ImageName) -> frozenset[str]:
        """The source repository's tags that begin with a digest; listed once for all its images."""
        place = name.host, str(name.repository)
        if place not in self._tags:
            self._tags[place] = asyncio.create_task(self._list_digest_tags(name))
        return await asyncio.shield(self._tags[place])

    async def _list_digest_tags(self, name: ImageName) -> frozenset[str]:
        client = await self.registries.open(name.host, name.repository)
        return await digest_tags(tags(client, name.repository))

    def _target(self, name: ImageName) -> str:
        own = f"{name.host}/{name.repository}:{name.tag}" if name.tag is not None else str(name)
        if is_prefix(self.destination):
            if name.tag is None:
                raise RegistryClientError(
                    f"{name}: a digest has no name to keep; give the full name as the destination"
                )
            return name_below(own, self.destination)
        if ":" in self.destination.rpartition("/")[2]:
            return self.destination
        if name.tag is None:
            raise RegistryClientError(
                f"{name}: a digest has no tag to keep; use {self.destination}:TAG as the destination"
            )
        return f"{self.destination}:{name.tag}"
