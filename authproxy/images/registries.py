"""The registries of a command, each opened once, with the given or the stored login."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from authproxy.images.mount_candidates import MountCandidates
from authproxy.images.repository import RegistryRepository
from authproxy.oci.image_name import ImageName, parse_image_name
from authproxy.registry_client.client import RegistryClient, open_registry
from authproxy.registry_client.docker_config import Login, StoredLogins
from authproxy.registry_client.errors import RegistryClientError
from authproxy.registry_client.trust import Trust


class Registries:
    """Repositories by names of images. Closes all registries at the end of its block.

    `login` is for the registry `login_host` only; other registries use stored logins. `chunk_bytes` is how much of a
    blob one request may send.
    """

    def __init__(
        self,
        trust: Trust,
        login: Login | None,
        environment: Mapping[str, str],
        login_host: str | None = None,
        *,
        chunk_bytes: int | None = None,
    ) -> None:
        self._trust = trust
        self._login = login
        self._login_host = login_host
        self._chunk_bytes = chunk_bytes
        self._stored = StoredLogins(environment)
        self._opened: dict[tuple[str, Login | None], RegistryClient] = {}
        self._candidates: dict[str, MountCandidates] = {}
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def to_pull(self, name: ImageName) -> RegistryRepository:
        """The repository of a name, to read from. Raises RegistryClientError."""
        return await self.repository(name.host, name.repository)

    async def to_push(self, text: str, origin: ImageName | None = None) -> tuple[RegistryRepository, str]:
        """The repository of a name, to write to, and the tag. Raises RegistryClientError, also for an invalid name.

        `origin` is the source of the image: within the same registry its blobs can be mounted.
        """
        try:
            name = parse_image_name(text)
        except ValueError as error:
            raise RegistryClientError(str(error)) from None
        registry = await self.open(name.host, name.repository)
        candidates = self._candidates.setdefault(name.host, MountCandidates())
        beside = origin.repository if origin is not None and origin.host == name.host else None
        repository = RegistryRepository(
            registry, name.repository, candidates, origin=beside, chunk_bytes=self._chunk_bytes
        )
        return repository, name.reference

    async def repository(self, host: str, repository: str) -> RegistryRepository:
        """A repository of a registry, to read from and delete in. Raises RegistryClientError."""
        return RegistryRepository(await self.open(host, repository), repository)

    async def open(self, host: str, repository: str = "") -> RegistryClient:
        """A registry, with the login that is stored for it or for the repository. Raises RegistryClientError."""
        async with self._opening:
            login = await self._find_login(host, repository)
            if (host, login) not in self._opened:
                opened = await self._stack.enter_async_context(open_registry(host, login, self._trust))
                self._opened[host, login] = opened
            return self._opened[host, login]

    async def _find_login(self, host: str, repository: str) -> Login | None:
        if self._login is not None and host == self._login_host:
            return self._login
        return await asyncio.to_thread(self._stored.find, host, repository)
