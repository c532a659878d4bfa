"""Manifests and tags as OCI Distribution 1.1 has them: pushing, pulling, deleting, listing."""

import json
from collections.abc import AsyncIterator
from operator import attrgetter

import httpx
import pytest

from authproxy.digest import Digest, parse_digest
from authproxy.reference import Repository, Tag
from authproxy.registry import manifest
from authproxy.storage import layout
from authproxy.storage.driver import Driver
from tests.support.registry import (
    BASE_URL,
    Call,
    check,
    image,
    index,
    push_blob,
    push_image,
    push_manifest,
    sha256,
    sha512,
)

APP = Repository("team/app")
CONFIG, LAYER = b"{}", b"a layer"
IMAGE = image(CONFIG, [LAYER])
DIGEST = sha256(IMAGE)
MANIFESTS = "/v2/team/app/manifests/"
HEADERS = {
    "Content-Type": manifest.OCI_IMAGE,
    "Content-Length": str(len(IMAGE)),
    "Docker-Content-Digest": DIGEST,
    "ETag": f'"{DIGEST}"',
}
NO_DIGEST = {"Docker-Content-Digest": None, "ETag": None}
OCI = {"Content-Type": manifest.OCI_IMAGE}

PULLS = [
    Call("by tag", "GET", f"{MANIFESTS}v1", 200, answers=HEADERS, content=IMAGE),
    Call("by digest", "GET", MANIFESTS + DIGEST, 200, answers=HEADERS, content=IMAGE),
    Call("whatever Accept says", "GET", f"{MANIFESTS}v1", 200, {"Accept": "text/html"}, answers=HEADERS, content=IMAGE),
    Call("HEAD by tag has no body", "HEAD", f"{MANIFESTS}v1", 200, answers=HEADERS, content=b""),
    Call("HEAD by digest", "HEAD", MANIFESTS + DIGEST, 200, answers=HEADERS, content=b""),
    Call("unchanged", "GET", f"{MANIFESTS}v1", 304, {"If-None-Match": f'"{DIGEST}"'}, content=b""),
    Call("unknown tag", "GET", f"{MANIFESTS}v2", 404, code="MANIFEST_UNKNOWN", answers=NO_DIGEST),
    Call("HEAD of an unknown tag shows no digest", "HEAD", f"{MANIFESTS}v2", 404, answers=NO_DIGEST),
    Call("unknown digest", "GET", MANIFESTS + sha256(b"x"), 404, code="MANIFEST_UNKNOWN", answers=NO_DIGEST),
    Call("a blob is no manifest", "GET", MANIFESTS + sha256(LAYER), 404, code="MANIFEST_UNKNOWN", answers=NO_DIGEST),
    Call("of another repository", "GET", f"/v2/other/manifests/{DIGEST}", 404, code="MANIFEST_UNKNOWN"),
    Call("neither tag nor digest", "GET", f"{MANIFESTS}-x", 400, code="TAG_INVALID"),
]


@pytest.fixture
async def pushed(registry: httpx.AsyncClient) -> httpx.AsyncClient:
    """A registry that holds one image, as team/app:v1."""
    for content in (CONFIG, LAYER):
        await push_blob(registry, "team/app", content)
    await push_manifest(registry, "team/app", "v1", IMAGE)
    return registry


@pytest.mark.parametrize("call", PULLS, ids=attrgetter("what"))
async def test_pull(pushed: httpx.AsyncClient, call: Call) -> None:
    await check(pushed, call)


def put(what: str, body: bytes, status: int = 201, code: str | None = None, **more: str) -> Call:
    headers = {"Content-Type": more.get("content_type", manifest.OCI_IMAGE)}
    return Call(what, "PUT", MANIFESTS + more.get("reference", "v2"), status, headers, body, code)


