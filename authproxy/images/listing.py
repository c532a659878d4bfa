"""Lists the repositories of a registry and their tags, page by page (OCI Distribution 1.1, "Listing Tags").

The catalog is Docker's (Registry HTTP API V2, "Catalog"). OCI does not have it; all self-hosted registries do.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx

from authproxy.access import CATALOG, Access, pull
from authproxy.errors import NameInvalid, TagInvalid
from authproxy.images.names import is_pattern
from authproxy.reference import parse_repository, parse_tag
from authproxy.registry_client.client import RegistryClient
from authproxy.registry_client.errors import RegistryClientError, refused

# Entries per page; registries that give fewer link to the next page.
PAGE = 500
OK, NOT_FOUND = 200, 404

# Characters of an invalid name in an error.
MAX_SHOWN = 100


async def repositories(registry: RegistryClient) -> AsyncIterator[str]:
    """The repositories of a registry, in its order. Raises RegistryClientError.

    ghcr.io and Docker Hub list none.
    """
    what = f"{registry.host}: its catalog"
    hint = f"; if a registry does not list its repositories, name one: {registry.host}/REPOSITORY"
    async for names in _pages(registry, f"/v2/_catalog?n={PAGE}", (CATALOG,), "repositories", what, hint=hint):
        for name in names:
            yield name


async def find_repositories(registry: RegistryClient, pattern: str | None) -> AsyncIterator[str]:
    """The repositories that may match a pattern: only one if the pattern names it, and leaves only the tag open.

    This works with registries that do not list their repositories. Raises RegistryClientError.
    """
    repository = (pattern or "").rpartition(":")[0]
    if repository and not is_pattern(repository):
        yield repository
        return
    async for each in repositories(registry):
        yield each


async def tags(registry: RegistryClient, repository: str) -> AsyncIterator[str]:
    """The tags of a repository in the registry's order; empty if it does not exist. Raises RegistryClientError."""
    async for names in tag_pages(registry, repository, may_be_missing=True):
        for name in names:
            yield name


async def tag_pages(registry: RegistryClient, repository: str, *, may_be_missing: bool) -> AsyncIterator[list[str]]:
    """The tags page by page, without empty pages. Raises RegistryClientError.

    `may_be_missing`: a missing repository is not an error; it may have been deleted since the catalog was read.
    Names and tags in a list may be invalid; valid tags are returned before the error is raised.
    """
    try:
        path = f"/v2/{parse_repository(repository)}/tags/list"
    except NameInvalid as error:
        raise RegistryClientError(
            f"{registry.host}: {repository[:MAX_SHOWN]!r} is not a repository name: {error}"
        ) from None
    what = f"{registry.host}/{repository}: its tags"
    needs = (pull(repository),)
    async for names in _pages(registry, path, needs, "tags", what, may_be_missing=may_be_missing):
        tags, invalid = _valid_tags(names)
        if tags:
            yield tags
        if invalid is not None:
            raise RegistryClientError(f"{what}: {invalid[:MAX_SHOWN]!r} is not a tag")


async def _pages(
    registry: RegistryClient,
    path: str,
    needs: Sequence[Access],
    key: str,
    what: str,
    *,
    hint: str = "",
    may_be_missing: bool = False,
) -> AsyncIterator[Sequence[str]]:
    async for answer in registry.pages(await registry.address(path), needs, what):
        if answer.status_code == NOT_FOUND and may_be_missing:
            return
        if answer.status_code != OK:
            raise RegistryClientError(f"{refused(answer, what)}{hint}", answer.status_code)
        yield _names(answer, key, what)


def _valid_tags(names: Sequence[str]) -> tuple[list[str], str | None]:
    """The valid tags, and the first invalid one."""
    tags: list[str] = []
    invalid: str | None = None
    for name in names:
        try:
            tags.append(parse_tag(name))
        except TagInvalid:
            invalid = name if invalid is None else invalid
    return tags, invalid


def _names(answer: httpx.Response, key: str, what: str) -> Sequence[str]:
    try:
        body: Any = answer.json()
        names = body[key] or ()
    except (ValueError, RecursionError, LookupError, TypeError):
        raise RegistryClientError(f"{what}: the response is not a list of names") from None
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise RegistryClientError(f"{what}: the response is not a list of names")
    return names
