"""A repository as a source and a destination: of our core, and of registries that do what registries do."""

import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from authproxy.digest import Digest
from authproxy.images import repository, upload
from authproxy.images.endpoints import Interrupted, Missing
from authproxy.images.mount_candidates import MountCandidates
from authproxy.images.repository import RegistryRepository
from authproxy.oci.manifest import Descriptor, Manifest
from authproxy.registry_client import retry
from authproxy.registry_client.errors import RegistryClientError
from tests.support import registry as support
from tests.support.registry import HOST, push_image
from tests.unit.images.registry import core, faked, to_push

CONTENT = bytes(range(256)) * 64
BLOB = Descriptor("application/octet-stream", Digest.of(CONTENT), len(CONTENT))
DIGEST = Digest.of(b"something")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(upload, "SETTLE_S", 0.0)


async def pieces(content: bytes, breaks_at: int | None = None) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1000):
        if breaks_at is not None and start >= breaks_at:
            raise httpx.WriteError("broke off")
        yield content[start : start + 1000]


async def read(source: RegistryRepository, blob: Descriptor, start: int = 0) -> bytes:
    return b"".join([piece async for piece in source.blob(blob, start)])


@pytest.mark.parametrize("at_once", [0, 1 << 20], ids=["large: PATCH and PUT", "small: one PUT"])
async def test_blob_and_manifest_come_back(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(upload, "MAX_AT_ONCE_BYTES", at_once)
    async with core() as (registry, _):
        there = to_push(registry, "team/app")
        assert not await there.has(BLOB)
        await there.put_blob(BLOB, pieces(CONTENT))
        assert await there.has(BLOB)
        assert await read(there, BLOB) == CONTENT
        assert await read(there, BLOB, 100) == CONTENT[100:]
        manifest = Manifest.read(support.image(CONTENT, [CONTENT]))
        await there.put_manifest(manifest, "v1")
        assert (await there.manifest("v1")).digest == await there.find_digest("v1") == manifest.digest
        assert (await there.manifest(manifest.digest)).content == manifest.content
        await there.delete(manifest.digest)
        await there.delete(manifest.digest)  # an answer may have been lost
        assert await there.find_digest("v1") is None
        with pytest.raises(Missing, match=f"{HOST}/team/app:v1: the registry has no such image"):
            await there.manifest("v1")


async def test_blob_of_a_neighbour_is_mounted_and_what_nobody_has_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "MAX_AT_ONCE_BYTES", 0)
    candidates = MountCandidates()
    async with core() as (registry, _):
        await to_push(registry, "first", candidates).put_blob(BLOB, pieces(CONTENT))
        second = to_push(registry, "second", candidates)
        assert await second.mount(BLOB)
        assert await read(second, BLOB) == CONTENT
        third = RegistryRepository(registry, "third", MountCandidates(), origin="elsewhere")
        assert not await third.mount(BLOB)
        await third.put_blob(BLOB, pieces(CONTENT))  # in the upload that the refused mount has opened
        assert await read(third, BLOB) == CONTENT
        assert not await to_push(registry, "fourth").mount(BLOB)


async def test_upload_of_a_refused_mount_is_used_or_given_up() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.path}")
        if request.method == "POST":
            return httpx.Response(202, headers={"location": "/v2/a/blobs/uploads/1"})
        return httpx.Response(201 if request.method == "PUT" else 204)

    for end in ("put", "give up"):
        there = RegistryRepository(faked(answer), "a", MountCandidates(), origin="b")
        assert not await there.mount(BLOB)
        if end == "put":
            await there.put_blob(BLOB, pieces(CONTENT))
        else:
            await there.cancel_upload(BLOB)
    assert asked == [
        "POST /v2/a/blobs/uploads/", "PUT /v2/a/blobs/uploads/1",
        "POST /v2/a/blobs/uploads/", "DELETE /v2/a/blobs/uploads/1",
    ]  # fmt: skip


@pytest.mark.parametrize("status", [400, 403, 404, 405])
async def test_registry_that_knows_no_mounts_gets_the_blob(status: int) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "mount" in request.url.params:
            return httpx.Response(status)
        return httpx.Response(202 if request.method == "POST" else 201, headers={"location": "/v2/a/blobs/uploads/1"})

    there = RegistryRepository(faked(answer), "a", MountCandidates(), origin="b")
    assert not await there.mount(BLOB)
    await there.put_blob(BLOB, pieces(CONTENT))


