"""Repositories for unit tests: of our own core in memory, and of a registry that answers as a test says."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx

from authproxy.images.mount_candidates import MountCandidates
from authproxy.images.repository import RegistryRepository
from authproxy.registry.options import Rules
from authproxy.registry_client.client import RegistryClient
from authproxy.registry_client.trust import Trust
from authproxy.storage.memory import MemoryDriver
from tests.support.registry import DELETES, HOST, connect

Answer = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


class Faked(httpx.AsyncBaseTransport):
    """Unlike httpx's MockTransport it leaves the bodies of requests to whoever answers."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._answer(request)
        return answer if isinstance(answer, httpx.Response) else await answer


@asynccontextmanager
async def core(rules: Rules = DELETES) -> AsyncIterator[tuple[RegistryClient, httpx.AsyncClient]]:
    """Our core, as a client of any registry sees it and as a test fills it."""
    async with connect(MemoryDriver(), rules) as http:
        yield RegistryClient(HOST, http, None, Trust(), lambda: 0.0), http


def faked(answer: Answer, host: str = HOST) -> RegistryClient:
    """A registry that answers by a function."""
    http = httpx.AsyncClient(transport=Faked(answer))
    return RegistryClient(host, http, None, Trust(), lambda: 0.0)


def to_push(registry: RegistryClient, name: str, candidates: MountCandidates | None = None) -> RegistryRepository:
    """A repository that is written to."""
    return RegistryRepository(registry, name, candidates or MountCandidates())
