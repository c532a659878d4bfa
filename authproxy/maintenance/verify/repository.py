"""One repository: every link, manifest, tag, referrer and upload, and whether they fit together.

What looks wrong is read again past all caches before it counts: it may have been deleted between two reads.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeAlias
from uuid import UUID

from authproxy.budget import MAX_MANIFEST_PARTS
from authproxy.digest import HEX_LENGTH, Digest
from authproxy.errors import ManifestInvalid, TagInvalid
from authproxy.maintenance.verify.contents import Wrong, check_content, reason_of
from authproxy.maintenance.verify.findings import Finding, Kind, shown
from authproxy.maintenance.verify.stored import FAULTS, Foreign, Unlisted, in_batches, list_folder, parse_hex
from authproxy.maintenance.verify.throttle import Throttle
from authproxy.oci.manifest import Descriptor, Manifest, parse_object
from authproxy.oci.media_types import MANIFESTS
from authproxy.reference import Repository, Tag, parse_tag
from authproxy.registry.links import digest_of, find_digest, sizes_of, stored_blobs, stored_manifests
from authproxy.storage import layout
from authproxy.storage.driver import MAX_SMALL_BYTES, Driver, NotFound
from authproxy.storage.layout import StorePath

# Links that are read at once, and manifests, which have up to 4 MiB.
LINKS = 200
CONTENTS = 4

# How long an upload that has no data is given to get some, in seconds: it may be just beginning.
UPLOAD_S = 0.05

Report: TypeAlias = Callable[[Finding], None]


def needed_blobs(manifest: Manifest) -> list[Descriptor]:
    """The blobs that a repository must hold for a manifest, each once."""
    return [blob for blob in manifest.blobs if not blob.is_elsewhere]


def read_manifest(content: bytes) -> Manifest:
    """Parse stored bytes, however hostile. Raises ManifestInvalid."""
    parse_object(content, max_parts=MAX_MANIFEST_PARTS)
    return Manifest.read(content)


class RepositoryCheck:
    """Checks one repository after the other.

    `is_known_damaged`: whether content was found damaged already, and need not be read again.
    """

    def __init__(
        self,
        driver: Driver,
        throttle: Throttle,
        report: Report,
        foreign: Foreign,
        unlisted: Unlisted,
        is_known_damaged: Callable[[Digest], bool],
    ) -> None:
        self._driver = driver
        self._throttle = throttle
        self._report = report
        self._foreign = foreign
        self._unlisted = unlisted
        self._is_known_damaged = is_known_damaged
        self._name = Repository("")
        self._missing: set[Digest] = set()  # said once for each repository

    async def check(self, name: Repository) -> None:
        """Look at everything in one repository. What can't be read hides nothing else."""
        self._name, self._missing = name, set()
        algorithms = sorted(HEX_LENGTH)
        parts: list[Callable[[], Awaitable[None]]] = [
            self._check_folders,
            *(partial(self._check_layers, algorithm) for algorithm in algorithms),
            *(partial(self._check_revisions, algorithm) for algorithm in algorithms),
            self._check_tags,
            self._check_referrers,
            self._check_uploads,
        ]
        for part in parts:
            try:
                await part()
            except FAULTS as error:
                text = f"a part of the repository can't be read: {shown(reason_of(error))}"
                self._say(Kind.UNREADABLE, layout.repository(name), text)

    async def _check_folders(self) -> None:
        name = self._name
        for folder, known in (
            (layout.layers(name), set(HEX_LENGTH)),
            (layout.manifests(name), {layout.REVISIONS, "tags"}),
            (layout.revision_algorithms(name), set(HEX_LENGTH)),
        ):
            async for names in list_folder(self._driver, folder, self._unlisted):
                for entry in names:
                    if entry not in known:
                        self._foreign(f"{folder}/{entry}")

    async def _digests(self, folder: StorePath, algorithm: str) -> AsyncIterator[Sequence[Digest]]:
        async for names in list_folder(self._driver, folder, self._unlisted):
            found: list[Digest] = []
            for name in names:
                digest = parse_hex(algorithm, name)
                if digest is None:
                    self._foreign(f"{folder}/{name}")
                else:
                    found.append(digest)
            for batch in in_batches(found, LINKS):
                yield batch

    async def _read(self, paths: Sequence[StorePath]) -> list[bytes | None]:
        """Small contents. One that can't be read is a finding, and counts as absent here."""
        try:
            return await self._driver.read(paths)
        except FAULTS as error:
            if len(paths) == 1:
                self._say(Kind.UNREADABLE, paths[0], f"it can't be read: {shown(reason_of(error))}")
                return [None]
        return [content for path in paths for content in await self._read([path])]

    async def _check_layers(self, algorithm: str) -> None:
        async for digests in self._digests(layout.layer_links(self._name, algorithm), algorithm):
            paths = [layout.layer_link(self._name, digest) for digest in digests]
            held = await self._read_links(digests, paths)
            sizes = await sizes_of(self._driver, list(held.values()))
            for (digest, stored), size in zip(held.items(), sizes, strict=True):
                path = layout.layer_link(self._name, digest)
                if size is None:
                    if await self._still_holds(path, stored):
                        self._say(
                            Kind.LINK_WITHOUT_CONTENT,
                            path,
                            f"the link to {stored}, which is not stored; pushes send it again",
                        )
                elif stored != digest:
                    await self._check_alias(digest, stored, path)

    async def _read_links(self, digests: Sequence[Digest], paths: Sequence[StorePath]) -> dict[Digest, Digest]:
        """What sound links hold. A damaged one is a finding; an empty one is how a bucket deletes."""
        links = await self._read(paths)
        held: dict[Digest, Digest] = {}
        for digest, path, link in zip(digests, paths, links, strict=True):
            stored = find_digest(link)
            if link and not _fits(digest, stored):
                [again] = await self._driver.read([path], fresh=True)
                stored = find_digest(again)
                if again and not _fits(digest, stored):
                    says = "holds no digest" if stored is None else f"leads to {stored}"
                    self._say(Kind.LINK_DAMAGED, path, f"the link of {digest} {says}", digest)
                    continue
            if stored is not None and _fits(digest, stored):
                held[digest] = stored
        return held

    async def _check_alias(self, digest: Digest, stored: Digest, path: StorePath) -> None:
        """A second name of content: of its bytes, as the first."""
        if self._is_known_damaged(stored):
            return
        verdict = await check_content(self._driver, digest, self._throttle, stored=stored)
        if isinstance(verdict, Wrong) and await self._still_holds(path, stored):
            self._say(
                Kind.LINK_DAMAGED, path, f"the link of {digest} leads to {stored}, which is other content", digest
            )

    async def _still_holds(self, path: StorePath, stored: Digest) -> bool:
        [link] = await self._driver.read([path], fresh=True)
        return find_digest(link) == stored

    async def _check_revisions(self, algorithm: str) -> None:
        async for digests in self._digests(layout.revisions(self._name, algorithm), algorithm):
            paths = [layout.revision_link(self._name, digest) for digest in digests]
            held = await self._read_links(digests, paths)
            for batch in in_batches(held.items(), CONTENTS):
                contents = await self._read([layout.blob(stored) for _, stored in batch])
                for (digest, stored), content in zip(batch, contents, strict=True):
                    await self._check_revision(digest, stored, content)

    async def _check_revision(self, digest: Digest, stored: Digest, content: bytes | None) -> None:
        path = layout.revision_link(self._name, digest)
        await self._throttle.take(len(content or b""))
        if not content:
            [size] = await sizes_of(self._driver, [stored])
            if size is not None and size > MAX_SMALL_BYTES:
                self._say(Kind.MANIFEST_UNREADABLE, path, f"the manifest {digest} has {size} bytes: too many to be one")
            elif size is None and await self._still_holds(path, stored):
                self._miss(stored, path, f"the manifest {digest} is linked, and its content is not stored")
            return
        if self._is_known_damaged(stored):
            return
        if await digest_of(content, stored.algorithm) != stored:
            verdict = await check_content(self._driver, stored, self._throttle)
            if isinstance(verdict, Wrong):
                self._say(
                    Kind.CONTENT_DAMAGED,
                    layout.blob(stored),
                    f"{stored} is something else: {verdict.size} bytes",
                    stored,
                )
            return
        if stored != digest and await digest_of(content, digest.algorithm) != digest:
            self._say(
                Kind.LINK_DAMAGED, path, f"the link of {digest} leads to {stored}, which is other content", digest
            )
            return
        try:
            manifest = read_manifest(content)
        except ManifestInvalid as error:
            self._say(Kind.MANIFEST_UNREADABLE, path, f"{digest} is as it was pushed, but: {error}", digest)
            return
        await self._check_needed(digest, stored, manifest)
        await asyncio.sleep(0)

    async def _check_needed(self, digest: Digest, stored: Digest, manifest: Manifest) -> None:
        lacking = await self._find_lacking(manifest)
        note = await self._find_unlisted(digest, manifest)
        if not lacking and note is None:
            return
        if not await self._still_holds(layout.revision_link(self._name, digest), stored):
            return  # deleted meanwhile, and perhaps what it needs with it
        for finding in await self._find_lacking(manifest):
            if finding.digest is not None and finding.kind in {Kind.CONTENT_MISSING, Kind.LINK_MISSING}:
                if finding.digest in self._missing:
                    continue
                self._missing.add(finding.digest)
            self._report(finding)
        if note is not None:
            self._report(note)

    async def _find_lacking(self, manifest: Manifest) -> list[Finding]:
        """What a manifest needs and the repository lacks."""
        blobs = needed_blobs(manifest)
        held = await stored_blobs(self._driver, self._name, [blob.digest for blob in blobs])
        sizes = dict(zip(held, await sizes_of(self._driver, list(held.values())), strict=True))
        found: list[Finding] = []
        for blob in blobs:
            if blob.digest not in held:
                found.append(await self._lacking_link(blob, manifest))
            elif (size := sizes[blob.digest]) is None:
                text = f"{blob.digest} is not stored, and the manifest {manifest.digest} needs it"
                found.append(self._of(Kind.CONTENT_MISSING, layout.blob(held[blob.digest]), text, blob.digest))
            elif size != blob.size and not self._is_known_damaged(held[blob.digest]):
                text = f"the manifest {manifest.digest} says {blob.size} bytes for {blob.digest}, which has {size}"
                path = layout.revision_link(self._name, manifest.digest)
                found.append(self._of(Kind.SIZE_DIFFERS, path, text, manifest.digest))
        found += await self._lacking_children(manifest)
        return found

    async def _lacking_link(self, blob: Descriptor, manifest: Manifest) -> Finding:
        path = layout.layer_link(self._name, blob.digest)
        [size] = await sizes_of(self._driver, [blob.digest])
        if size is None:
            text = f"{blob.digest} is not stored, and the manifest {manifest.digest} needs it"
            return self._of(Kind.CONTENT_MISSING, path, text, blob.digest)
        text = f"the manifest {manifest.digest} needs {blob.digest}, which is stored, but not linked in the repository"
        return self._of(Kind.LINK_MISSING, path, text, blob.digest)

    async def _lacking_children(self, manifest: Manifest) -> list[Finding]:
        if not manifest.children:
            return []
        digests = list(dict.fromkeys(child.digest for child in manifest.children))
        others = [child.digest for child in manifest.children if child.media_type not in MANIFESTS]
        held = {
            **await stored_manifests(self._driver, self._name, digests),
            **await stored_blobs(self._driver, self._name, others),
        }
        missing = [digest for digest in digests if digest not in held]
        if not missing:
            return []
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        text = f"the index {manifest.digest} names {missing[0]}{more}, not in the repository: an index may do so"
        path = layout.revision_link(self._name, manifest.digest)
        return [self._of(Kind.CHILD_MISSING, path, text, manifest.digest)]

    async def _find_unlisted(self, digest: Digest, manifest: Manifest) -> Finding | None:
        """A referrer without its note: another program has stored it, and the list of referrers lacks it."""
        if manifest.subject is None or digest.algorithm != "sha256":
            return None
        names = (digest, await digest_of(manifest.content, "sha512"))
        paths = [layout.referrer_link(self._name, manifest.subject.digest, name) for name in names]
        if any(await self._driver.read(paths)):
            return None
        text = f"{digest} refers to {manifest.subject.digest}, and is not in the list of its referrers"
        return self._of(Kind.REFERRER_UNLISTED, paths[0], text, digest)

    async def _check_tags(self) -> None:
        folder = layout.tags(self._name)
        async for names in list_folder(self._driver, folder, self._unlisted):
            tags: list[Tag] = []
            for name in names:
                try:
                    tags.append(parse_tag(name))
                except TagInvalid:
                    self._foreign(f"{folder}/{name}")
            for batch in in_batches(tags, LINKS):
                await self._check_targets(batch)

    async def _check_targets(self, tags: Sequence[Tag]) -> None:
        links = await self._read([layout.tag_current(self._name, tag) for tag in tags])
        targets = [find_digest(link) for link in links]
        held = await stored_manifests(self._driver, self._name, list({target for target in targets if target}))
        for tag, link, target in zip(tags, links, targets, strict=True):
            if not link or (target is not None and target in held):
                continue
            path = layout.tag_current(self._name, tag)
            [again] = await self._driver.read([path], fresh=True)
            if again != link:
                continue  # moved or deleted meanwhile
            if target is None:
                self._say_of_tag(Kind.LINK_DAMAGED, tag, "holds no digest")
            elif not find_digest((await self._driver.read([layout.revision_link(self._name, target)], fresh=True))[0]):
                self._say_of_tag(Kind.TAG_DANGLING, tag, f"points at {target}, which the repository lacks")

    async def _check_referrers(self) -> None:
        for algorithm in sorted(HEX_LENGTH):
            async for subjects in self._digests(layout.subjects(self._name, algorithm), algorithm):
                for subject in subjects:
                    await self._check_notes(subject)

    async def _check_notes(self, subject: Digest) -> None:
        for algorithm in sorted(HEX_LENGTH):
            async for digests in self._digests(layout.referrers(self._name, subject, algorithm), algorithm):
                held = await stored_manifests(self._driver, self._name, digests)
                for digest in digests:
                    if digest in held:
                        continue
                    path = layout.referrer_link(self._name, subject, digest)
                    [note] = await self._driver.read([path], fresh=True)
                    if note and not await stored_manifests(self._driver, self._name, [digest]):
                        self._say(Kind.REFERRER_DANGLING, path, f"{digest} is noted as a referrer, and is not here")

    async def _check_uploads(self) -> None:
        folder = layout.uploads(self._name)
        async for names in list_folder(self._driver, folder, self._unlisted):
            sessions: list[StorePath] = []
            for name in names:
                try:
                    sessions.append(layout.upload(self._name, UUID(name)))
                except ValueError:
                    self._foreign(f"{folder}/{name}")
            empty = [session for session in sessions if not await self._has_data(session)]
            if empty:
                await asyncio.sleep(UPLOAD_S)
            for session in empty:
                left = await self._driver.list_names(session, limit=1)
                if left and not await self._has_data(session):
                    self._say(Kind.UPLOAD_BROKEN, session, "an upload that was broken off has no data")

    async def _has_data(self, session: StorePath) -> bool:
        with suppress(NotFound):
            await self._driver.upload_size(session)
            return True
        return False

    def _miss(self, stored: Digest, path: StorePath, text: str) -> None:
        if stored not in self._missing:
            self._missing.add(stored)
            self._say(Kind.CONTENT_MISSING, path, text, stored)

    def _say_of_tag(self, kind: Kind, tag: Tag, text: str) -> None:
        finding = self._of(kind, layout.tag_current(self._name, tag), f"the tag {tag} {text}", None)
        self._report(finding.with_hit((f"{self._name}:{tag}",), 1))

    def _say(self, kind: Kind, path: StorePath, text: str, digest: Digest | None = None) -> None:
        self._report(self._of(kind, path, text, digest))

    def _of(self, kind: Kind, path: StorePath, text: str, digest: Digest | None) -> Finding:
        return Finding(kind, path, text, digest, self._name)


def _fits(digest: Digest, stored: Digest | None) -> bool:
    """Whether a link of this name may hold that: a sha256 digest is its own name, any other is a second name of one."""
    return stored is not None and (stored == digest or (digest.algorithm != "sha256" and stored.algorithm == "sha256"))
