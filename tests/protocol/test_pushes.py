"""Manifests pushed: which are taken, which are refused and why, and the tags that come with them."""

import json
from collections.abc import AsyncIterator

import pytest
from httpx import AsyncClient

from authproxy.digest import Digest
from authproxy.oci import media_types
from authproxy.registry import manifest_checks
from authproxy.route import MAX_QUERY_FIELDS
from authproxy.storage import layout
from authproxy.storage.driver import Driver
from tests.support.app import CONFIG, DIGEST, IMAGE, LAYER, LONG, MANIFESTS, OCI, push_app
from tests.support.registry import BASE_URL, Call, check, image, index, name_of, sha256, sha512, under

FOREIGN = {
    "mediaType": media_types.NON_DISTRIBUTABLE[0],
    "digest": sha256(b"elsewhere"),
    "size": 9,
    "urls": ["https://example.com/layer"],
}
SUBJECT = {"mediaType": media_types.OCI_IMAGE, "digest": sha256(b"not there yet"), "size": 13}
SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"


def with_fields(content: bytes, **fields: object) -> bytes:
    """A manifest with some fields set, or taken out where they are None."""
    body = json.loads(content) | fields
    return json.dumps({key: value for key, value in body.items() if value is not None}).encode()


def put(what: str, body: bytes, reference: str = "v2", media_type: str = media_types.OCI_IMAGE) -> Call:
    return Call(what, "PUT", MANIFESTS + reference, 201, {"Content-Type": media_type}, body)


def refused(
    what: str,
    body: bytes,
    code: str = "MANIFEST_INVALID",
    status: int = 400,
    *,
    reference: str = "v2",
    media_type: str = media_types.OCI_IMAGE,
) -> Call:
    return Call(what, "PUT", MANIFESTS + reference, status, {"Content-Type": media_type}, body, code)