FOREIGN = {
    "mediaType": manifest.NON_DISTRIBUTABLE[0],
    "digest": sha256(b"elsewhere"),
    "size": 9,
    "urls": ["https://example.com/layer"],
}
PUSHES = [
    put("by tag", IMAGE),
    put("by digest", IMAGE, reference=DIGEST),
    put("by sha512", IMAGE, reference=sha512(IMAGE)),
    put("with parameters in Content-Type", IMAGE, content_type=f"{manifest.OCI_IMAGE}; charset=utf-8"),
    put("without layers", image(CONFIG)),
    put("with unknown fields and its own white space", json.dumps(json.loads(IMAGE) | {"x": 1}, indent=7).encode()),
    put("with a subject that is not there yet", image(CONFIG, subject=json.loads(IMAGE)["config"])),
    put("without a mediaType", json.dumps({k: v for k, v in json.loads(IMAGE).items() if k != "mediaType"}).encode()),
    put("an image of Docker", image(CONFIG, mediaType=manifest.DOCKER_IMAGE), content_type=manifest.DOCKER_IMAGE),
    put("an index", index([IMAGE]), content_type=manifest.OCI_INDEX),
    put("an empty index", index(), content_type=manifest.OCI_INDEX),
    put(
        "a layer that may not be distributed, with urls", json.dumps(json.loads(IMAGE) | {"layers": [FOREIGN]}).encode()
    ),
]
REFUSED = [
    put("not the digest in the path", IMAGE, 400, "DIGEST_INVALID", reference=sha256(b"x")),
    put("not JSON", b"hello", 400, "MANIFEST_INVALID"),
    put("nothing", b"", 400, "MANIFEST_INVALID"),
    put("the media type of an index", IMAGE, 400, "MANIFEST_INVALID", content_type=manifest.OCI_INDEX),
    put("a layer that the repository lacks", image(CONFIG, [b"absent"]), 404, "MANIFEST_BLOB_UNKNOWN"),
    put("a config that it lacks", image(b"absent", [LAYER]), 404, "MANIFEST_BLOB_UNKNOWN"),
    put(
        "an index of a manifest that it lacks",
        index([b"absent"]),
        404,
        "MANIFEST_BLOB_UNKNOWN",
        content_type=manifest.OCI_INDEX,
    ),
    put("a blob in place of a manifest", index([LAYER]), 404, "MANIFEST_BLOB_UNKNOWN", content_type=manifest.OCI_INDEX),
    put("too large", b" " * (manifest.MAX_BYTES + 1), 413, "SIZE_INVALID"),
    put(
        "schema 1",
        b'{"schemaVersion": 1, "fsLayers": []}',
        400,
        "MANIFEST_INVALID",
        content_type="application/vnd.docker.distribution.manifest.v1+prettyjws",
    ),
    put("a tag that is none", IMAGE, 400, "TAG_INVALID", reference=f"{DIGEST}?tag=-x"),
]


@pytest.mark.parametrize("call", PUSHES, ids=attrgetter("what"))
async def test_a_push_keeps_bytes_and_media_type(pushed: httpx.AsyncClient, call: Call) -> None:
    reference = call.path.removeprefix(MANIFESTS)
    digest = reference if ":" in reference else sha256(call.body)
    answers = {"Location": f"{BASE_URL}{MANIFESTS}{digest}", "Docker-Content-Digest": digest}
    await check(pushed, Call("", "PUT", call.path, 201, call.headers, call.body, answers=answers))
    media_type = call.headers["Content-Type"].partition(";")[0]
    for path in (call.path, MANIFESTS + digest, MANIFESTS + sha256(call.body)):
        name = digest if path == call.path else path.removeprefix(MANIFESTS)
        back = {"Content-Type": media_type, "Docker-Content-Digest": name}
        await check(pushed, Call("", "GET", path, 200, answers=back, content=call.body))


@pytest.mark.parametrize("call", REFUSED, ids=attrgetter("what"))
async def test_a_refused_push_leaves_nothing(pushed: httpx.AsyncClient, call: Call) -> None:
    await check(pushed, call)
    await check(
        pushed,
        Call(
            "",
            "GET",
            MANIFESTS + sha256(call.body),
            200 if call.body == IMAGE else 404,
            code=None if call.body == IMAGE else "MANIFEST_UNKNOWN",
        ),
    )
    answer = await pushed.get("/v2/team/app/tags/list")
    assert answer.json() == {"name": "team/app", "tags": ["v1"]}


