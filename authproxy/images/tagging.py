"""A destination that takes what it can have from a neighbour, and refuses to be sent anything."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from authproxy.digest import Digest
from authproxy.images.repository import RemoteRepository
from authproxy.images.transfer import MoveError
from authproxy.oci.manifest import Descriptor, Manifest


@dataclass(frozen=True, slots=True)
class MountsOnly:
    """See Destination and Mounts."""

    repository: RemoteRepository
    name: str

    async def has(self, descriptor: Descriptor) -> bool:
        """See Destination."""
        return await self.repository.has(descriptor)

    def turn(self, digest: Digest) -> asyncio.Lock:
        """See Mounts."""
        return self.repository.turn(digest)

    async def mount(self, descriptor: Descriptor) -> bool:
        """See Mounts."""
        return await self.repository.mount(descriptor)

    async def put_blob(self, descriptor: Descriptor, chunks: AsyncIterator[bytes], start: int = 0) -> None:
        """Raises MoveError: a name costs no transfer."""
        del chunks, start
        await self.repository.give_up(descriptor)
        raise MoveError(
            f"{self.name}: the registry does not hand {descriptor.digest} on from the other repository;"
            " `authproxy images copy` moves it"
        )

    async def put_manifest(self, manifest: Manifest, reference: str | None) -> None:
        """See Destination."""
        await self.repository.put_manifest(manifest, reference)
