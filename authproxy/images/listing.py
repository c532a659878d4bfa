"""What a registry holds: its repositories and their tags, page by page (OCI Distribution 1.1, "Listing Tags").

The catalog is Docker's (Registry HTTP API V2, "Catalog"), which OCI leaves out and all registries of one's own have.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx

from authproxy.access import CATALOG, Access, pull
from authproxy.remote.client import RegistryClient
from authproxy.remote.faults import RemoteError, refused

# Entries that are asked for at a time; registries that give fewer say where to go on.
PAGE = 500
OK, BAD_REQUEST, NOT_FOUND = 200, 400, 404


async def repositories(registry: RegistryClient) -> AsyncIterator[str]:
    """The names of a registry, in its order. Raises RemoteError."""
    pages = _pages(registry, f"/v2/_catalog?n={PAGE}", (CATALOG,), "repositories", f"the catalog of {registry.host}")
    async for names in pages:
        for name in names:
            yield name


async def tags(registry: RegistryClient, repository: str) -> AsyncIterator[str]:
    """The tags of a repository, in the registry's order; none where there is no such repository. Raises RemoteError."""
    path = f"/v2/{repository}/tags/list"
    what = f"the tags of {registry.host}/{repository}"
    async for names in _pages(registry, path, (pull(repository),), "tags", what, may_be_missing=True):
        for name in names:
            yield name


async def _pages(
    registry: RegistryClient, path: str, needs: Sequence[Access], key: str, what: str, *, may_be_missing: bool = False
) -> AsyncIterator[Sequence[str]]:
    url: httpx.URL | None = await registry.address(path)
    while url is not None:
        answer = await registry.ask("GET", url, needs)
        if answer.status_code == BAD_REQUEST and url.query:  # a page of that size is too large for this one
            answer = await registry.ask("GET", url.copy_remove_param("n"), needs)
        if answer.status_code == NOT_FOUND and may_be_missing:
            return
        if answer.status_code != OK:
            raise refused(answer, what)
        yield _names(answer, key, what)
        following = answer.links.get("next", {}).get("url")
        url = None if following is None else answer.url.join(following)


def _names(answer: httpx.Response, key: str, what: str) -> Sequence[str]:
    try:
        body: Any = answer.json()
        names = body[key] or ()
    except (ValueError, LookupError, TypeError):
        raise RemoteError(f"{what}: the answer is no list of names") from None
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise RemoteError(f"{what}: the answer is no list of names")
    return names
