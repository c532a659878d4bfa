"""Every fault that a storage can have is found, called by its name, and says who is hit."""

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from authproxy.digest import Digest
from authproxy.maintenance.verify import verification
from authproxy.maintenance.verify.contents import Gone, Verdict
from authproxy.maintenance.verify.findings import Finding, Kind, Severity
from authproxy.maintenance.verify.position import Position, PositionInvalid, Stage
from authproxy.maintenance.verify.sample import Sample
from authproxy.maintenance.verify.verification import Verification, Verified
from authproxy.reference import Repository, Tag
from authproxy.registry.quarantine import find_quarantined, is_isolated
from authproxy.storage import layout
from authproxy.storage.driver import Driver, Reader
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.layout import StorePath
from authproxy.storage.memory import MemoryDriver
from tests.support.registry import connect, image, index, push_blob, push_manifest, sha256, sha512
from tests.support.server import contents

APP = Repository("team/app")
CONFIG = b"{}"
LAYER = b"layer " * 50_000
MANIFEST = image(CONFIG, [LAYER])
LAYER_DIGEST, DIGEST = Digest.of(LAYER), Digest.of(MANIFEST)


@pytest.fixture(params=["filesystem", "memory"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    made: Driver = FilesystemDriver(tmp_path, threads=4) if request.param == "filesystem" else MemoryDriver()
    async with connect(made) as client:
        await push_all(client)
    yield made
    await made.close()


async def push_all(client: httpx.AsyncClient) -> None:
    await push_blob(client, APP, CONFIG)
    await push_blob(client, APP, LAYER)
    await push_manifest(client, APP, "v1", MANIFEST)


async def verify(driver: Driver, position: Position | None = None, *, isolates: bool = False) -> Verified:
    return await Verification(driver, position or Position("seed"), isolates=isolates, at="today").run()


def kinds(verified: Verified) -> list[Kind]:
    return [finding.kind for finding in verified.position.findings]


async def test_a_link_back_into_the_storage_is_passed_by(tmp_path: Path) -> None:
    driver = FilesystemDriver(tmp_path, threads=4)
    async with connect(driver) as client:
        await push_all(client)
    (tmp_path / layout.repositories() / "team" / "loop").symlink_to("..")
    (tmp_path / layout.repositories() / "alias").symlink_to("team/app")
    verified = await verify(driver)
    await driver.close()
    assert (kinds(verified), verified.position.repositories) == ([], 1)


async def test_a_sound_storage_has_no_finding(driver: Driver) -> None:
    async with connect(driver) as client:
        await push_manifest(client, APP, "all", index([MANIFEST]), "application/vnd.oci.image.index.v1+json")
        await push_blob(client, APP, b"by sha512", sha512(b"by sha512"))
    verified = await verify(driver)
    assert verified.position.findings == []
    assert verified.position.stage is Stage.DONE
    assert (verified.position.blobs, verified.position.repositories) == (5, 1)
    assert verified.position.read_bytes == sum(map(len, (CONFIG, LAYER, MANIFEST, index([MANIFEST]), b"by sha512")))


async def test_damaged_content_says_which_images_it_hits(driver: Driver) -> None:
    async with connect(driver) as client:
        await push_manifest(client, APP, "v2", MANIFEST)
        await push_manifest(client, APP, "all", index([MANIFEST]), "application/vnd.oci.image.index.v1+json")
        await push_blob(client, "other", LAYER)
    await driver.write(layout.blob(LAYER_DIGEST), LAYER[:-1] + b"X")
    verified = await verify(driver)
    [finding] = verified.position.findings
    assert (finding.kind, finding.severity, finding.digest) == (Kind.CONTENT_DAMAGED, Severity.DAMAGED, LAYER_DIGEST)
    assert sorted(finding.hit) == ["team/app:all", "team/app:v1", "team/app:v2"]
    assert finding.fix("authproxy verify") == (
        "push it again, or fetch it from a registry that has it: authproxy verify --repair --from REGISTRY"
    )
    assert [found async for found in find_quarantined(driver)] == []


async def test_a_manifest_that_is_damaged_hits_its_tags(driver: Driver) -> None:
    await driver.write(layout.blob(DIGEST), MANIFEST.replace(b"config", b"konfig"))
    verified = await verify(driver)
    assert kinds(verified) == [Kind.CONTENT_DAMAGED]
    assert verified.position.findings[0].hit == ("team/app:v1",)


async def test_damage_goes_into_quarantine_on_request_and_a_push_ends_it(driver: Driver) -> None:
    await driver.write(layout.blob(LAYER_DIGEST), b"broken")
    assert (await verify(driver, isolates=True)).isolated == (LAYER_DIGEST,)
    assert await is_isolated(driver, LAYER_DIGEST)
    async with connect(driver) as client:
        assert (await client.head(f"/v2/{APP}/blobs/{LAYER_DIGEST}")).status_code == 404
        await push_blob(client, APP, LAYER)
        assert (await client.get(f"/v2/{APP}/blobs/{LAYER_DIGEST}")).content == LAYER
    assert (await verify(driver, isolates=True)).position.findings == []
    assert [found async for found in find_quarantined(driver)] == []


async def test_an_empty_file_is_damage_without_a_quarantine(driver: Driver) -> None:
    await driver.write(layout.blob(LAYER_DIGEST), b"")
    verified = await verify(driver, isolates=True)
    assert Kind.CONTENT_DAMAGED in kinds(verified)
    assert verified.isolated == ()


async def remove_layer(driver: Driver) -> None:
    await driver.delete(layout.blob(LAYER_DIGEST))


async def remove_link(driver: Driver) -> None:
    await driver.delete(layout.layer_link(APP, LAYER_DIGEST))


async def remove_manifest(driver: Driver) -> None:
    await driver.delete(layout.blob(DIGEST))


async def remove_revision(driver: Driver) -> None:
    await driver.delete(layout.revision_link(APP, DIGEST))


async def spoil_link(driver: Driver) -> None:
    await driver.write(layout.layer_link(APP, LAYER_DIGEST), b"root:x:0:0")


async def spoil_revision(driver: Driver) -> None:
    await driver.write(layout.revision_link(APP, DIGEST), b"root:x:0:0")


async def lead_link_elsewhere(driver: Driver) -> None:
    await driver.write(layout.layer_link(APP, LAYER_DIGEST), sha256(CONFIG).encode())


async def lead_alias_elsewhere(driver: Driver) -> None:
    alias = Digest.of(LAYER, "sha512")
    await driver.write(layout.layer_link(APP, alias), sha256(CONFIG).encode())


async def spoil_tag(driver: Driver) -> None:
    await driver.write(layout.tag_current(APP, Tag("v1")), b"\x1b[31m")


async def orphan_link(driver: Driver) -> None:
    digest = Digest.of(b"never stored")
    await driver.write(layout.layer_link(APP, digest), str(digest).encode())


async def orphan_note(driver: Driver) -> None:
    digest = Digest.of(b"never stored")
    await driver.write(layout.referrer_link(APP, DIGEST, digest), str(digest).encode())


async def store_a_text(driver: Driver) -> None:
    digest = Digest.of(b"no manifest")
    await driver.write(layout.blob(digest), b"no manifest")
    await driver.write(layout.revision_link(APP, digest), str(digest).encode())


async def store_a_sparse_index(driver: Driver) -> None:
    content = index([image(b"elsewhere")])
    digest = Digest.of(content)
    await driver.write(layout.blob(digest), content)
    await driver.write(layout.revision_link(APP, digest), str(digest).encode())


async def store_an_unlisted_referrer(driver: Driver) -> None:
    content = image(CONFIG, [LAYER], subject={"mediaType": "a/b", "digest": str(DIGEST), "size": len(MANIFEST)})
    digest = Digest.of(content)
    await driver.write(layout.blob(digest), content)
    await driver.write(layout.revision_link(APP, digest), str(digest).encode())


async def store_a_wrong_size(driver: Driver) -> None:
    body = json.loads(MANIFEST)
    body["layers"][0]["size"] += 1
    content = json.dumps(body).encode()
    digest = Digest.of(content)
    await driver.write(layout.blob(digest), content)
    await driver.write(layout.revision_link(APP, digest), str(digest).encode())


async def begin_an_upload(driver: Driver) -> None:
    session = layout.upload(APP, UUID(int=1))
    await driver.write(StorePath(f"{session}/startedat"), b"2024-01-01T00:00:00Z")


async def leave_foreign_files(driver: Driver) -> None:
    for path in ("lost+found/x", "blobs/md5/x", "blobs/sha256/zz/x", "repositories/UPPER/x", "repositories/readme"):
        await driver.write(StorePath(f"{layout.ROOT}/{path}"), b"")


FAULTS: list[tuple[str, Callable[[Driver], Awaitable[None]], list[Kind], list[str]]] = [
    ("a layer is gone", remove_layer, [Kind.LINK_WITHOUT_CONTENT, Kind.CONTENT_MISSING], ["team/app:v1"]),
    ("the link of a layer is gone", remove_link, [Kind.LINK_MISSING], ["team/app:v1"]),
    ("a manifest is gone", remove_manifest, [Kind.CONTENT_MISSING], ["team/app:v1"]),
    ("the link of a manifest is gone", remove_revision, [Kind.TAG_DANGLING], ["team/app:v1"]),
    ("a link holds no digest", spoil_link, [Kind.LINK_DAMAGED, Kind.LINK_MISSING], ["team/app:v1"]),
    ("a link leads to other content", lead_link_elsewhere, [Kind.LINK_DAMAGED, Kind.SIZE_DIFFERS], ["team/app:v1"]),
    ("the link of a manifest holds no digest", spoil_revision, [Kind.LINK_DAMAGED, Kind.TAG_DANGLING], ["team/app:v1"]),
    ("a second name leads to other content", lead_alias_elsewhere, [Kind.LINK_DAMAGED], []),
    ("a tag holds no digest", spoil_tag, [Kind.LINK_DAMAGED], ["team/app:v1"]),
    ("a link without content", orphan_link, [Kind.LINK_WITHOUT_CONTENT], []),
    ("a note without its referrer", orphan_note, [Kind.REFERRER_DANGLING], []),
    ("something that is no manifest", store_a_text, [Kind.MANIFEST_UNREADABLE], []),
    ("an index without its images", store_a_sparse_index, [Kind.CHILD_MISSING], []),
    ("a referrer that is not listed", store_an_unlisted_referrer, [Kind.REFERRER_UNLISTED], []),
    ("a manifest with a wrong size", store_a_wrong_size, [Kind.SIZE_DIFFERS], []),
    ("an upload without data", begin_an_upload, [Kind.UPLOAD_BROKEN], []),
    ("foreign files", leave_foreign_files, [Kind.FOREIGN] * 5, []),
]


@pytest.mark.parametrize(("what", "spoil", "expected", "hit"), FAULTS, ids=[row[0] for row in FAULTS])
async def test_fault(
    driver: Driver, what: str, spoil: Callable[[Driver], Awaitable[None]], expected: list[Kind], hit: list[str]
) -> None:
    del what
    await spoil(driver)
    verified = await verify(driver)
    assert kinds(verified) == expected
    assert sorted({image for finding in verified.position.findings for image in finding.hit}) == hit
    texts = "".join(f"{finding.message}{finding.where}" for finding in verified.position.findings)
    assert texts.isprintable()
    assert "root:x" not in texts  # no bytes of the storage are quoted
    before = [finding.kind for finding in verified.position.findings]
    assert kinds(await verify(driver, verified.position)) == before


class Faulty:
    """A driver whose content under some paths can't be read."""

    def __init__(self, driver: Driver, paths: set[StorePath], error: Exception) -> None:
        self._driver = driver
        self._paths = paths
        self._error = error

    def __getattr__(self, name: str) -> object:
        return getattr(self._driver, name)

    async def read(self, paths: list[StorePath], *, fresh: bool = False) -> list[bytes | None]:
        if not self._paths.isdisjoint(paths):
            raise self._error
        return await self._driver.read(paths, fresh=fresh)

    @asynccontextmanager
    async def open_reader(self, path: StorePath, first: int = 0, length: int | None = None) -> AsyncIterator[Reader]:
        if path in self._paths:
            raise self._error
        async with self._driver.open_reader(path, first, length) as reader:
            yield reader


@pytest.mark.parametrize("digest", [LAYER_DIGEST, DIGEST], ids=["a layer", "a manifest"])
async def test_an_error_of_the_disk_says_nothing_about_the_content(driver: Driver, digest: Digest) -> None:
    faulty = Faulty(driver, {layout.blob(digest)}, OSError(errno.EIO, "Input/output error"))
    verified = await verify(faulty, isolates=True)  # type: ignore[arg-type] # the rest is the driver's
    assert {finding.severity for finding in verified.position.findings} == {Severity.UNKNOWN}
    assert "Input/output error" in verified.position.findings[0].message
    assert verified.isolated == ()
    assert verified.position.findings[0].hit == ("team/app:v1",) or digest == DIGEST


@pytest.mark.parametrize(
    "path",
    [layout.tag_current(APP, Tag("v1")), layout.revision_link(APP, DIGEST), layout.layer_link(APP, LAYER_DIGEST)],
)
async def test_a_link_that_cannot_be_read_hides_no_damage(driver: Driver, path: StorePath) -> None:
    await driver.write(layout.blob(LAYER_DIGEST), b"broken")
    faulty = Faulty(driver, {path}, OSError(errno.EIO, "Input/output error"))
    verified = await verify(faulty)  # type: ignore[arg-type] # the rest is the driver's
    assert {Kind.CONTENT_DAMAGED, Kind.UNREADABLE} <= set(kinds(verified))


class FaultyPart:
    """A driver that can't read links, or list folders, whose paths have a part in them."""

    def __init__(self, driver: Driver, part: str) -> None:
        self._driver = driver
        self._part = part

    def __getattr__(self, name: str) -> object:
        return getattr(self._driver, name)

    def _look_at(self, path: StorePath) -> None:
        if self._part in path:
            raise OSError(errno.EIO, "Input/output error", path)

    async def read(self, paths: Sequence[StorePath], *, fresh: bool = False) -> list[bytes | None]:
        for path in paths:
            self._look_at(path)
        return await self._driver.read(paths, fresh=fresh)

    async def list_names(self, folder: StorePath, *, after: str = "", limit: int = 1000) -> list[str]:
        if after or "/blobs/" not in folder:  # so that the blob is found, and then looked for again
            self._look_at(folder)
        return await self._driver.list_names(folder, after=after, limit=limit)


@pytest.mark.parametrize(
    "part", ["_manifests/revisions", "_layers", "_manifests/tags", "authproxy/v1/quarantine"], ids=lambda part: part
)
async def test_what_cannot_be_read_costs_no_other_finding(driver: Driver, part: str) -> None:
    await driver.write(layout.blob(LAYER_DIGEST), LAYER[:-1] + b"X")
    faulty = FaultyPart(driver, part)
    verified = await verify(faulty, isolates=True)  # type: ignore[arg-type] # the rest is the driver's
    found = kinds(verified)
    assert Kind.CONTENT_DAMAGED in found
    assert Kind.UNREADABLE in found


async def test_a_folder_that_cannot_be_listed_again_is_a_finding(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_: object, **__: object) -> Verdict:
        return Gone()

    monkeypatch.setattr(verification, "check_content", gone)
    faulty = FaultyPart(driver, f"blobs/sha256/{LAYER_DIGEST.hex[:2]}")
    assert Kind.UNREADABLE in kinds(await verify(faulty))  # type: ignore[arg-type] # the rest is the driver's


class SecondReadIsRight:
    """A driver whose first read of a path is wrong, as with a fault of the memory."""

    def __init__(self, driver: Driver, path: StorePath) -> None:
        self._driver = driver
        self._path = path
        self._reads = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._driver, name)

    @asynccontextmanager
    async def open_reader(self, path: StorePath) -> AsyncIterator[object]:
        async with self._driver.open_reader(path) as reader:
            if path == self._path and not self._reads:
                self._reads += 1
                yield _Flipped(reader)
            else:
                yield reader


class _Flipped:
    def __init__(self, reader: Reader) -> None:
        self.size = reader.size
        self._reader = reader

    async def pieces(self, first: int, length: int) -> AsyncIterator[bytes]:
        async for piece in self._reader.pieces(first, length):
            yield bytes([piece[0] ^ 1]) + bytes(piece[1:])


async def test_two_reads_that_differ_are_no_damage(driver: Driver) -> None:
    faulty = SecondReadIsRight(driver, layout.blob(LAYER_DIGEST))
    verified = await verify(faulty, isolates=True)  # type: ignore[arg-type] # the rest is the driver's
    assert kinds(verified) == [Kind.UNSTABLE]
    assert verified.isolated == ()


async def test_a_folder_in_place_of_a_blob_is_unreadable(tmp_path: Path) -> None:
    driver = FilesystemDriver(tmp_path)
    async with connect(driver) as client:
        await push_all(client)
    data = tmp_path / layout.blob(LAYER_DIGEST)
    data.unlink()
    data.mkdir()
    verified = await verify(driver, isolates=True)
    assert Kind.UNREADABLE in kinds(verified)
    assert verified.position.count(Severity.DAMAGED) == 0


async def test_a_pipe_and_a_link_out_of_the_storage_hold_nobody_up_and_show_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    root = tmp_path / "root"
    driver = FilesystemDriver(root)
    async with connect(driver) as client:
        await push_all(client)
    (root / layout.blob(LAYER_DIGEST)).unlink()
    (root / layout.blob(LAYER_DIGEST)).symlink_to(secret)
    (root / layout.layer_link(APP, Digest.of(CONFIG))).unlink()
    os.mkfifo(root / layout.layer_link(APP, Digest.of(CONFIG)))
    (root / layout.ROOT / "repositories" / "bad\x1b[31m\nname").mkdir()
    (root / layout.ROOT / "repositories" / os.fsdecode(b"bad\xff")).mkdir()
    verified = await asyncio.wait_for(verify(driver), 20)
    shown = json.dumps([finding.to_json() for finding in verified.position.findings], ensure_ascii=False)
    assert "hunter2" not in shown
    assert Digest.of(b"hunter2").hex not in shown
    assert shown.isprintable()
    shown.encode()
    assert Kind.CONTENT_DAMAGED in kinds(verified)


async def test_nothing_is_written_to_a_read_only_storage(tmp_path: Path) -> None:
    driver = FilesystemDriver(tmp_path)
    async with connect(driver) as client:
        await push_all(client)
    await driver.write(layout.blob(LAYER_DIGEST), b"broken")
    before = contents(tmp_path)
    verified = await verify(FilesystemDriver(tmp_path, read_only=True))
    assert kinds(verified) == [Kind.CONTENT_DAMAGED]
    assert contents(tmp_path) == before


async def test_content_that_is_deleted_meanwhile_is_no_finding(driver: Driver) -> None:
    """Everything is deleted at each step of a walk, once."""
    for step in range(40):
        async with connect(driver) as client:
            await push_all(client)
        watched = DeletesAt(driver, step)
        verified = await verify(watched)  # type: ignore[arg-type] # the rest is the driver's
        assert [finding for finding in verified.position.findings if finding.severity is not Severity.WARNING] == []


class DeletesAt:
    """A driver from which the image is deleted before the step-th call."""

    def __init__(self, driver: Driver, step: int) -> None:
        self._driver = driver
        self._left = step

    def __getattr__(self, name: str) -> object:
        found = getattr(self._driver, name)
        if name not in {"read", "sizes", "version", "list_names"}:
            return found

        async def call(*arguments: object, **named: object) -> object:
            if self._left == 0:
                await self._delete()
            self._left -= 1
            return await found(*arguments, **named)

        return call

    async def _delete(self) -> None:
        await self._driver.delete(layout.tag_current(APP, Tag("v1")))
        await self._driver.delete(layout.revision_link(APP, DIGEST))
        for content in (CONFIG, LAYER):
            await self._driver.delete(layout.layer_link(APP, Digest.of(content)))
        for content in (CONFIG, LAYER, MANIFEST):
            await self._driver.delete(layout.blob(Digest.of(content)))


class Stopped(Exception):
    """The run is interrupted."""


class StopsAfter:
    """Keeps what is saved, and interrupts after so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self.saved: dict[str, object] = {}

    async def save(self, position: Position) -> None:
        self.saved = json.loads(json.dumps(position.to_json()))

    def saw(self, position: Position) -> None:
        del position
        self.looks -= 1
        if self.looks < 0:
            raise Stopped


async def test_an_interrupted_run_goes_on_where_it_was(driver: Driver) -> None:
    async with connect(driver) as client:
        for number in range(60):
            await push_blob(client, f"a{number}/b", f"blob {number}".encode())
    await driver.write(layout.blob(LAYER_DIGEST), b"broken")
    whole = await verify(driver)
    position = last = Position("seed")
    runs = 0
    while position.stage is not Stage.DONE:
        watcher = StopsAfter(3)
        with suppress(Stopped):
            await Verification(driver, position, watcher=watcher).run()
        runs += 1
        last, position = position, Position.from_json(watcher.saved)
    assert runs > 3
    assert last.findings == whole.position.findings
    assert (last.blobs, last.repositories) == (whole.position.blobs, whole.position.repositories)


@pytest.mark.parametrize(("text", "expected"), [("100%", 60), ("20", 20), ("1000", 60)])
async def test_a_sample_reads_a_part_that_its_seed_repeats(text: str, expected: int) -> None:
    driver = MemoryDriver()
    for number in range(60):
        content = f"blob {number}".encode()
        await driver.write(layout.blob(Digest.of(content)), content)
    reads = []
    for seed in ("one", "one", "two"):
        sample = Sample.parse(text, seed)
        verified = await Verification(driver, Position(seed, text), sample=sample).run()
        assert verified.position.blobs == expected
        reads.append(verified.position.read_bytes)
    assert reads[0] == reads[1]


@pytest.mark.parametrize("text", ["", "0", "0%", "-1", "101%", "x", "nan%", "1.5"])
def test_no_sample(text: str) -> None:
    with pytest.raises(ValueError, match="write a share, 5%, or a number of blobs, 1000"):
        Sample.parse(text, "seed")


@pytest.mark.parametrize(
    "change",
    [{"repository": "../../etc"}, {"repository": 1}, {"digest": "sha256:../x"}, {"kind": "x"}],
    ids=["a path", "a number", "no digest", "no kind"],
)
def test_a_finding_of_a_file_that_someone_else_wrote_is_refused(change: dict[str, object]) -> None:
    position = Position("seed")
    position.add(Finding(Kind.LINK_MISSING, "somewhere", "said", DIGEST, "team/app"))
    fields = json.loads(json.dumps(position.to_json()))
    fields["findings"][0] |= change
    with pytest.raises(PositionInvalid):
        Position.from_json(fields)


async def test_content_that_is_just_being_written_is_no_damage(driver: Driver) -> None:
    """CNCF Distribution opens the file, and then writes it."""
    path = layout.blob(LAYER_DIGEST)
    await driver.write(path, b"")

    async def write() -> None:
        await asyncio.sleep(0.1)
        await driver.write(path, LAYER)

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        verified = await verify(driver, isolates=True)
    assert kinds(verified) == []


def test_a_finding_is_written_and_read_again() -> None:
    finding = Finding(Kind.LINK_MISSING, "somewhere", "said", DIGEST, "team/app", ("team/app:v1",), 1)
    assert Finding.from_json(json.loads(json.dumps(finding.to_json()))) == finding