async def test_a_stream_that_is_too_large_is_refused(pushed: httpx.AsyncClient) -> None:
    """CVE-2017-11468: a manifest without a length."""

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(manifest.MAX_BYTES // 65536 + 1):  # the client sends it all before it reads the answer
            yield b" " * 65536

    answer = await pushed.put(f"{MANIFESTS}v2", content=stream(), headers=OCI)
    assert answer.status_code == 413


async def test_as_large_as_can_be(pushed: httpx.AsyncClient) -> None:
    body = IMAGE + b" " * (manifest.MAX_BYTES - len(IMAGE))
    await check(pushed, Call("", "PUT", f"{MANIFESTS}large", 201, OCI, body))
    await check(pushed, Call("", "GET", f"{MANIFESTS}large", 200, content=body))


async def test_a_tag_moves(pushed: httpx.AsyncClient) -> None:
    other = image(CONFIG)
    await push_manifest(pushed, "team/app", "v1", other)
    await check(pushed, Call("", "GET", f"{MANIFESTS}v1", 200, content=other))
    await check(pushed, Call("the old is there by digest", "GET", MANIFESTS + DIGEST, 200, content=IMAGE))


@pytest.mark.parametrize("digest", [DIGEST, sha512(IMAGE)], ids=["sha256", "sha512"])
async def test_a_push_by_digest_can_set_tags(pushed: httpx.AsyncClient, digest: str) -> None:
    tags = [f"t{number}" for number in range(12)]
    query = "&".join(f"tag={tag}" for tag in tags)
    answer = await check(pushed, Call("", "PUT", f"{MANIFESTS}{digest}?{query}", 201, OCI, IMAGE))
    assert answer.headers.get_list("oci-tag") == tags
    await check(pushed, Call("", "HEAD", f"{MANIFESTS}t7", 200, answers={"Docker-Content-Digest": digest}))


async def test_deleting_a_tag_leaves_the_manifest(pushed: httpx.AsyncClient) -> None:
    for status, code in ((202, None), (404, "MANIFEST_UNKNOWN")):
        await check(pushed, Call("", "DELETE", f"{MANIFESTS}v1", status, code=code))
    await check(pushed, Call("", "GET", f"{MANIFESTS}v1", 404, code="MANIFEST_UNKNOWN", answers=NO_DIGEST))
    await check(pushed, Call("", "GET", MANIFESTS + DIGEST, 200))
    assert (await pushed.get("/v2/team/app/tags/list")).json()["tags"] == []


@pytest.mark.parametrize("deleted", [DIGEST, sha512(IMAGE)], ids=["sha256", "sha512"])
async def test_deleting_a_manifest_takes_its_names_and_tags(pushed: httpx.AsyncClient, deleted: str) -> None:
    await push_manifest(pushed, "team/app", f"{sha512(IMAGE)}?tag=long", IMAGE)
    await push_manifest(pushed, "team/app", "other", image(CONFIG))
    await check(pushed, Call("", "DELETE", MANIFESTS + deleted, 202))
    for gone in (DIGEST, sha512(IMAGE), "v1", "long"):
        await check(pushed, Call("", "HEAD", MANIFESTS + gone, 404, answers=NO_DIGEST))
    assert (await pushed.get("/v2/team/app/tags/list")).json()["tags"] == ["other"]
    await check(pushed, Call("", "DELETE", MANIFESTS + deleted, 404, code="MANIFEST_UNKNOWN"))


@pytest.mark.parametrize("reference", ["v1", DIGEST], ids=["tag", "digest"])
async def test_deleting_is_unsupported_where_it_is_disabled(
    pushed: httpx.AsyncClient, undeletable: httpx.AsyncClient, reference: str
) -> None:
    """CVE-2026-41888: by tag as well as by digest."""
    answers = {"Allow": "GET, HEAD, PUT"}
    await check(undeletable, Call("", "DELETE", MANIFESTS + reference, 405, code="UNSUPPORTED", answers=answers))
    await check(pushed, Call("", "HEAD", f"{MANIFESTS}v1", 200))


async def test_a_manifest_that_another_program_stored_by_sha512_is_served(
    pushed: httpx.AsyncClient, driver: Driver
) -> None:
    digest = parse_digest(sha512(IMAGE))
    await driver.write(layout.revision_link(APP, digest), DIGEST.encode())
    await driver.write(layout.tag_current(APP, Tag("long")), str(digest).encode())
    for reference in (str(digest), "long"):
        answers = HEADERS | {"Docker-Content-Digest": str(digest), "ETag": f'"{digest}"'}
        await check(pushed, Call("", "GET", MANIFESTS + reference, 200, answers=answers, content=IMAGE))


@pytest.mark.parametrize("link", [b"", b"sha256:1", b"\xff\xfe", b"../../etc/passwd"])
async def test_a_damaged_link_holds_nothing(pushed: httpx.AsyncClient, driver: Driver, link: bytes) -> None:
    await driver.write(layout.tag_current(APP, Tag("v1")), link)
    await driver.write(layout.revision_link(APP, parse_digest(DIGEST)), link)
    await driver.write(layout.layer_link(APP, parse_digest(sha256(LAYER))), link)
    for path in (f"{MANIFESTS}v1", MANIFESTS + DIGEST, f"/v2/team/app/blobs/{sha256(LAYER)}"):
        assert (await pushed.get(path)).status_code == 404


async def test_content_that_a_collector_removed_is_missing(pushed: httpx.AsyncClient, driver: Driver) -> None:
    """CNCF Distribution's collector removes blobs and leaves their links."""
    await driver.delete(layout.blob(Digest.of(LAYER)))
    await check(pushed, Call("", "PUT", f"{MANIFESTS}v2", 404, OCI, IMAGE, code="MANIFEST_BLOB_UNKNOWN"))


async def test_what_is_stored_without_a_readable_media_type_is_served_as_it_is(
    pushed: httpx.AsyncClient, driver: Driver
) -> None:
    content = b"no JSON at all"
    await driver.write(layout.blob(Digest.of(content)), content)
    await driver.write(layout.revision_link(APP, Digest.of(content)), sha256(content).encode())
    await check(pushed, Call("", "GET", MANIFESTS + sha256(content), 200, content=content))


async def test_a_repository_begins_with_its_first_push(registry: httpx.AsyncClient) -> None:
    await check(registry, Call("", "GET", "/v2/team/app/tags/list", 404, code="NAME_UNKNOWN"))
    await push_image(registry, "team/app", "v1")
    assert (await registry.get("/v2/team/app/tags/list")).json() == {"name": "team/app", "tags": ["v1"]}