class Session:
    """A registry with one upload that breaks off after some of a PATCH, and knows how much it has."""

    def __init__(self, breaks_after: int, status: int = 204, said: str = "0-{last}") -> None:
        self.content = b""
        self.breaks_after = breaks_after
        self.status, self.said = status, said
        self.opened = 0
        self.lengths: list[int] = []  # of the bodies of PATCH

    async def answer(self, request: httpx.Request) -> httpx.Response:
        location = {"location": f"/v2/a/blobs/uploads/{self.opened}?at={len(self.content)}"}
        match request.method:
            case "POST":
                self.opened += 1
                self.content = b""
                return httpx.Response(202, headers=location)
            case "PATCH":
                return await self._take(request)
            case "GET":
                said = self.said.format(last=len(self.content) - 1)
                return httpx.Response(self.status, headers=location | {"range": said})
            case _:
                is_whole = f"sha256:{hashlib.sha256(self.content).hexdigest()}" == request.url.params["digest"]
                return httpx.Response(201 if is_whole else 400)

    async def _take(self, request: httpx.Request) -> httpx.Response:
        if content_range := request.headers.get("content-range"):
            end = len(self.content) + int(request.headers["content-length"])
            assert content_range == f"{len(self.content)}-{end - 1}"
        self.lengths.append(int(request.headers["content-length"]))
        before = len(self.content)
        async for piece in request.stream:  # type: ignore[union-attr]
            self.content += piece
            if len(self.content) - before >= self.breaks_after:
                raise httpx.WriteError("broke off")
        return httpx.Response(202, headers={"location": str(request.url)})


async def interrupted(there: RegistryRepository, start: int) -> int:
    with pytest.raises(Interrupted) as caught:
        await there.put_blob(BLOB, pieces(CONTENT[start:]), start)
    return caught.value.kept


async def test_upload_that_broke_off_goes_on_where_the_registry_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "MAX_AT_ONCE_BYTES", 0)
    session = Session(breaks_after=7000)
    there = to_push(faked(session.answer), "a")
    assert await interrupted(there, 0) == 7000
    assert await interrupted(there, 7000) == 14000
    await there.put_blob(BLOB, pieces(CONTENT[14000:]), 14000)
    assert (session.content, session.opened) == (CONTENT, 1)


async def test_blob_in_chunks_goes_on_in_the_chunk_that_broke_off() -> None:
    async with core() as (registry, _):
        there = RegistryRepository(registry, "team/app", MountCandidates(), chunk_bytes=7000)
        await there.put_blob(BLOB, pieces(CONTENT))
        assert await read(there, BLOB) == CONTENT
    session = Session(breaks_after=3000)
    there = RegistryRepository(faked(session.answer), "a", MountCandidates(), chunk_bytes=7000)
    assert await interrupted(there, 0) == 3000
    session.breaks_after = len(CONTENT) + 1
    await there.put_blob(BLOB, pieces(CONTENT[3000:]), 3000)
    assert (session.content, session.opened) == (CONTENT, 1)
    assert session.lengths == [7000, 7000, len(CONTENT) - 10000]


@pytest.mark.parametrize(("size", "count"), [(1, 16384), (999, 17), (1000, 17), (16383, 2)])
async def test_blob_in_chunks_of_any_size_is_the_same(size: int, count: int) -> None:
    session = Session(breaks_after=len(CONTENT) + 1)
    there = RegistryRepository(faked(session.answer), "a", MountCandidates(), chunk_bytes=size)
    await there.put_blob(BLOB, pieces(CONTENT))
    assert session.content == CONTENT
    assert len(session.lengths) == count
    assert max(session.lengths) <= size


async def test_registry_that_wants_larger_chunks_says_so() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        headers = {"location": "/v2/a/blobs/uploads/1", "OCI-Chunk-Min-Length": "8000"}
        return httpx.Response(202 if request.method == "POST" else 500, headers=headers)

    there = RegistryRepository(faked(answer), "a", MountCandidates(), chunk_bytes=7000)
    with pytest.raises(RegistryClientError, match="chunks of at least 8000 bytes; use a larger chunk size"):
        await there.put_blob(BLOB, pieces(CONTENT))


