"""The marking of one repository: which of its links are kept, and which are candidates.

What may be collected is listed first, and what keeps it is read afterwards: a push writes in this order, so that one
beside the marking is seen whole or not at all. The rules: docs/explanation/garbage-collection.md.
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from authproxy.digest import Digest
from authproxy.maintenance.gc.findings import Findings, Reason, Stray
from authproxy.maintenance.gc.names import (
    DIGEST_BYTES,
    ELSEWHERE,
    EXTRA,
    NAME_BYTES,
    NAMED,
    SUBJECT,
    by_digest,
    join,
    pack_name,
    to_digest,
    with_numbers,
)
from authproxy.maintenance.gc.needs import Needs, Unreadable, read_needs, sha256_digests
from authproxy.maintenance.gc.options import MarkingOptions, Untagged
from authproxy.maintenance.gc.reach import Edges
from authproxy.maintenance.gc.records import RecordSorter, SortedRecords
from authproxy.maintenance.gc.repositories import Found
from authproxy.maintenance.gc.store_reading import StoreReader
from authproxy.reference import Tag
from authproxy.registry.gc_marks import Kind, mark_of
from authproxy.registry.links import find_digest
from authproxy.storage import layout

# Links by sha512 digests of one repository, which are held in memory: clients that use sha512 are rare.
MAX_ALIASES = 100_000
# Manifests that are read beside the listed ones, because a tag was set or a link is damaged.
MAX_EXTRAS = 10_000
# The graph of one repository, which is held in memory: 12 bytes for each edge.
MAX_NODES = 4_000_000
MAX_EDGES = 4_000_000
# Records between two turns of others.
TURN = 512
# Manifests whose sizes are asked for together.
BATCH = 128
# After a manifest longer than this, in bytes, others get a turn.
LARGE_BYTES = 64 * 1024

_FIRM, _SOFT = b"\0", b"\1"  # a root that must exist, or one that may
_SHA256 = re.compile("[0-9a-f]{64}")
_SHA512 = re.compile("[0-9a-f]{128}")
# cosign's tags, which name the manifest that they are about.
_COSIGN = re.compile(r"sha256-([0-9a-f]{64})\.(?:sig|att|sbom)")


@dataclass(slots=True)
class Aliases:
    """Links by sha512 digests: the digest in a link's path → the 32 bytes of the digest in the link."""

    stored: dict[str, bytes]

    def find(self, digest: Digest) -> bytes | None:
        """The content that the link of a digest leads to."""
        return self.stored.get(digest.hex)


