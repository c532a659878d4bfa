"""Every folder that holds links, in bounded memory: repositories, and folders whose names no registry accepts."""

from collections.abc import AsyncGenerator, Collection
from typing import NamedTuple

from authproxy.maintenance.gc.store_reading import StoreReader
from authproxy.reference import MAX_REPOSITORY_LENGTH, Repository, is_repository
from authproxy.storage import layout

# Folders deeper than this are not visited: no name of a repository has so many parts, and each level is an open folder.
MAX_DEPTH = 200

# The folders by which one is found.
LINKS = frozenset({layout.LAYERS, layout.MANIFESTS, "_referrers"})
UPLOADS = "_uploads"


class Found(NamedTuple):
    """A folder with links."""

    name: Repository
    is_foreign: bool
    """No registry accepts this name: nothing of it goes, and what it links is kept."""


async def find_all(
    reader: StoreReader, prefix: str = "", depth: int = 0, *, folders: Collection[str] = LINKS
) -> AsyncGenerator[Found, None]:
    """All below the folder of `prefix` ("" or ending in a slash), in the order of the storage. Raises Incomplete."""
    name = Repository(prefix.removesuffix("/"))
    was_found = False
    async for entries in reader.names(layout.repository(name) if prefix else layout.repositories()):
        for entry in entries:
            if entry in folders and prefix:
                if not was_found:
                    was_found = True
                    yield Found(name, not is_repository(name))
            elif entry != UPLOADS and depth < MAX_DEPTH and len(prefix) + len(entry) <= 8 * MAX_REPOSITORY_LENGTH:
                async for found in find_all(reader, f"{prefix}{entry}/", depth + 1, folders=folders):
                    yield found