@pytest.mark.parametrize(
    ("status", "said"), [(404, ""), (204, "0-0"), (204, "nonsense"), (204, "0-99999999"), (200, "0-10")]
)
async def test_upload_of_a_registry_that_does_not_say_begins_anew(
    monkeypatch: pytest.MonkeyPatch, status: int, said: str
) -> None:
    monkeypatch.setattr(upload, "MAX_AT_ONCE_BYTES", 0)
    session = Session(7000, status, said)
    there = to_push(faked(session.answer), "a")
    assert await interrupted(there, 0) == 0
    session.breaks_after = len(CONTENT) + 1
    await there.put_blob(BLOB, pieces(CONTENT))
    assert (session.content, session.opened) == (CONTENT, 2)


@pytest.mark.parametrize("status", [401, 404, 416, 429, 503])
async def test_upload_that_is_refused_for_a_passing_reason_may_be_tried_again(status: int) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        is_open = request.method == "POST"
        return httpx.Response(202 if is_open else status, headers={"location": "/v2/a/blobs/uploads/1"})

    with pytest.raises(Interrupted, match=f"HTTP {status}"):
        await to_push(faked(answer), "a").put_blob(BLOB, pieces(CONTENT))


async def test_lost_answer_to_the_end_of_an_upload_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "MAX_AT_ONCE_BYTES", 0)
    session = Session(breaks_after=len(CONTENT) + 1)
    held: set[str] = set()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "HEAD":
            return httpx.Response(200 if request.url.path.rpartition("/")[2] in held else 404)
        if request.method != "PUT" or "uploads" not in request.url.path:
            return await session.answer(request)
        if not held:
            held.add(str(BLOB.digest))
            raise httpx.ReadError("the answer was lost")
        return httpx.Response(404)

    there = to_push(faked(answer), "a")
    with pytest.raises(Interrupted):
        await there.put_blob(BLOB, pieces(CONTENT))
    assert await there.has(BLOB)
    assert session.opened == 1


async def test_upload_that_is_refused_says_why() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        errors = {"errors": [{"code": "DENIED", "message": "quota is used up"}]}
        return httpx.Response(403, json=errors)

    with pytest.raises(RegistryClientError, match="HTTP 403 DENIED: quota is used up"):
        await to_push(faked(answer), "a").put_blob(BLOB, pieces(CONTENT))


class BreaksOff(httpx.AsyncByteStream):
    def __init__(self, content: bytes, *, cleanly: bool) -> None:
        self.content, self.cleanly = content, cleanly

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.content
        if not self.cleanly:
            raise httpx.ReadError("broke off")


@pytest.mark.parametrize("cleanly", [True, False], ids=["ends short", "breaks"])
@pytest.mark.parametrize("knows_ranges", [True, False], ids=["206", "200 to a range"])
async def test_blob_that_broke_off_is_read_on(*, cleanly: bool, knows_ranges: bool) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        found = re.fullmatch(r"bytes=([0-9]+)-", request.headers.get("range", ""))
        start = int(found[1]) if found and knows_ranges else 0
        have = int(found[1]) if found else 0
        stream = BreaksOff(CONTENT[start : have + 5000], cleanly=cleanly)
        return httpx.Response(206 if start else 200, stream=stream)

    assert await read(to_push(faked(answer), "a"), BLOB) == CONTENT


async def test_blob_that_gets_no_further_is_given_up() -> None:
    there = to_push(faked(lambda _: httpx.Response(200, stream=BreaksOff(b"", cleanly=False))), "a")
    with pytest.raises(RegistryClientError, match=rf"{HOST}/a@{BLOB.digest}: interrupted at 0 of {len(CONTENT)} bytes"):
        await read(there, BLOB)


async def test_missing_blob_is_missing() -> None:
    with pytest.raises(Missing, match="the registry has no such blob"):
        await read(to_push(faked(lambda _: httpx.Response(404)), "a"), BLOB)


SCHEMA_1 = json.dumps({"schemaVersion": 1, "name": "a", "tag": "v1", "fsLayers": [], "history": []}).encode()
UNREADABLE: list[tuple[str, bytes, str, str]] = [
    ("schema 1", SCHEMA_1, "application/vnd.docker.distribution.manifest.v1+prettyjws", "Docker's schema 1"),
    ("schema 1 by its content", SCHEMA_1, "application/json", "Docker's schema 1"),
    ("HTML", b"<html>", "text/html", "JSON"),
    ("another type", support.image(b""), "application/vnd.oci.image.index.v1+json", "by its content"),
]


