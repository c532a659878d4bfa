"""The repository from which to mount a blob (OCI Distribution 1.1, "Mounting a blob from another repository")."""

from collections import OrderedDict

from authproxy.digest import Digest
from authproxy.reference import Repository
from authproxy.registry.links import sizes_of, stored_blobs
from authproxy.route import Mount
from authproxy.storage.driver import Driver

# Blobs whose holders are cached, and holders of each: a few hundred bytes a blob. The least recently used goes first.
MAX_BLOBS = 4096
MAX_HOLDERS = 4


class MountSources:
    """Finds a blob in the repositories that it may be mounted from.

    A mount without `from`, where every repository may be read, is looked up among the blobs that this process has
    linked recently. That is a hint, which is checked before use; a miss only costs the client an upload.
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
        """The digest under which the blob is stored. None: none of the sources holds it."""
        sources = self._seen.get(mount.digest, ()) if mount.sources is None else mount.sources
        for source in sources:
            stored = (await stored_blobs(self._driver, source, [mount.digest])).get(mount.digest)
            if stored is not None and await sizes_of(self._driver, [stored]) != [None]:
                return stored
        return None