TAKEN = [
    *under(
        "OCI 1.1 Pushing Manifests",
        put("by tag", IMAGE),
        put("by digest", IMAGE, DIGEST),
        put("by an escaped digest", IMAGE, DIGEST.replace(":", "%3A")),
        put("once more", IMAGE, "v1"),
        put("without layers", image(CONFIG)),
        put("the layers null", json.dumps(json.loads(image(CONFIG)) | {"layers": None}).encode()),
        put("with unknown fields and its own white space", json.dumps(json.loads(IMAGE) | {"x": 1}, indent=7).encode()),
        put("with parameters in Content-Type", IMAGE, media_type=f"{media_types.OCI_IMAGE}; charset=utf-8"),
        put("a Content-Type in capitals", IMAGE, media_type=media_types.OCI_IMAGE.upper()),
        put("without a mediaType", with_fields(IMAGE, mediaType=None)),
        put("a layer twice", image(CONFIG, [LAYER, LAYER])),
        put(
            "an image of Docker", image(CONFIG, mediaType=media_types.DOCKER_IMAGE), media_type=media_types.DOCKER_IMAGE
        ),
        put("an index", index([IMAGE]), media_type=media_types.OCI_INDEX),
        put("an empty index", index(), media_type=media_types.OCI_INDEX),
        put(
            "an index without a mediaType",
            with_fields(index([IMAGE]), mediaType=None),
            media_type=media_types.OCI_INDEX,
        ),
        put("a list of Docker", index([IMAGE], mediaType=media_types.DOCKER_LIST), media_type=media_types.DOCKER_LIST),
    ),
    *under("OCI 1.1-dev Digests", put("by sha512", IMAGE, LONG)),
    *under(
        "OCI Image 1.1 Non-Distributable Layers",
        put("a layer that may not be distributed, with urls", with_fields(IMAGE, layers=[FOREIGN])),
    ),
]
REFUSED = [
    *under(
        "OCI 1.1 Pushing Manifests",
        refused("not the digest in the path", IMAGE, "DIGEST_INVALID", reference=sha256(b"x")),
        refused("not the sha512 in the path", IMAGE, "DIGEST_INVALID", reference=sha512(b"x")),
        refused("a malformed digest in the path", IMAGE, "DIGEST_INVALID", reference="sha256:x"),
        refused("an algorithm that is not registered", IMAGE, "DIGEST_INVALID", reference=f"md5:{'0' * 32}"),
        refused("no tag in the path", IMAGE, "TAG_INVALID", reference="-x"),
        refused("a tag to set that is none", IMAGE, "TAG_INVALID", reference=f"{DIGEST}?tag=-x"),
        refused("a layer that the repository lacks", image(CONFIG, [b"absent"]), "MANIFEST_BLOB_UNKNOWN", 404),
        refused("a config that it lacks", image(b"absent", [LAYER]), "MANIFEST_BLOB_UNKNOWN", 404),
        refused(
            "an index of a manifest that it lacks",
            index([b"absent"]),
            "MANIFEST_BLOB_UNKNOWN",
            404,
            media_type=media_types.OCI_INDEX,
        ),
        refused(
            "a blob in place of a manifest",
            index([LAYER]),
            "MANIFEST_BLOB_UNKNOWN",
            404,
            media_type=media_types.OCI_INDEX,
        ),
        refused("a byte more than 4 MiB", b" " * (manifest_checks.MAX_BYTES + 1), "SIZE_INVALID", 413),
    ),
    *under(
        "OCI 1.1 Error Codes",
        refused("not JSON", b"hello"),
        refused("nothing", b""),
        refused("a list", b"[]"),
        refused("JSON in UTF-16", IMAGE.decode().encode("utf-16")),
        refused("NaN, which is not JSON", IMAGE[:-1] + b', "x": NaN}'),
        refused("nested without end", b"[" * 100_000),
        refused("no schemaVersion", with_fields(IMAGE, schemaVersion=None)),
        refused("schemaVersion as text", with_fields(IMAGE, schemaVersion="2")),
        refused("schemaVersion as a fraction", with_fields(IMAGE, schemaVersion=2.0)),
        refused("mediaType is a number", with_fields(IMAGE, mediaType=7)),
        refused(
            "a media type that is no manifest's", with_fields(IMAGE, mediaType="text/plain"), media_type="text/plain"
        ),
        refused("no config", with_fields(IMAGE, config=None)),
        refused("layers that are no list", with_fields(IMAGE, layers={})),
        refused("a layer that is no descriptor", with_fields(IMAGE, layers=["x"])),
        refused("a negative size", with_fields(IMAGE, layers=[FOREIGN | {"size": -1}])),
        refused("a size that is a fraction", with_fields(IMAGE, layers=[FOREIGN | {"size": 1.5}])),
        refused("a malformed digest of a layer", with_fields(IMAGE, layers=[FOREIGN | {"digest": "sha256:x"}])),
        refused("a subject that is no descriptor", with_fields(IMAGE, subject="x")),
        refused("schema 1", b'{"schemaVersion": 1, "fsLayers": []}', media_type=SCHEMA_1),
    ),
    *under(
        "OCI Image 1.1 CVE-2021-41190",
        refused("an image sent as an index", IMAGE, media_type=media_types.OCI_INDEX),
        refused("an index sent as an image", index([IMAGE])),
        refused("an image with a list of manifests", with_fields(IMAGE, manifests=[])),
        refused("an index with layers", with_fields(index(), layers=[]), media_type=media_types.OCI_INDEX),
        refused(
            "an index with a config",
            with_fields(index(), config=json.loads(IMAGE)["config"]),
            media_type=media_types.OCI_INDEX,
        ),
        refused("neither says what it is", with_fields(IMAGE, mediaType=None, manifests=[])),
    ),
]


@pytest.fixture
async def pushed(registry: AsyncClient) -> AsyncClient:
    """A registry that holds the image, as team/app:v1."""
    await push_app(registry)
    return registry


@pytest.mark.parametrize("call", TAKEN, ids=name_of)
async def test_a_push_keeps_bytes_and_media_type(pushed: AsyncClient, call: Call) -> None:
    reference = call.path.removeprefix(MANIFESTS).replace("%3A", ":")
    digest = reference if ":" in reference else sha256(call.body)
    answers = {"Location": f"{BASE_URL}{MANIFESTS}{digest}", "Docker-Content-Digest": digest, "OCI-Subject": None}
    await check(pushed, Call("", "PUT", call.path, 201, call.headers, call.body, answers=answers))
    media_type = call.headers["Content-Type"].partition(";")[0].lower()
    for asked, name in ((reference, digest), (digest, digest), (sha256(call.body), sha256(call.body))):
        back = {"Content-Type": media_type, "Docker-Content-Digest": name}
        await check(pushed, Call("", "GET", MANIFESTS + asked, 200, answers=back, content=call.body))


@pytest.mark.parametrize("call", REFUSED, ids=name_of)
async def test_a_refused_push_leaves_nothing(pushed: AsyncClient, call: Call) -> None:
    await check(pushed, call)
    if call.body != IMAGE:
        absent = Call("", "GET", MANIFESTS + sha256(call.body), 404, code="MANIFEST_UNKNOWN")
        await check(pushed, absent)
    await check(pushed, Call("", "GET", "/v2/team/app/tags/list", 200, json={"name": "team/app", "tags": ["v1"]}))