@pytest.mark.parametrize(("content", "kind", "why"), [row[1:] for row in UNREADABLE], ids=[r[0] for r in UNREADABLE])
async def test_manifest_that_is_not_read_says_why(content: bytes, kind: str, why: str) -> None:
    there = to_push(faked(lambda _: httpx.Response(200, content=content, headers={"content-type": kind})), "a")
    with pytest.raises(RegistryClientError, match=why):
        await there.manifest("v1")


async def test_manifest_with_another_digest_than_was_asked_for_is_refused() -> None:
    there = to_push(faked(lambda _: httpx.Response(200, content=support.image(b""))), "a")
    with pytest.raises(RegistryClientError, match="the registry sent another manifest"):
        await there.manifest(DIGEST)


async def test_digest_is_had_from_the_content_where_the_header_is_missing() -> None:
    content = support.image(b"")
    there = to_push(faked(lambda _: httpx.Response(200, content=content)), "a")
    assert await there.find_digest("v1") == Digest.of(content)


async def test_referrers_of_every_page_are_found() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        page = request.url.params.get("page", "1")
        content = support.index([support.image(page.encode())])
        link = {"link": f'<{request.url.path}?page=2>; rel="next"'} if page == "1" else {}
        return httpx.Response(200, content=content, headers=link)

    found = await to_push(faked(answer), "a").referrers(DIGEST)
    assert [one.digest for one in found] == [Digest.of(support.image(page)) for page in (b"1", b"2")]


async def test_list_of_referrers_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page is fresh, and names the next one."""
    monkeypatch.setattr(repository, "MAX_LISTED", 50)
    asked = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        content = support.index([support.image(str(asked).encode())])
        return httpx.Response(200, content=content, headers={"link": f'<{request.url.path}?page={asked}>; rel="next"'})

    with pytest.raises(RegistryClientError, match="lists more than 50 referrers"):
        await to_push(faked(answer), "a").referrers(DIGEST)
    assert asked == 51


async def test_referrers_of_an_older_registry_are_found_by_their_tag() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        tag = f"sha256-{DIGEST.hex}"
        is_tag = request.url.path == f"/v2/a/manifests/{tag}"
        return httpx.Response(200, content=support.index([support.image(b"")])) if is_tag else httpx.Response(404)

    assert len(await to_push(faked(answer), "a").referrers(DIGEST)) == 1
    assert await to_push(faked(lambda _: httpx.Response(404)), "a").referrers(DIGEST) == ()


REFUSED: list[tuple[str, Callable[[RegistryRepository], object]]] = [
    ("has", lambda there: there.has(BLOB)),
    ("manifest", lambda there: there.manifest("v1")),
    ("find", lambda there: there.find_digest("v1")),
    ("referrers", lambda there: there.referrers(DIGEST)),
    ("put manifest", lambda there: there.put_manifest(Manifest.read(support.image(b"")), "v1")),
    ("delete", lambda there: there.delete(DIGEST)),
    ("blob", lambda there: read(there, BLOB)),
]


@pytest.mark.parametrize("ask", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_refusal_names_the_place_and_the_status(ask: Callable[[RegistryRepository], AsyncIterator[None]]) -> None:
    with pytest.raises(RegistryClientError, match=rf"^{HOST}/a[:@].*: HTTP 403") as caught:
        await ask(to_push(faked(lambda _: httpx.Response(403)), "a"))  # type: ignore[misc]
    assert caught.value.status == 403


async def test_blob_whose_storage_lets_nobody_look_is_sent() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        is_registry = request.url.host == "registry.test"
        return (
            httpx.Response(307, headers={"location": "https://storage.test/x"}) if is_registry else httpx.Response(403)
        )

    assert not await to_push(faked(answer), "a").has(BLOB)


async def test_registry_that_deletes_nothing_says_what_to_do() -> None:
    with pytest.raises(RegistryClientError, match=r"storage\.delete\.enabled"):
        await to_push(faked(lambda _: httpx.Response(405)), "a").delete(DIGEST)


async def test_image_that_our_core_holds_is_read() -> None:
    async with core() as (registry, http):
        digest = await push_image(http, "team/app", "v1")
        found = await RegistryRepository(registry, "team/app").find_digest("v1")
        assert str(found) == digest
