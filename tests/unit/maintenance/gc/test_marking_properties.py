"""A marking of any small storage finds exactly what an obvious computation in memory finds."""

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from authproxy.digest import Digest
from authproxy.maintenance.gc.marking import mark
from authproxy.maintenance.gc.options import MarkingOptions, Untagged
from authproxy.reference import Repository
from authproxy.registry.gc_marks import Kind
from authproxy.storage.memory import MemoryDriver
from tests.support.gc_store import GcStore, image, index

REPOSITORIES = tuple(map(Repository, ("a", "a/b", "c")))
BLOBS = tuple(f"blob {number}".encode() for number in range(6))
PLACE = st.integers(0, 2)


@dataclass
class Made:
    """A manifest: which repository, and the numbers of what it names among the blobs and the earlier manifests."""

    place: int
    blobs: list[int]
    children: list[int]
    subject: int | None
    tags: list[str]
    is_linked: bool
    content: bytes = b""
    digest: Digest = field(default_factory=lambda: Digest.of(b""))


MANIFEST = st.builds(
    Made,
    place=PLACE,
    blobs=st.lists(st.integers(0, 5), max_size=3),
    children=st.lists(st.integers(0, 7), max_size=2),
    subject=st.none() | st.integers(0, 7),
    tags=st.lists(st.sampled_from(["v1", "v2"]), max_size=1),
    is_linked=st.just(True) | st.booleans(),
)
STORES = st.tuples(
    st.lists(MANIFEST, max_size=8),
    st.sets(st.tuples(PLACE, st.integers(0, 5))),  # links to blobs
    st.sets(st.integers(0, 5)),  # bytes of blobs
)


def finish(manifests: list[Made]) -> None:
    """Their contents: each names earlier ones only."""
    for number, made in enumerate(manifests):
        children = [manifests[child].digest for child in made.children if child < number]
        subject = manifests[made.subject].digest if made.subject is not None and made.subject < number else None
        blobs = [Digest.of(BLOBS[blob]) for blob in made.blobs]
        note = {"annotations": {"number": str(number)}}
        if children or not blobs:
            made.blobs = []
            made.content = index(children, subject, **note)
        else:
            made.children = []
            made.content = image(blobs, subject, **note)
        made.children = [child for child in made.children if child < number]
        made.subject = made.subject if subject is not None else None
        made.digest = Digest.of(made.content)


class Expected(NamedTuple):
    """Candidates."""

    revisions: set[tuple[str, Digest]]
    layers: set[tuple[str, Digest]]
    bytes: set[Digest]


def expect(manifests: list[Made], links: set[tuple[int, int]], stored: set[int], *, keeps_untagged: bool) -> Expected:
    all_bytes = {made.digest for made in manifests} | {Digest.of(BLOBS[blob]) for blob in stored}
    gone = Expected(set(), set(), set())
    kept_bytes = set()
    for place, repository in enumerate(REPOSITORIES):
        tags: dict[str, int] = {}
        for number, made in enumerate(manifests):
            if made.place == place:
                tags.update(dict.fromkeys(made.tags, number))
        here = {number for number, made in enumerate(manifests) if made.place == place and made.is_linked}
        by_digest = {manifests[number].digest: number for number in here}
        # A tag keeps its manifest even where the link is lost, with all that it names here.
        kept = set(here) if keeps_untagged else set()
        kept |= set(tags.values())
        while True:
            more = set()
            for number in kept:
                made = manifests[number]
                named = [*made.children, *([made.subject] if made.subject is not None else [])]
                more |= {by_digest[manifests[other].digest] for other in named if manifests[other].digest in by_digest}
            for number in here:
                subject = manifests[number].subject
                if subject is not None and subject in kept & here:
                    more.add(number)
            if more <= kept:
                break
            kept |= more
        names = set()
        for number in kept:
            names |= {Digest.of(BLOBS[blob]) for blob in manifests[number].blobs}
            names |= {manifests[child].digest for child in manifests[number].children}
            kept_bytes.add(manifests[number].digest)
        kept_bytes |= names
        gone.revisions.update((repository, manifests[number].digest) for number in here - kept)
        layers = {Digest.of(BLOBS[blob]) for linked, blob in links if linked == place}
        gone.layers.update((repository, layer) for layer in layers - names)
    gone.bytes.update(all_bytes - kept_bytes)
    return gone


async def build(manifests: list[Made], links: set[tuple[int, int]], stored: set[int]) -> GcStore:
    store = GcStore(MemoryDriver())
    for place, blob in links:
        await store.link_layer(Digest.of(BLOBS[blob]), REPOSITORIES[place])
    for blob in stored:
        await store.put_bytes(BLOBS[blob])
    for made in manifests:
        if made.is_linked:
            await store.put_manifest(made.content, REPOSITORIES[made.place])
        else:
            await store.put_bytes(made.content)
        for tag in made.tags:
            await store.tag(tag, made.digest, REPOSITORIES[made.place])
    return store


async def find(store: GcStore, options: MarkingOptions) -> Expected:
    found = Expected(set(), set(), set())
    with await mark(store.driver, options) as marking:
        for one in marking.candidates():
            if one.kind is Kind.BYTES:
                found.bytes.add(one.digest)
            else:
                target = found.revisions if one.kind is Kind.REVISION else found.layers
                target.add((str(one.repository), one.digest))
    return found


@given(STORES, st.sampled_from(Untagged), st.sampled_from([1, 3, 1000]))
def test_candidates_are_what_no_root_reaches(
    made: tuple[list[Made], set[tuple[int, int]], set[int]], untagged: Untagged, run: int
) -> None:
    manifests, links, stored = made
    finish(manifests)

    async def both() -> Expected:
        return await find(await build(manifests, links, stored), MarkingOptions(untagged=untagged, run=run))

    expected = expect(manifests, links, stored, keeps_untagged=untagged is Untagged.KEEP)
    assert asyncio.run(both()) == expected
