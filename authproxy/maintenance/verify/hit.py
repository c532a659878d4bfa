"""Who is hit by damage: the images whose pull needs it, found in one pass over the repositories that hold it."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from authproxy.digest import HEX_LENGTH, Digest
from authproxy.errors import ManifestInvalid, TagInvalid
from authproxy.maintenance.verify.findings import MAX_HIT
from authproxy.maintenance.verify.repository import CONTENTS, LINKS, needed_blobs, read_manifest
from authproxy.maintenance.verify.stored import (
    FAULTS,
    all_repositories,
    ignore,
    in_batches,
    list_folder,
    parse_hex,
)
from authproxy.oci.manifest import Manifest
from authproxy.oci.media_types import MANIFESTS
from authproxy.reference import Repository, Tag, parse_tag
from authproxy.registry.links import find_digest
from authproxy.storage import layout
from authproxy.storage.driver import Driver
from authproxy.storage.layout import StorePath

# An index of indexes of indexes: deeper ones are not followed.
MAX_DEPTH = 4

# Damaged digests that are looked for in one repository by their links; for more, every repository is looked through.
MAX_ASKED = 1000


@dataclass(slots=True)
class Hit:
    """The images that need one content, at most MAX_HIT of `count`, and from where it can be fetched."""

    images: list[str] = field(default_factory=list)
    count: int = 0
    repository: Repository | None = None
    size: int | None = None  # as a manifest says
    is_manifest: bool = False

    def add(self, image: str) -> None:
        """Add one image."""
        self.count += 1
        if len(self.images) < MAX_HIT:
            self.images.append(image)


async def find_hit(
    driver: Driver, wanted: Collection[Digest], named: Collection[str] = ()
) -> Mapping[tuple[Digest, str], Hit]:
    """Who needs any of these stored contents, for each of them in each repository.

    `named`: repositories that are looked through even if they don't link one.
    """
    found: dict[tuple[Digest, str], Hit] = {}
    if not wanted:
        return found
    async for name in all_repositories(driver, ignore, ignore):
        if name in named or len(wanted) > MAX_ASKED or await _holds_any(driver, name, wanted):
            await _Look(driver, name, wanted, found).look()
    return found


async def _holds_any(driver: Driver, name: Repository, wanted: Collection[Digest]) -> bool:
    paths = [path(name, digest) for digest in wanted for path in (layout.layer_link, layout.revision_link)]
    for batch in in_batches(paths, LINKS):
        if any(await _read_each(driver, batch)):
            return True
    return False


class _Look:
    """A look through one repository."""

    def __init__(
        self, driver: Driver, name: Repository, wanted: Collection[Digest], found: dict[tuple[Digest, str], Hit]
    ) -> None:
        self._driver = driver
        self._name = name
        self._wanted = wanted
        self._found = found
        # By the digest of a manifest: the wanted content that a pull of it needs.
        self._needs: defaultdict[Digest, set[Digest]] = defaultdict(set)
        self._has_indexes = False

    async def look(self) -> None:
        """Find the images that need something."""
        for _ in range(MAX_DEPTH):
            before = self._needed()
            async for digest, stored, manifest in self._manifests():
                self._follow(digest, stored, manifest)
            if not self._has_indexes or self._needed() == before:
                break
        await self._name_images()

    def _needed(self) -> int:
        return sum(map(len, self._needs.values()))

    def _follow(self, digest: Digest, stored: Digest, manifest: Manifest | None) -> None:
        if stored in self._wanted:  # what its bytes say is not what was pushed
            self._needs[digest].add(stored)
            self._hit(stored).is_manifest = True
            return
        if manifest is None:
            return
        self._has_indexes = self._has_indexes or manifest.is_index
        for needed in (*needed_blobs(manifest), *manifest.children):
            if needed.digest in self._wanted:
                self._needs[digest].add(needed.digest)
                hit = self._hit(needed.digest)
                hit.size = needed.size
                hit.is_manifest = hit.is_manifest or needed.media_type in MANIFESTS
            if needed.digest in self._needs:
                self._needs[digest] |= self._needs[needed.digest]

    async def _name_images(self) -> None:
        """The tags first; a manifest without any by its digest, where no tag needs the same."""
        tagged: set[Digest] = set()  # of those that need something
        async for names in list_folder(self._driver, layout.tags(self._name), ignore):
            tags = list(filter(None, map(_find_tag, names)))
            links = await _read_each(self._driver, [layout.tag_current(self._name, tag) for tag in tags])
            for tag, link in zip(tags, links, strict=True):
                digest = find_digest(link)
                if digest is None or (digest not in self._needs and digest not in self._wanted):
                    continue
                tagged.add(digest)
                # Where the link of a wanted manifest is damaged, only its tags lead to it.
                itself = {digest} if digest in self._wanted else set()
                for wanted in self._needs.get(digest, itself):
                    self._hit(wanted).add(f"{self._name}:{tag}")
        for digest, needed in self._needs.items():
            for wanted in needed:
                if digest not in tagged and not self._hit(wanted).count:
                    self._hit(wanted).add(f"{self._name}@{digest}")

    def _hit(self, digest: Digest) -> Hit:
        return self._found.setdefault((digest, self._name), Hit(repository=self._name))

    async def _manifests(self) -> AsyncIterator[tuple[Digest, Digest, Manifest | None]]:
        """Every manifest, by the digest of its link and the one that this holds; None where it can't be read."""
        for algorithm in sorted(HEX_LENGTH):
            async for names in list_folder(self._driver, layout.revisions(self._name, algorithm), ignore):
                digests = [digest for entry in names if (digest := parse_hex(algorithm, entry))]
                for batch in in_batches(digests, CONTENTS):
                    for read in await self._read_all(batch):
                        yield read

    async def _read_all(self, digests: Sequence[Digest]) -> list[tuple[Digest, Digest, Manifest | None]]:
        links = await _read_each(self._driver, [layout.revision_link(self._name, digest) for digest in digests])
        held = [(digest, stored) for digest, link in zip(digests, links, strict=True) if (stored := find_digest(link))]
        contents = await _read_each(self._driver, [layout.blob(stored) for _, stored in held])
        return [(digest, stored, _parse(content)) for (digest, stored), content in zip(held, contents, strict=True)]


async def _read_each(driver: Driver, paths: Sequence[StorePath]) -> list[bytes | None]:
    """Small contents. One that can't be read counts as absent, and doesn't hide the others: it is a finding already."""
    try:
        return await driver.read(paths)
    except FAULTS:
        return [None] if len(paths) == 1 else [one for path in paths for one in await _read_each(driver, [path])]


def _parse(content: bytes | None) -> Manifest | None:
    try:
        return read_manifest(content or b"")
    except ManifestInvalid:
        return None


def _find_tag(name: str) -> Tag | None:
    try:
        return parse_tag(name)
    except TagInvalid:
        return None