@pytest.mark.section("OCI 1.1 Pushing Manifests")
async def test_what_is_missing_is_named(pushed: AsyncClient) -> None:
    body = image(b"no config", [LAYER, b"no layer"])
    answer = await check(pushed, Call("", "PUT", f"{MANIFESTS}v2", 404, OCI, body, "MANIFEST_BLOB_UNKNOWN"))
    for content, is_missing in ((b"no config", True), (b"no layer", True), (LAYER, False)):
        assert (sha256(content) in answer.text) is is_missing


@pytest.mark.section("OCI 1.1 Pushing Manifests with Subject")
@pytest.mark.parametrize(
    ("content", "media_type"),
    [(image(CONFIG, subject=SUBJECT), media_types.OCI_IMAGE), (index(subject=SUBJECT), media_types.OCI_INDEX)],
    ids=["image", "index"],
)
async def test_a_subject_need_not_be_there_and_is_named(pushed: AsyncClient, content: bytes, media_type: str) -> None:
    headers, answers = {"Content-Type": media_type}, {"OCI-Subject": sha256(b"not there yet")}
    for reference in ("v2", sha256(content), sha512(content)):
        await check(pushed, Call("", "PUT", MANIFESTS + reference, 201, headers, content, answers=answers))


@pytest.mark.section("CVE-2017-11468")
async def test_a_stream_that_is_too_large_is_refused(pushed: AsyncClient) -> None:
    async def stream() -> AsyncIterator[bytes]:
        for _ in range(manifest_checks.MAX_BYTES // 65536 + 1):  # the client sends it all before it reads the answer
            yield b" " * 65536

    answer = await pushed.put(f"{MANIFESTS}v2", content=stream(), headers=OCI)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (413, "SIZE_INVALID")


@pytest.mark.section("OCI 1.1 Pushing Manifests")
async def test_as_large_as_can_be(pushed: AsyncClient) -> None:
    body = IMAGE + b" " * (manifest_checks.MAX_BYTES - len(IMAGE))
    await check(pushed, Call("", "PUT", f"{MANIFESTS}large", 201, OCI, body))
    await check(pushed, Call("", "GET", f"{MANIFESTS}large", 200, content=body))


@pytest.mark.section("OCI 1.1-dev Pushing Manifests by digest with tags")
@pytest.mark.parametrize("digest", [DIGEST, LONG], ids=["sha256", "sha512"])
@pytest.mark.parametrize("count", [1, 10, MAX_QUERY_FIELDS])
async def test_a_push_by_digest_can_set_tags(pushed: AsyncClient, digest: str, count: int) -> None:
    tags = [f"t{number:02}" for number in range(count)]
    query = "&".join(f"tag={tag}" for tag in tags)
    answer = await check(pushed, Call("", "PUT", f"{MANIFESTS}{digest}?{query}", 201, OCI, IMAGE))
    assert [tag for value in answer.headers.get_list("oci-tag") for tag in value.split(", ")] == tags
    for tag in (tags[0], tags[-1]):
        await check(pushed, Call("", "HEAD", MANIFESTS + tag, 200, answers={"Docker-Content-Digest": digest}))


@pytest.mark.section("OCI 1.1-dev Pushing Manifests by digest with tags")
async def test_more_tags_than_can_be_set_at_once_set_none(pushed: AsyncClient) -> None:
    query = "&".join(f"tag=t{number}" for number in range(MAX_QUERY_FIELDS + 1))
    await check(pushed, Call("", "PUT", f"{MANIFESTS}{DIGEST}?{query}", 414, OCI, IMAGE, "UNSUPPORTED"))
    await check(pushed, Call("", "GET", "/v2/team/app/tags/list", 200, json={"name": "team/app", "tags": ["v1"]}))


@pytest.mark.section("OCI 1.1-dev Pushing Manifests by digest with tags")
async def test_a_push_by_tag_sets_that_tag_alone(pushed: AsyncClient) -> None:
    await check(pushed, Call("", "PUT", f"{MANIFESTS}v2?tag=v3", 201, OCI, IMAGE, answers={"OCI-Tag": None}))
    await check(pushed, Call("", "HEAD", f"{MANIFESTS}v3", 404))


@pytest.mark.section("CNCF Distribution's garbage collector")
async def test_content_that_a_collector_removed_is_missing(pushed: AsyncClient, driver: Driver) -> None:
    await driver.delete(layout.blob(Digest.of(LAYER)))
    await check(pushed, Call("", "PUT", f"{MANIFESTS}v2", 404, OCI, IMAGE, code="MANIFEST_BLOB_UNKNOWN"))
