"""What a marking keeps, and what it finds that nothing reaches: each rule over both drivers."""

import json
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from authproxy.digest import Digest
from authproxy.maintenance.gc.findings import Reason, Stray
from authproxy.maintenance.gc.marking import Incomplete, Marking, mark
from authproxy.maintenance.gc.options import MarkingOptions, Untagged
from authproxy.oci import media_types
from authproxy.reference import Repository, Tag
from authproxy.registry.gc_marks import Kind, mark_of
from authproxy.storage import layout, state_layout
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.memory import MemoryDriver
from tests.support.gc_store import APP, GcStore, image, index

if TYPE_CHECKING:
    from authproxy.storage.driver import Driver

OTHER = Repository("team/other")
REMOVE = MarkingOptions(untagged=Untagged.REMOVE)
KEEP = MarkingOptions()


@pytest.fixture(params=["filesystem", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GcStore]:
    made: Driver = FilesystemDriver(tmp_path, threads=4) if request.param == "filesystem" else MemoryDriver()
    yield GcStore(made)
    await made.close()


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[tuple[GcStore, Path]]:
    """A store on a folder, and where it is."""
    made = FilesystemDriver(tmp_path, threads=4)
    yield GcStore(made), tmp_path
    await made.close()


@dataclass
class Found:
    """What a marking found, in sets."""

    revisions: set[tuple[str, Digest]]
    layers: set[tuple[str, Digest]]
    bytes: set[Digest]
    reasons: dict[Digest, set[Reason]]
    strays: list[tuple[Stray, str]]
    notices: list[str]
    kept_whole: dict[str, str]

    @property
    def is_nothing(self) -> bool:
        return not (self.revisions or self.layers or self.bytes)


def read(marking: Marking) -> Found:
    with marking:
        found = Found(set(), set(), set(), {}, [], [], {})
        marks = []
        for one in marking.candidates():
            marks.append(one.mark)
            found.reasons.setdefault(one.digest, set()).add(one.reason)
            assert one.mark == mark_of(one.kind, one.repository, one.digest)
            if one.kind is Kind.BYTES:
                found.bytes.add(one.digest)
            else:
                target = found.layers if one.kind is Kind.LAYER else found.revisions
                target.add((str(one.repository), one.digest))
        assert marks == sorted(set(marks))
        found.strays = [(what, str(path)) for what, path in marking.strays()]
        found.notices = [f"{notice.repository}: {notice.what}" for notice in marking.notices]
        found.kept_whole = {row.repository: row.kept_whole for row in marking.repositories() if row.kept_whole}
        return found


async def find(store: GcStore, options: MarkingOptions = KEEP) -> Found:
    """Mark with ordinary runs and with tiny ones: both find the same."""
    found = read(await mark(store.driver, options))
    assert read(await mark(store.driver, replace(options, run=2))) == found
    return found


def of(repository: Repository, *digests: Digest) -> set[tuple[str, Digest]]:
    return {(repository, digest) for digest in digests}


async def test_an_empty_storage_has_no_candidates(store: GcStore) -> None:
    assert (await find(store)).is_nothing


async def test_all_of_a_tagged_image_is_kept(store: GcStore) -> None:
    await store.push_image("a", "v1")
    assert (await find(store, REMOVE)).is_nothing


async def test_an_untagged_manifest_is_kept_by_default(store: GcStore) -> None:
    await store.push_image("a")
    assert (await find(store)).is_nothing


async def test_an_untagged_manifest_goes_with_its_content_where_asked(store: GcStore) -> None:
    gone = await store.push_image("a")
    kept = await store.push_image("b", "v1")
    found = await find(store, REMOVE)
    assert found.revisions == of(APP, gone.manifest)
    assert found.layers == of(APP, *gone.blobs)
    assert found.bytes == {gone.manifest, *gone.blobs}
    assert found.reasons[gone.layer] == {Reason.OF_UNTAGGED, Reason.LINKS_GO}
    assert kept.manifest not in found.bytes


async def test_a_layer_that_no_manifest_names_goes(store: GcStore) -> None:
    await store.push_image("a", "v1")
    orphan = await store.put_blob(b"orphan")
    found = await find(store)
    assert (found.layers, found.bytes) == (of(APP, orphan), {orphan})
    assert found.reasons[orphan] == {Reason.UNNAMED, Reason.LINKS_GO}


async def test_bytes_without_a_link_go(store: GcStore) -> None:
    orphan = await store.put_bytes(b"orphan")
    found = await find(store)
    assert (found.layers, found.bytes, found.reasons) == (set(), {orphan}, {orphan: {Reason.UNLINKED}})


async def test_bytes_that_another_repository_needs_stay_while_the_link_goes(store: GcStore) -> None:
    pushed = await store.push_image("a", "v1", repository=OTHER)
    await store.link_layer(pushed.layer)
    found = await find(store)
    assert (found.layers, found.bytes) == (of(APP, pushed.layer), set())


async def test_freed_bytes_are_told_apart_into_own_and_shared(store: GcStore) -> None:
    own, shared = await store.put_blob(b"own"), await store.put_blob(b"shared")
    await store.link_layer(shared, OTHER)
    await store.put_bytes(b"unlinked!")
    with await mark(store.driver) as marking:
        rows = {row.repository: (row.unnamed_layers, row.own_bytes, row.shared_bytes) for row in marking.repositories()}
        assert rows == {APP: (2, 3, 6), OTHER: (1, 0, 6)}
        totals = marking.totals
        assert (totals.candidate_bytes, totals.bytes, totals.unlinked_bytes) == (18, 18, 9)
    assert own != shared


async def test_an_index_keeps_its_manifests_and_these_their_blobs(store: GcStore) -> None:
    one, two = await store.push_image("a"), await store.push_image("b")
    nested = await store.put_manifest(index([two.manifest]))
    await store.put_manifest(index([one.manifest, nested]), APP, "v1")
    assert (await find(store, REMOVE)).is_nothing


async def test_an_index_of_layers_keeps_them_as_blobs(store: GcStore) -> None:
    """BuildKit keeps its cache so."""
    layer = await store.put_blob(b"cache")
    await store.put_manifest(index([layer]), APP, "cache")
    assert (await find(store, REMOVE)).is_nothing


async def test_a_referrer_is_kept_with_its_subject(store: GcStore) -> None:
    subject = await store.push_image("a", "v1")
    signature = await store.push_image("signature", subject=subject.manifest)
    await store.push_image("signature of the signature", subject=signature.manifest)
    assert (await find(store, REMOVE)).is_nothing


async def test_a_tagged_referrer_keeps_its_subject(store: GcStore) -> None:
    subject = await store.push_image("a")
    await store.push_image("signature", "signed", subject=subject.manifest)
    assert (await find(store, REMOVE)).is_nothing


async def test_a_referrer_alone_keeps_nothing(store: GcStore) -> None:
    subject = await store.push_image("a")
    signature = await store.push_image("signature", subject=subject.manifest)
    found = await find(store, REMOVE)
    assert found.revisions == of(APP, subject.manifest, signature.manifest)


async def test_a_referrer_in_another_repository_keeps_nothing_here(store: GcStore) -> None:
    subject = await store.push_image("a")
    await store.push_image("signature", "v1", repository=OTHER, subject=subject.manifest)
    assert (await find(store, REMOVE)).revisions == of(APP, subject.manifest)


@pytest.mark.parametrize("suffix", [".sig", ".att", ".sbom"])
async def test_the_tag_of_cosign_keeps_the_manifest_that_it_names(store: GcStore, suffix: str) -> None:
    subject = await store.push_image("a")
    await store.push_image("signature", f"sha256-{subject.manifest.hex}{suffix}")
    assert (await find(store, REMOVE)).is_nothing


async def test_the_tag_of_cosign_may_name_a_manifest_that_is_gone(store: GcStore) -> None:
    await store.push_image("signature", f"sha256-{Digest.of(b'gone').hex}.sig")
    found = await find(store, REMOVE)
    assert (found.is_nothing, found.kept_whole, found.notices) == (True, {}, [])


async def test_the_history_of_a_tag_keeps_nothing(store: GcStore) -> None:
    before = await store.push_image("before", "v1")
    await store.push_image("now", "v1")
    assert (await find(store, REMOVE)).revisions == of(APP, before.manifest)


async def test_what_is_new_is_kept_with_all_that_it_names(store: GcStore) -> None:
    new, old = await store.push_image("new"), await store.push_image("old")
    options = replace(REMOVE, is_new=lambda name, digest: (name, digest) == (APP, new.manifest))
    found = await find(store, options)
    assert found.revisions == of(APP, old.manifest)
    assert found.layers == of(APP, *old.blobs)


async def test_a_revived_manifest_is_kept_with_all_that_it_names(store: GcStore) -> None:
    revived = await store.push_image("a")
    marks = {mark_of(Kind.REVISION, APP, revived.manifest)}
    assert (await find(store, replace(REMOVE, is_revived=marks.__contains__))).is_nothing


async def test_a_revived_layer_is_kept_with_its_bytes(store: GcStore) -> None:
    orphan = await store.put_blob(b"orphan")
    marks = {mark_of(Kind.LAYER, APP, orphan)}
    assert (await find(store, replace(KEEP, is_revived=marks.__contains__))).is_nothing


async def test_revived_bytes_are_kept_without_a_link(store: GcStore) -> None:
    orphan = await store.put_blob(b"orphan")
    marks = {mark_of(Kind.BYTES, None, orphan)}
    found = await find(store, replace(KEEP, is_revived=marks.__contains__))
    assert (found.layers, found.bytes) == (of(APP, orphan), set())


async def test_bytes_of_others_are_not_kept_by_naming_them(store: GcStore) -> None:
    """A pusher of one repository could keep everything of all others, where it knows their digests."""
    config, others = await store.put_blob(b"config"), await store.put_bytes(b"of another repository")
    held = await store.put_blob(b"held")
    layers = [
        {"mediaType": media_types.NON_DISTRIBUTABLE[0], "digest": str(digest), "size": 1, "urls": ["https://x.example"]}
        for digest in (others, held)
    ]
    named = [{"mediaType": "a/b", "digest": str(others), "size": 1}]
    body = json.loads(image([config])) | {"layers": layers, "blobs": named}
    await store.put_manifest(json.dumps(body).encode())
    found = await find(store)
    assert (found.layers, found.bytes) == (set(), {others})


async def test_content_in_quarantine_is_kept(store: GcStore) -> None:
    damaged = await store.put_bytes(b"damaged")
    await store.driver.write(state_layout.quarantined(damaged), b"{}")
    assert (await find(store)).is_nothing


@pytest.mark.parametrize(
    "content",
    [
        b"not JSON",
        b"[]",
        b"\xff\xfe",
        b'{"schemaVersion": 1, "fsLayers": []}',
        b'{"schemaVersion": 2, "mediaType": "application/vnd.example+json"}',
        b'{"schemaVersion": 2, "mediaType": 5}',
        b'{"schemaVersion": 2, "layers": 5}',
        b'{"schemaVersion": 2, "layers": [{"digest": "md5:00"}]}',
        b'{"schemaVersion": 2, "Layers": []}',
        b'{"schemaVersion": 2, "subject": {}}',
        b"[" * 100_000,
        b'{"schemaVersion": 2, "annotations": {' + b'"a": "b",' * 100_000 + b'"a": "b"}}',
    ],
    ids=lambda content: content[:60].decode(errors="replace"),
)
async def test_a_manifest_that_cannot_be_read_keeps_its_whole_repository(store: GcStore, content: bytes) -> None:
    await store.push_image("a")
    orphan = await store.put_blob(b"orphan")
    strange = await store.put_manifest(content)
    elsewhere = await store.put_blob(b"elsewhere", OTHER)
    found = await find(store, REMOVE)
    assert (found.revisions, found.layers) == (set(), of(OTHER, elsewhere))
    assert orphan not in found.bytes
    assert str(strange) in found.kept_whole[APP]


async def test_digests_anywhere_in_an_unreadable_manifest_keep_their_bytes(store: GcStore) -> None:
    named = await store.put_bytes(b"named somehow")
    await store.put_manifest(f"fsLayers: blobSum={named}!".encode())
    assert (await find(store, REMOVE)).is_nothing


async def test_a_manifest_whose_bytes_are_missing_or_empty_keeps_its_whole_repository(store: GcStore) -> None:
    gone = await store.push_image("a", "v1")
    emptied = await store.push_image("b", "v1", repository=OTHER)
    await store.driver.delete(layout.blob(gone.manifest))
    await store.driver.write(layout.blob(emptied.manifest), b"")
    found = await find(store, REMOVE)
    assert found.is_nothing
    assert "missing" in found.kept_whole[APP]
    assert "empty" in found.kept_whole[OTHER]


async def test_a_digest_that_a_kept_manifest_names_keeps_its_bytes_without_a_link(store: GcStore) -> None:
    unlinked = await store.put_bytes(b"unlinked")
    config = await store.put_blob(b"config")
    await store.put_manifest(image([config, unlinked]), APP, "v1")
    assert (await find(store, REMOVE)).is_nothing


async def test_the_digest_in_a_link_counts_and_not_its_path(store: GcStore) -> None:
    layer, config = await store.put_bytes(b"layer"), await store.put_blob(b"config")
    by_sha512 = Digest.of(b"layer", "sha512")
    await store.link_layer(by_sha512, stored=layer)
    await store.link_layer(layer)
    await store.put_manifest(image([config, by_sha512]), APP, "v1")
    assert (await find(store, REMOVE)).is_nothing


async def test_both_names_of_a_blob_go_together(store: GcStore) -> None:
    layer = await store.put_blob(b"layer")
    by_sha512 = Digest.of(b"layer", "sha512")
    await store.link_layer(by_sha512, stored=layer)
    found = await find(store)
    assert (found.layers, found.bytes) == (of(APP, layer, by_sha512), {layer})


async def test_both_names_of_a_manifest_are_kept_by_a_tag_of_either(store: GcStore) -> None:
    content = image([await store.put_blob(b"config")])
    digest, by_sha512 = await store.put_manifest(content), Digest.of(content, "sha512")
    await store.driver.write(layout.revision_link(APP, by_sha512), str(digest).encode())
    found = await find(store, REMOVE)
    assert found.revisions == of(APP, digest, by_sha512)
    await store.driver.write(layout.tag_current(APP, Tag("v1")), str(by_sha512).encode())
    assert (await find(store, REMOVE)).is_nothing


async def test_an_index_by_sha512_keeps_its_manifest(store: GcStore) -> None:
    content = image([await store.put_blob(b"config")])
    digest, by_sha512 = await store.put_manifest(content), Digest.of(content, "sha512")
    await store.driver.write(layout.revision_link(APP, by_sha512), str(digest).encode())
    await store.put_manifest(index([by_sha512]), APP, "v1")
    await store.push_image("signature", subject=by_sha512)
    assert (await find(store, REMOVE)).is_nothing


async def test_a_name_by_sha512_without_a_link_keeps_the_whole_repository(store: GcStore) -> None:
    config = await store.put_blob(b"config")
    await store.put_blob(b"layer")
    await store.put_manifest(image([config, Digest.of(b"layer", "sha512")]), APP, "v1")
    found = await find(store)
    assert (found.is_nothing, list(found.kept_whole)) == (True, [APP])


@pytest.mark.parametrize("content", [b"", b"nonsense", b"sha256:00", b"\xff" * 71])
async def test_damaged_links_are_kept_with_what_their_paths_name(store: GcStore, content: bytes) -> None:
    pushed = await store.push_image("a")
    await store.driver.write(layout.revision_link(APP, pushed.manifest), content)
    orphan = await store.put_blob(b"orphan", OTHER)
    await store.driver.write(layout.layer_link(OTHER, orphan), content)
    found = await find(store, REMOVE)
    assert found.is_nothing
    assert len(found.notices) == 2


async def test_a_damaged_link_to_other_content_keeps_both(store: GcStore) -> None:
    a, b = await store.push_image("a"), await store.push_image("b")
    await store.driver.delete(layout.revision_link(APP, b.manifest))
    await store.driver.write(layout.revision_link(APP, a.manifest), str(b.manifest).encode())
    assert (await find(store, REMOVE)).is_nothing


async def test_the_signature_of_a_manifest_with_a_damaged_link_is_kept(store: GcStore) -> None:
    subject = await store.push_image("a")
    await store.push_image("signature", subject=subject.manifest)
    await store.driver.write(layout.revision_link(APP, subject.manifest), b"nonsense")
    assert (await find(store, REMOVE)).is_nothing


async def test_an_empty_link_is_absent_where_deletions_leave_it(store: GcStore) -> None:
    pushed = await store.push_image("a", "v1")
    await store.driver.write(layout.tag_current(APP, Tag("v1")), b"")
    found = await find(store, REMOVE)
    assert (found.is_nothing, list(found.kept_whole)) == (True, [APP])
    assert (await find(store, replace(REMOVE, empty_is_absent=True))).revisions == of(APP, pushed.manifest)


async def test_a_tag_with_a_damaged_link_keeps_its_whole_repository(store: GcStore) -> None:
    await store.push_image("a", "v1")
    await store.driver.write(layout.tag_current(APP, Tag("v1")), b"nonsense")
    found = await find(store, REMOVE)
    assert (found.is_nothing, found.kept_whole) == (True, {APP: "the link of the tag v1 is damaged"})


async def test_a_tag_keeps_its_manifest_even_if_the_link_of_that_is_lost(store: GcStore) -> None:
    pushed = await store.push_image("a", "v1")
    await store.driver.delete(layout.revision_link(APP, pushed.manifest))
    found = await find(store, REMOVE)
    assert found.is_nothing
    assert "doesn't hold" in found.notices[0]


async def test_a_tag_whose_manifest_is_gone_keeps_nothing(store: GcStore) -> None:
    pushed = await store.push_image("a", "v1")
    await store.driver.delete(layout.revision_link(APP, pushed.manifest))
    await store.driver.delete(layout.blob(pushed.manifest))
    found = await find(store, REMOVE)
    assert found.layers == of(APP, *pushed.blobs)


async def test_links_by_unknown_algorithms_are_kept_with_their_content(store: GcStore) -> None:
    """CNCF Distribution's first versions had `_layers/tarsum.v1+sha256`."""
    content = await store.put_bytes(b"old")
    await store.driver.write(layout.layer_link(APP, Digest("tarsum.v1+sha256", "abc")), str(content).encode())
    assert (await find(store)).is_nothing


@pytest.mark.parametrize("name", ["team/Not_A..Name", "_old/app", "team/app/_backup", "@eaDir", "a" * 250 + "/bcdefg"])
async def test_a_folder_whose_name_no_registry_accepts_is_kept_with_all_that_it_links(
    store: GcStore, name: str
) -> None:
    foreign = Repository(name)
    await store.push_image("a", repository=foreign)
    await store.put_blob(b"orphan", foreign)
    found = await find(store, REMOVE)
    assert (found.is_nothing, list(found.kept_whole)) == (True, [foreign])


async def test_repositories_within_repositories_are_read(store: GcStore) -> None:
    names = [
        Repository("a"),
        Repository("a/b"),
        Repository("a/b/c"),
        Repository("a-b"),
        Repository("/".join("abcdefgh")),
    ]
    for name in names:
        await store.push_image(name, "v1", repository=name)
    orphans = {name: await store.put_blob(f"orphan in {name}".encode(), name) for name in names}
    found = await find(store)
    assert found.layers == set(orphans.items())


async def test_a_note_without_its_referrer_is_a_stray(store: GcStore) -> None:
    subject = await store.push_image("a", "v1")
    signature = await store.push_image("signature", subject=subject.manifest)
    await store.note(subject.manifest, signature.manifest)
    gone = Digest.of(b"gone")
    await store.note(subject.manifest, gone)
    found = await find(store)
    assert found.strays == [(Stray.NOTE, layout.referrer_link(APP, subject.manifest, gone))]


async def test_uploads_are_not_looked_at(store: GcStore) -> None:
    await store.driver.write(layout.StorePath(f"{layout.uploads(APP)}/x/startedat"), b"now")
    assert (await find(store)).is_nothing


async def test_each_driver_is_read_in_bounded_pieces(store: GcStore) -> None:
    """Large manifests are not read together: 30 of 1 MB are more than one piece."""
    for number in range(30):
        content = image([await store.put_blob(b"config")], annotations={"n": str(number), "x": "y" * 1_000_000})
        await store.put_manifest(content, APP, f"v{number}")
    seen: list[int] = []
    plain = store.driver.read

    async def counting(paths: list[layout.StorePath], *, fresh: bool = False) -> list[bytes | None]:
        contents = await plain(paths, fresh=fresh)
        seen.append(sum(len(content or b"") for content in contents))
        return contents

    store.driver.read = counting  # type: ignore[method-assign,assignment]
    assert (await find(store, REMOVE)).is_nothing
    assert max(seen) <= 9_000_000


async def test_an_error_while_reading_ends_the_marking(folder: tuple[GcStore, Path]) -> None:
    store, _ = folder
    pushed = await store.push_image("a", "v1")
    failing = layout.blob(pushed.manifest)
    plain = store.driver.sizes

    async def sizes(paths: list[layout.StorePath]) -> list[int | None]:
        if failing in paths:
            raise PermissionError(13, "Permission denied", failing)
        return await plain(paths)

    store.driver.sizes = sizes  # type: ignore[method-assign,assignment]
    with pytest.raises(Incomplete, match=r"data can't be read \(Permission denied\); nothing may be collected"):
        await mark(store.driver)


async def test_a_folder_that_cannot_be_listed_ends_the_marking(folder: tuple[GcStore, Path]) -> None:
    store, root = folder
    await store.push_image("a", "v1")
    loop = root / layout.repositories() / "loop"
    loop.symlink_to(loop)
    with pytest.raises(Incomplete, match=r"loop"):
        await mark(store.driver)


async def test_a_folder_in_place_of_a_link_is_damage(folder: tuple[GcStore, Path]) -> None:
    store, root = folder
    pushed = await store.push_image("a")
    link = root / layout.layer_link(APP, pushed.layer)
    link.unlink()
    link.mkdir()
    tag = root / layout.tag_current(APP, Tag("v1"))
    tag.mkdir(parents=True)
    found = await find(store, REMOVE)
    assert (found.is_nothing, found.kept_whole) == (True, {APP: "the link of the tag v1 is damaged"})


async def test_a_pipe_in_place_of_a_link_holds_nothing_up(folder: tuple[GcStore, Path]) -> None:
    store, root = folder
    for number in range(20):
        link = root / layout.layer_link(APP, Digest.of(str(number).encode()))
        link.parent.mkdir(parents=True)
        os.mkfifo(link)
    found = await find(store)
    assert (found.is_nothing, len(found.notices)) == (True, 20)


async def test_links_to_folders_within_the_storage_are_passed_by(folder: tuple[GcStore, Path]) -> None:
    store, root = folder
    await store.push_image("a", "v1")
    repositories = root / layout.repositories()
    (repositories / "loop").symlink_to(repositories)
    (repositories / "team" / "loop").symlink_to("..")
    (repositories / "team" / "root").symlink_to("/")
    assert (await find(store, REMOVE)).is_nothing


async def test_a_repository_on_another_disk_is_read(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    driver = FilesystemDriver(here, threads=2)
    store = GcStore(driver)
    pushed = await store.push_image("a", "v1", repository=OTHER)
    (here / layout.repository(OTHER)).rename(there)
    (here / layout.repository(OTHER)).symlink_to(there)
    found = await find(store)
    await driver.close()
    assert pushed.manifest not in found.bytes
    assert found.is_nothing


async def test_a_repository_elsewhere_in_the_storage_is_read(folder: tuple[GcStore, Path]) -> None:
    store, root = folder
    await store.push_image("a", "v1", repository=OTHER)
    (root / layout.repository(OTHER)).rename(root / "moved")
    (root / layout.repository(OTHER)).symlink_to(root / "moved")
    assert (await find(store)).is_nothing


async def test_a_tag_that_is_a_symbolic_link_keeps_its_image(folder: tuple[GcStore, Path]) -> None:
    store, root = folder
    await store.push_image("a", "v1")
    await store.push_image("a", "v1", repository=OTHER)
    tag = root / layout.tags(APP) / "v1"
    shutil.rmtree(tag)
    tag.symlink_to(root / layout.tags(OTHER) / "v1")
    assert (await find(store, REMOVE)).is_nothing


async def test_foreign_names_are_kept_and_reported(folder: tuple[GcStore, Path]) -> None:
    store, root = folder
    pushed = await store.push_image("a", "v1")
    bytes_of = root / layout.blob_shards("sha256")
    (bytes_of / "zz").mkdir()
    (bytes_of / pushed.layer.hex[:2] / "short").mkdir(parents=True)
    (bytes_of / pushed.layer.hex[:2] / ("0" * 64)).mkdir()
    os.mkdir(os.fsencode(root / layout.repositories()) + b"/\xff\xfe")  # noqa: PTH102 - not UTF-8
    (root / layout.repositories() / "a file").write_text("x")
    (root / layout.tags(APP) / "a file").write_text("x")
    (root / layout.layer_links(APP, "sha256") / "a file").write_text("x")
    found = await find(store, REMOVE)
    assert found.is_nothing
    assert len(found.notices) == 4


async def test_deep_nesting_ends(folder: tuple[GcStore, Path]) -> None:
    store, root = folder
    await store.push_image("a", "v1")
    deep = root / layout.repositories()
    for _ in range(230):
        deep /= "A"
    deep.mkdir(parents=True)
    assert (await find(store, REMOVE)).is_nothing


async def test_a_reader_alone_writes_nothing(
    folder: tuple[GcStore, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store, root = folder
    await store.push_image("a", "v1")
    await store.put_blob(b"orphan")
    before = sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*"))
    driver = FilesystemDriver(root, threads=2, read_only=True)
    found = read(await mark(driver, folder=tmp_path_factory.mktemp("sorted")))
    await driver.close()
    assert len(found.layers) == 1
    assert sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*")) == before


async def test_many_notices_of_one_repository_leave_room_for_others(store: GcStore) -> None:
    for number in range(50):
        await store.driver.write(layout.layer_link(APP, Digest.of(str(number).encode())), b"nonsense")
    await store.driver.write(layout.layer_link(OTHER, Digest.of(b"x")), b"nonsense")
    with await mark(store.driver) as marking:
        assert [notice.repository for notice in marking.notices].count(APP) == 20
        assert marking.notices[-1].repository == OTHER or marking.notices[0].repository == OTHER
        assert marking.more_notices == 30


async def test_progress_is_told(store: GcStore) -> None:
    await store.push_image("a", "v1")
    seen: list[tuple[int, int]] = []
    with await mark(store.driver, progress=lambda totals: seen.append((totals.blobs, totals.repositories))):
        assert seen[-1] == (3, 1)


async def test_a_new_tag_beside_the_marking_keeps_its_manifest_and_what_that_names(store: GcStore) -> None:
    """Revisions are listed before tags: an index that is pushed and tagged between both is looked for again."""
    layer = await store.put_blob(b"layer")
    plain = store.driver.scan_names

    async def scan(folder: layout.StorePath) -> AsyncIterator[list[str]]:
        if folder == layout.tags(APP):
            child = await store.put_manifest(image([layer]))
            await store.put_manifest(index([child]), APP, "new")
        async for names in plain(folder):
            yield names

    store.driver.scan_names = scan  # type: ignore[method-assign]
    found = read(await mark(store.driver, REMOVE))
    assert found.is_nothing
    assert found.kept_whole == {}


async def test_names_of_a_million_repositories_take_no_place_in_the_order_of_the_report(store: GcStore) -> None:
    sizes = {Repository(f"r{number}"): number for number in range(20)}
    for name, size in sizes.items():
        await store.put_blob(bytes(size + 1), name)
    with await mark(store.driver, MarkingOptions(run=2)) as marking:
        assert [row.own_bytes for row in marking.repositories()] == list(range(20, 0, -1))
        assert [row.repository for row in marking.repositories()] == list(reversed(sizes))
