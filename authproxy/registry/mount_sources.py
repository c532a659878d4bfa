"""Which repository a blob can be mounted from (OCI Distribution 1.1, "Mounting a blob from another repository")."""

from collections import OrderedDict

from authproxy.digest import Digest
from authproxy.reference import Repository
from authproxy.registry.links import sizes_of, stored_blobs
from authproxy.route import Mount
from authproxy.storage.driver import Driver

# Blobs whose holders are remembered, and holders of each: a few hundred bytes a blob; the one longest unused goes.
MAX_BLOBS = 4096
MAX_HOLDERS = 4


class MountSources:
    """Finds a blob in the repositories that a mount may take it from.

    A mount that leaves the choice to an open registry is looked up among the blobs that this process has linked
    lately: a hint, which has to be true when it is used. A miss only costs the client an upload.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._seen: OrderedDict[Digest, tuple[Repository, ...]] = OrderedDict()

    def saw(self, digest: Digest, repository: Repository) -> None:
        """Remember that a repository holds a blob."""
        earlier = (other for other in self._seen.pop(digest, ()) if other != repository)
        self._seen[digest] = (repository, *earlier)[:MAX_HOLDERS]
        if len(self._seen) > MAX_BLOBS:
            self._seen.popitem(last=False)

    async def find_stored(self, mount: Mount) -> Digest | None:
        """Under which digest the blob is stored. None: no repository that was asked holds it."""
        sources = self._seen.get(mount.digest, ()) if mount.sources is None else mount.sources
        for source in sources:
            stored = (await stored_blobs(self._driver, source, [mount.digest])).get(mount.digest)
            if stored is not None and await sizes_of(self._driver, [stored]) != [None]:
                return stored
        return None
