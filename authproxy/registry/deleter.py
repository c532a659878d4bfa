"""Deleting manifests, tags and blobs: what is removed goes into the trash first, and what is needed stays.

The steps, and why they lose nothing beside pushes: registry/deletions.py.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from authproxy.digest import Digest
from authproxy.errors import Unsupported
from authproxy.oci.dependencies import read_dependencies
from authproxy.oci.manifest import find_subject
from authproxy.reference import Repository, Tag
from authproxy.registry.deletions import Deletion, Deletions
from authproxy.registry.history import Push, pushes_of
from authproxy.registry.links import find_digest, stored_blobs, stored_manifests
from authproxy.registry.namers import Namers
from authproxy.registry.tags import Tags
from authproxy.registry.trash import Links, Trash
from authproxy.storage import layout
from authproxy.storage.driver import Driver


class InUse(Unsupported):
    """A manifest of the repository names this, so it can't be deleted."""

    message = "a manifest of this repository needs this; delete that first"


# The reason of a deletion through the API.
BY_REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Reason:
    """Who deletes, and why: for people who look into the trash."""

    by: str
    why: str


@dataclass(frozen=True, slots=True)
class UntaggedManifest:
    """A manifest to delete: under which digest it is stored, and every digest by which the repository holds it."""

    stored: Digest
    names: Sequence[Digest]
    reason: Reason


class Deleter:
    """Deletes from the repositories of one driver. Each method is done once it returns, durably."""

    def __init__(
        self,
        driver: Driver,
        tags: Tags,
        deletions: Deletions,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._driver = driver
        self._tags = tags
        self._deletions = deletions
        self._namers = Namers(driver)
        self._trash = Trash(driver)
        self._now = now

    async def delete_tag(
        self,
        repository: Repository,
        tag: Tag,
        reason: Reason,
        *,
        expected: Digest | None = None,
        known: Collection[Push] | None = None,
    ) -> bool:
        """Remove a tag. False: there is none.

        `expected`: only if it points at that; `known`: only if there was no other push to it than these. False: there
        was. A push at the same moment wins: the tag is there again when both have returned.
        """
        async with self._deletions.begin(repository, [tag]) as deletion:
            [link] = await self._driver.read([layout.tag_current(repository, tag)], fresh=True)
            digest = find_digest(link)
            if link is None or digest is None or expected not in (None, digest):
                return False
            if known is not None and await self._was_pushed_since(repository, tag, digest, known):
                return False
            await self._record(repository, Links(tags={tag: digest}), reason)
            await self._tags.remove(deletion, repository, tag, link)
            return True

    async def delete_manifest(
        self,
        repository: Repository,
        names: Sequence[Digest],
        content: bytes,
        reason: Reason,
        *,
        check_tags: Callable[[Iterable[Tag]], None] = lambda _: None,
    ) -> None:
        """Remove a manifest under each of its digests, with the tags that point at it. Raises InUse.

        `check_tags` raises if one of these tags may not go: a push may have set it since the request was checked.
        """
        async with self._deletions.begin(repository, names) as deletion:
            if (namer := await self._namers.of_manifest(repository, names)) is not None:
                raise _in_use("manifest", names[0], namer, "GET, HEAD, PUT")
            tags = await self._tags.pointing_at(repository, names)
            check_tags(tags)
            links = await self._links_of(repository, names, content, tags)
            await self._record(repository, links, reason)
            # Tags first, so that none ever points at a missing manifest.
            for tag, link in tags.items():
                await self._tags.remove(deletion, repository, tag, link)
            await self._remove(deletion, repository, links)

    async def delete_untagged(self, repository: Repository, manifests: Sequence[UntaggedManifest]) -> set[Digest]:
        """Remove manifests that no tag points at, with one look for all of them. Returns those that are gone.

        Each comes after those of them that name it. Raises InUse, and removes none, if one has a tag or is named by a
        manifest that is not among them. A push that relies on one of them cancels the rest.
        """
        names = [name for manifest in manifests for name in manifest.names]
        gone: set[Digest] = set()
        async with self._deletions.begin(repository, names) as deletion:
            if (namer := await self._namers.of_manifest(repository, names)) is not None:
                raise _in_use("manifest", names[0], namer, "GET, HEAD, PUT")
            if await self._tags.pointing_at(repository, names):
                raise InUse
            for manifest in manifests:
                [content] = await self._driver.read([layout.blob(manifest.stored)], fresh=True)
                links = await self._links_of(repository, manifest.names, content or b"", {})
                await self._record(repository, links, manifest.reason)
                if not await self._remove(deletion, repository, links):
                    break
                gone.add(manifest.stored)
        return gone

    async def delete_blob(
        self, repository: Repository, names: Collection[Digest], stored: Digest, reason: Reason
    ) -> None:
        """Remove a blob under each of its digests from one repository. Raises InUse."""
        async with self._deletions.begin(repository, list(names)) as deletion:
            if (namer := await self._namers.of_blob(repository, names)) is not None:
                raise _in_use("blob", stored, namer, "GET, HEAD")
            links = Links(layers=dict.fromkeys(names, stored))
            await self._record(repository, links, reason)
            await deletion.remove(layout.layer_link(repository, name) for name in names)

    async def _remove(self, deletion: Deletion, repository: Repository, links: Links) -> bool:
        """Remove a manifest's links, its notes last: a list of referrers shows none whose manifest is gone."""
        return await deletion.remove(
            [
                *(layout.revision_link(repository, name) for name in links.revisions),
                *(layout.referrer_link(repository, *pair) for pair in links.referrers),
            ]
        )

    async def _was_pushed_since(
        self, repository: Repository, tag: Tag, digest: Digest, known: Collection[Push]
    ) -> bool:
        stored = (await stored_manifests(self._driver, repository, [digest], fresh=True)).get(digest, digest)
        pushes = await pushes_of(self._driver, repository, stored)
        return any(push.tag == tag and push not in known for push in pushes)

    async def _links_of(
        self, repository: Repository, names: Sequence[Digest], content: bytes, tags: Mapping[Tag, bytes]
    ) -> Links:
        """Everything that has to be there again when the manifest is restored."""
        subject = find_subject(content)
        notes: dict[tuple[Digest, Digest], bytes] = {}
        if subject is not None:
            pairs = [(subject, name) for name in names]
            found = await self._driver.read([layout.referrer_link(repository, *pair) for pair in pairs], fresh=True)
            notes = {pair: note for pair, note in zip(pairs, found, strict=True) if note is not None}
        needs = sorted(read_dependencies(content).blobs)
        return Links(
            tags={tag: digest for tag, link in tags.items() if (digest := find_digest(link)) is not None},
            revisions=await stored_manifests(self._driver, repository, names, fresh=True),
            layers=await stored_blobs(self._driver, repository, needs, fresh=True),
            referrers=notes,
        )

    async def _record(self, repository: Repository, links: Links, reason: Reason) -> None:
        await self._trash.record(repository, links, at=self._now(), by=reason.by, why=reason.why)


def _in_use(what: str, digest: Digest, namer: Digest, allow: str) -> InUse:
    return InUse(
        f"the {what} {digest} is needed by the manifest {namer} of this repository; delete that first",
        detail={"digest": str(digest), "neededBy": str(namer)},
        headers=[("Allow", allow)],
    )