class RepositoryMarking:
    """One repository, read once. `run` may be called once."""

    def __init__(
        self, reader: StoreReader, found: Found, findings: Findings, options: MarkingOptions, folder: Path | None
    ) -> None:
        self._reader = reader
        self._name = found.name
        self._findings = findings
        self._options = options
        self._number = findings.add_repository(found.name)
        self._notices = 0
        self._keeps_all: str | None = None
        self._keeps_revisions = options.untagged is Untagged.KEEP
        sorter = partial(RecordSorter, folder=folder, run=options.run)
        self._notes = sorter(2 * DIGEST_BYTES)  # referrer, subject
        self._layers = sorter(DIGEST_BYTES)
        self._revisions = sorter(DIGEST_BYTES)
        self._roots = sorter(DIGEST_BYTES + 1)
        self._named = sorter(NAME_BYTES)
        self._layer_aliases = Aliases({})
        self._revision_aliases = Aliases({})
        self._alias_roots: set[str] = set()
        self._alias_edges: list[tuple[int, str, bytes]] = []  # a manifest names another by sha512
        self._extras: deque[bytes] = deque()
        self._extras_seen: set[bytes] = set()
        if found.is_foreign:
            self._keep_all("no registry accepts this name")

    async def run(self) -> None:
        """Read and decide. Raises Incomplete."""
        with ExitStack() as stack:
            for sorter in (self._notes, self._layers, self._revisions, self._roots, self._named):
                stack.callback(sorter.close)
            await self._list_notes()
            await self._list_layers()
            await self._list_revisions()
            revisions = await _sorted(self._revisions)
            stack.callback(revisions.close)
            await self._read_tags()
            await self._read_manifests(revisions)
            roots = await _sorted(self._roots)
            stack.callback(roots.close)
            kept = await self._find_roots(revisions, roots)
            await self._read_extras()
            named = await _sorted(self._named)
            stack.callback(named.close)
            kept = await self._reach(kept, revisions, named)
            await self._decide_revisions(kept, revisions)
            await self._decide_layers(kept, named)
            await self._decide_notes(revisions)
        if self._keeps_all is not None:
            self._findings.keep_whole(self._number, self._keeps_all)

    # What may be collected.

    async def _list_notes(self) -> None:
        """The notes that record which manifests refer to which; those by sha512 digests are no candidates."""
        async for subjects in self._reader.names(layout.subjects(self._name, "sha256")):
            for subject in filter(_SHA256.fullmatch, subjects):
                folder = layout.referrers(self._name, Digest("sha256", subject), "sha256")
                async for names in self._reader.names(folder):
                    for name in filter(_SHA256.fullmatch, names):
                        self._notes.add(bytes.fromhex(name) + bytes.fromhex(subject))

    async def _list_layers(self) -> None:
        name = self._name
        links = self._reader.links(
            layout.layers(name), partial(layout.layer_links, name), partial(layout.layer_link, name)
        )
        async for batch in links:
            for digest, content in batch:
                if content is None:
                    self._findings.add_stray(Stray.EMPTY_FOLDER, layout.layer_link(name, digest))
                    continue
                if (stored := self._sort_in(digest, content, self._layers, self._layer_aliases)) is None:
                    continue
                self._notice(f"the link _layers/{digest} is damaged; it is kept")
                for one in stored:
                    self._findings.keep(one, self._number)

    async def _list_revisions(self) -> None:
        name = self._name
        links = self._reader.links(
            layout.revision_algorithms(name), partial(layout.revisions, name), partial(layout.revision_link, name)
        )
        async for batch in links:
            for digest, content in batch:
                if content is None:
                    self._findings.add_stray(Stray.EMPTY_FOLDER, layout.revision_link(name, digest))
                    continue
                if (stored := self._sort_in(digest, content, self._revisions, self._revision_aliases)) is None:
                    continue
                self._notice(f"the link _manifests/revisions/{digest} is damaged; it is kept")
                if not stored:
                    self._keep_all(f"the link _manifests/revisions/{digest} names no manifest")
                for one in stored:
                    self._findings.keep(one, self._number)
                    self._add_extra(one)

    def _sort_in(self, digest: Digest, content: bytes, links: RecordSorter, aliases: Aliases) -> list[bytes] | None:
        """Take a link. Where it is damaged, what it may mean: the digests in its content and in its path."""
        if content == b"sha256:" + digest.hex.encode() and digest.algorithm == "sha256":
            if _SHA256.fullmatch(digest.hex):
                links.add(bytes.fromhex(digest.hex))
                return None
        elif not content and self._options.empty_is_absent:
            return None
        stored = find_digest(content)
        if stored is not None and stored.algorithm != "sha256":
            stored = None
        if stored is not None and digest.algorithm == "sha256" and stored.hex == digest.hex:  # with a newline
            links.add(bytes.fromhex(digest.hex))
            return None
        if stored is not None and digest.algorithm == "sha512" and _SHA512.fullmatch(digest.hex):
            if len(aliases.stored) >= MAX_ALIASES:
                self._keep_all(f"it has more than {MAX_ALIASES} links by sha512 digests")
                self._findings.keep(bytes.fromhex(stored.hex), self._number)
            else:
                aliases.stored[digest.hex] = bytes.fromhex(stored.hex)
            return None
        meant = [bytes.fromhex(stored.hex)] if stored is not None else []
        if digest.algorithm == "sha256" and _SHA256.fullmatch(digest.hex):
            meant.append(bytes.fromhex(digest.hex))
        return meant

    # What keeps it.

    async def _read_tags(self) -> None:
        async for names in self._reader.names(layout.tags(self._name)):
            tags = [Tag(name) for name in names]
            links = await self._reader.contents([layout.tag_current(self._name, tag) for tag in tags])
            for tag, link in zip(tags, links, strict=True):
                self._take_tag(tag, link)

    def _take_tag(self, tag: Tag, link: bytes | None) -> None:
        if link is None or (not link and self._options.empty_is_absent):
            return
        self._findings.totals.tags += 1
        digest = find_digest(link)
        if digest is None:
            self._keep_all(f"the link of the tag {tag} is damaged")
        else:
            self._add_root(digest, _FIRM, f"the tag {tag}")
        if cosign := _COSIGN.fullmatch(tag):
            self._add_root(Digest("sha256", cosign[1]), _SOFT, f"the tag {tag}")

    def _add_root(self, digest: Digest, firmness: bytes, what: str) -> None:
        if digest.algorithm == "sha256":
            self._roots.add(bytes.fromhex(digest.hex) + firmness)
        elif digest.hex in self._revision_aliases.stored:
            self._alias_roots.add(digest.hex)
        elif firmness == _FIRM:
            self._keep_all(f"{what} names {digest}, which the repository doesn't hold")

    async def _read_manifests(self, revisions: SortedRecords) -> None:
        """What each listed manifest names."""
        numbered = enumerate(self._nodes(revisions))
        while batch := [entry for _, entry in zip(range(BATCH), numbered, strict=False)]:
            self._findings.totals.revisions += len(batch)
            async for _ in self._read_batch(batch):
                pass

    def _nodes(self, revisions: SortedRecords) -> Iterator[bytes]:
        """The stored digests of the nodes in their order: the revisions, then their aliases."""
        yield from revisions
        yield from self._revision_aliases.stored.values()

    async def _read_batch(self, nodes: list[tuple[int, bytes]]) -> AsyncIterator[Needs]:
        """What each of these manifests names. Not together: a hostile one names 50,000."""
        stored = [to_digest(digest) for _, digest in nodes]
        async for place, content in self._reader.manifests(stored, layout.blob):
            number, digest = nodes[place]
            try:
                needs = read_needs(content)
            except Unreadable as error:
                await self._take_unreadable(to_digest(digest), content or b"", error)
            else:
                self._take_needs(number, needs)
                yield needs
            if content is not None and len(content) > LARGE_BYTES:
                await self._reader.rest()

    async def _take_unreadable(self, digest: Digest, content: bytes, error: Unreadable) -> None:
        """It may name anything of the repository, and by any digest in its bytes anything else."""
        why = f"the manifest {digest} can't be read: {error}"
        if self._keeps_all is not None:
            self._notice(why)
        self._keep_all(why)
        for turn, one in enumerate(sha256_digests(content)):
            self._findings.keep(one, self._number)
            if turn % TURN == 0:
                await self._reader.rest()

    def _take_needs(self, number: int, needs: Needs) -> None:
        for digest in needs.named:
            if digest.algorithm == "sha256":
                self._named.add(pack_name(bytes.fromhex(digest.hex), number, NAMED))
                continue
            layer, revision = self._layer_aliases.find(digest), self._revision_aliases.find(digest)
            if layer is not None:
                self._named.add(pack_name(layer, number, NAMED))
            if revision is not None:
                self._add_alias_edge(number, digest, NAMED)
            if layer is None and revision is None:
                self._keep_all(f"a manifest names {digest}, which the repository doesn't hold")
        self._take_elsewhere(number, needs)
        if needs.subject is None:
            return
        if needs.subject.algorithm == "sha256":
            self._named.add(pack_name(bytes.fromhex(needs.subject.hex), number, SUBJECT))
        elif needs.subject.hex in self._revision_aliases.stored:
            self._add_alias_edge(number, needs.subject, SUBJECT)

    def _take_elsewhere(self, number: int, needs: Needs) -> None:
        for digest in needs.elsewhere:
            stored = bytes.fromhex(digest.hex) if digest.algorithm == "sha256" else self._layer_aliases.find(digest)
            if stored is not None:
                self._named.add(pack_name(stored, number, ELSEWHERE))

    def _add_alias_edge(self, number: int, digest: Digest, kind: bytes) -> None:
        if len(self._alias_edges) >= MAX_ALIASES:
            self._keep_all(f"its manifests name others by sha512 more than {MAX_ALIASES} times")
        else:
            self._alias_edges.append((number, digest.hex, kind))

    async def _find_roots(self, revisions: SortedRecords, roots: SortedRecords) -> bytearray:
        """Which nodes are roots. A root that is no node is looked for again: it may be new."""
        count = len(revisions) + len(self._revision_aliases.stored)
        reached = bytearray(count)
        missing: list[tuple[bytes, bytes]] = []
        listed = enumerate(revisions)
        number, node = next(listed, (0, None))
        turn = 0
        for record in roots:
            digest, firmness = record[:DIGEST_BYTES], record[DIGEST_BYTES:]
            while node is not None and node < digest:
                number, node = next(listed, (0, None))
            if node == digest:
                reached[number] = 1
            else:
                missing.append((digest, firmness))
            if (turn := turn + 1) % TURN == 0:
                await self._find_missing(missing)
                missing.clear()
                await self._reader.rest()
        await self._find_missing(missing)
        for place, name in enumerate(self._revision_aliases.stored):
            if name in self._alias_roots:
                reached[len(revisions) + place] = 1
        return reached

    async def _find_missing(self, roots: list[tuple[bytes, bytes]]) -> None:
        """Roots that were not listed: pushed since, or of damaged links, or gone."""
        digests = [to_digest(digest) for digest, _ in roots]
        links = await self._reader.contents([layout.revision_link(self._name, digest) for digest in digests])
        for digest, (_, firmness), link in zip(digests, roots, links, strict=True):
            if link:
                stored = find_digest(link)
                is_plain = stored is not None and stored.algorithm == "sha256"
                self._add_extra(bytes.fromhex(stored.hex if stored is not None and is_plain else digest.hex))
            elif firmness == _FIRM:
                await self._take_dangling(digest)

    async def _take_dangling(self, digest: Digest) -> None:
        """A tag's manifest without a link: deleted by another program, or the link was lost. Its content is kept."""
        self._notice(f"a tag names {digest}, which the repository doesn't hold: the tag can't be pulled")
        if any(await self._reader.sizes([layout.blob(digest)])):
            self._add_extra(bytes.fromhex(digest.hex))

    def _add_extra(self, stored: bytes) -> None:
        if stored in self._extras_seen:
            return
        if len(self._extras_seen) >= MAX_EXTRAS:
            self._keep_all(f"more than {MAX_EXTRAS} manifests are new or have damaged links")
            return
        self._extras_seen.add(stored)
        self._extras.append(stored)

    async def _read_extras(self) -> None:
        """Manifests that are kept and are no nodes, with the manifests that they name."""
        while self._extras:
            batch = [self._extras.popleft() for _ in range(min(BATCH, len(self._extras)))]
            for digest in batch:
                self._findings.keep(digest, self._number)
            async for needs in self._read_batch([(EXTRA, digest) for digest in batch]):
                children = [digest for digest in needs.named if digest.algorithm == "sha256"]
                links = await self._reader.contents([layout.revision_link(self._name, child) for child in children])
                for child, link in zip(children, links, strict=True):
                    if link:
                        self._add_extra(bytes.fromhex(child.hex))

    # The decision.

    async def _reach(self, reached: bytearray, revisions: SortedRecords, named: SortedRecords) -> bytearray:
        """Which nodes are kept."""
        everything = bytearray(b"\1") * len(reached)
        if self._keeps_all is not None or self._keeps_revisions:
            return everything
        if len(reached) > MAX_NODES:
            self._notice(f"it has more than {MAX_NODES} manifests, so the untagged ones are kept")
            return everything
        await self._add_promised(reached, revisions)
        edges = self._alias_graph(revisions, reached)
        for turn, (digest, number, source, kind) in enumerate(with_numbers(named, revisions)):
            if number is None:
                # A referrer of a manifest that is kept and is no node.
                if kind == SUBJECT and source != EXTRA and digest in self._extras_seen:
                    reached[source] = 1
            elif source == EXTRA:
                reached[number] = 1
            else:
                edges.add(source, number)
                if kind == SUBJECT:
                    edges.add(number, source)
            if turn % TURN == 0:
                if len(edges) > MAX_EDGES:
                    self._notice(f"its manifests name each other over {MAX_EDGES} times, so the untagged ones are kept")
                    return everything
                await self._reader.rest()
        await asyncio.to_thread(edges.spread, reached)
        return reached

    async def _add_promised(self, reached: bytearray, revisions: SortedRecords) -> None:
        """Revisions that are new since the last list, or were promised to somebody."""
        for number, name in enumerate(self._node_names(revisions)):
            if not reached[number] and (
                self._options.is_new(self._name, name)
                or self._options.is_revived(mark_of(Kind.REVISION, self._name, name))
            ):
                reached[number] = 1
            if number % TURN == 0:
                await self._reader.rest()

    def _node_names(self, revisions: SortedRecords) -> Iterator[Digest]:
        for digest in revisions:
            yield to_digest(digest)
        for name in self._revision_aliases.stored:
            yield Digest("sha512", name)

    def _alias_graph(self, revisions: SortedRecords, reached: bytearray) -> Edges:
        """A manifest's two names keep each other. With the edges to manifests that are named by sha512."""
        edges = Edges()
        places = {name: len(revisions) + place for place, name in enumerate(self._revision_aliases.stored)}
        for source, name, kind in self._alias_edges:
            if source == EXTRA:
                reached[places[name]] = 1
                continue
            edges.add(source, places[name])
            if kind == SUBJECT:
                edges.add(places[name], source)
        by_stored: dict[bytes, list[int]] = {}
        for name, stored in self._revision_aliases.stored.items():
            by_stored.setdefault(stored, []).append(places[name])
        if by_stored:
            for number, digest in enumerate(revisions):
                for place in by_stored.get(digest, ()):
                    edges.add(number, place)
                    edges.add(place, number)
        return edges

    async def _decide_revisions(self, kept: bytearray, revisions: SortedRecords) -> None:
        for number, (name, stored) in enumerate(zip(self._node_names(revisions), self._nodes(revisions), strict=True)):
            if kept[number] or self._keeps_all is not None:
                self._findings.keep(stored, self._number)
            else:
                self._leave(Kind.REVISION, Reason.UNTAGGED, name, stored)
            if number % TURN == 0:
                await self._reader.rest()

    async def _decide_layers(self, kept: bytearray, named: SortedRecords) -> None:
        """A layer's link is kept where a kept manifest names the blob; so are the bytes, even without a link."""
        layers = await _sorted(self._layers)
        aliased: dict[bytes, list[str]] = {}
        for name, stored in self._layer_aliases.stored.items():
            aliased.setdefault(stored, []).append(name)
        try:
            for turn, (digest, is_layer, is_named) in enumerate(join(layers, by_digest(named, kept))):
                if is_named:
                    self._findings.keep(digest, self._number)
                reason = Reason.UNNAMED if is_named is None else Reason.OF_UNTAGGED
                if is_layer and not is_named:
                    self._decide_layer(reason, to_digest(digest), digest)
                for name in aliased.pop(digest, ()):
                    if not is_named:
                        self._decide_layer(reason, Digest("sha512", name), digest)
                if turn % TURN == 0:
                    await self._reader.rest()
            self._findings.totals.layer_links += len(layers) + len(self._layer_aliases.stored)
        finally:
            layers.close()
        for stored, names in aliased.items():
            for name in names:
                self._decide_layer(Reason.UNNAMED, Digest("sha512", name), stored)

    def _decide_layer(self, reason: Reason, name: Digest, stored: bytes) -> None:
        if self._keeps_all is not None:
            self._findings.keep(stored, self._number)
        else:
            self._leave(Kind.LAYER, reason, name, stored)

    def _leave(self, kind: Kind, reason: Reason, name: Digest, stored: bytes) -> None:
        mark = mark_of(kind, self._name, name)
        if self._options.is_revived(mark):
            self._findings.keep(stored, self._number)
        else:
            self._findings.leave(kind, reason, name, stored, self._number, mark)

    async def _decide_notes(self, revisions: SortedRecords) -> None:
        notes = await _sorted(self._notes)
        try:
            missing: list[bytes] = []
            listed = iter(revisions)
            node = next(listed, None)
            for turn, note in enumerate(notes):
                while node is not None and node < note[:DIGEST_BYTES]:
                    node = next(listed, None)
                if node != note[:DIGEST_BYTES]:
                    missing.append(note)
                if turn % TURN == 0:
                    await self._take_strays(missing)
                    missing.clear()
            await self._take_strays(missing)
        finally:
            notes.close()

    async def _take_strays(self, notes: list[bytes]) -> None:
        if self._keeps_all is not None:
            return
        pairs = [(to_digest(note[:DIGEST_BYTES]), to_digest(note[DIGEST_BYTES:])) for note in notes]
        links = await self._reader.contents([layout.revision_link(self._name, referrer) for referrer, _ in pairs])
        for (referrer, subject), link in zip(pairs, links, strict=True):
            if link is None or (not link and self._options.empty_is_absent):
                self._findings.add_stray(Stray.NOTE, layout.referrer_link(self._name, subject, referrer))

    def _keep_all(self, why: str) -> None:
        if self._keeps_all is None:
            self._keeps_all = why

    def _notice(self, what: str) -> None:
        self._findings.notice(self._name, what, self._notices)
        self._notices += 1


async def _sorted(sorter: RecordSorter) -> SortedRecords:
    return await asyncio.to_thread(sorter.finish) if sorter.is_spilled else sorter.finish()
