"""The registries that a command speaks with, each opened once, with the stored login or the one that was given."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from authproxy.images.repository import RemoteRepository
from authproxy.remote.client import RegistryClient, open_registry
from authproxy.remote.faults import RemoteError
from authproxy.remote.login import Login, find_login
from authproxy.remote.name import ImageName, parse_image_name
from authproxy.remote.trust import Trust


class Registries:
    """Repositories by names of images. Closes what it opened at the end of its block."""

    def __init__(self, trust: Trust, login: Login | None, environment: Mapping[str, str]) -> None:
        self._trust = trust
        self._login = login
        self._environment = environment
        self._opened: dict[str, RegistryClient] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def to_pull(self, name: ImageName) -> RemoteRepository:
        """The repository of a name, to read from. Raises RemoteError."""
        return RemoteRepository(await self._open(name.host), name.repository, may_push=False)

    async def to_push(self, text: str) -> tuple[RemoteRepository, str]:
        """The repository of a name, to write to, and the tag there. Raises RemoteError, also where it is no name."""
        try:
            name = parse_image_name(text)
        except ValueError as error:
            raise RemoteError(str(error)) from None
        return RemoteRepository(await self._open(name.host), name.repository, may_push=True), name.reference

    async def repository(self, host: str, repository: str) -> RemoteRepository:
        """A repository of a registry, to read from and delete in. Raises RemoteError."""
        return RemoteRepository(await self._open(host), repository, may_push=False)

    async def open(self, host: str) -> RegistryClient:
        """A registry by its name. Raises RemoteError."""
        return await self._open(host)

    async def _open(self, host: str) -> RegistryClient:
        if host not in self._opened:
            login = self._login or await asyncio.to_thread(find_login, host, self._environment)
            self._opened[host] = await self._stack.enter_async_context(open_registry(host, login, self._trust))
        return self._opened[host]
