"""Manifests and tags deleted: what goes with what, at once; and where nothing may be deleted or written."""

import json
from typing import Any

import pytest
from httpx import AsyncClient

from authproxy.access import Access
from authproxy.errors import Denied
from authproxy.oci import media_types
from authproxy.permissions import Verb
from authproxy.reference import Tag
from authproxy.registry.deleter import Deleter
from authproxy.registry.options import Rules
from authproxy.storage.driver import Driver
from tests.support.app import CONFIG, DIGEST, IMAGE, LONG, MANIFESTS, NO_DIGEST, OCI, push_app
from tests.support.registry import Call, check, connect, image, index, name_of, push_blob, push_manifest, sha256, under
from tests.support.uploads import HELLO, UPLOADS, append, begin, closing

TAGS = pytest.mark.section("OCI 1.1 Deleting tags")
BY_DIGEST = pytest.mark.section("OCI 1.1 Deleting Manifests")


@pytest.fixture
async def pushed(registry: AsyncClient) -> AsyncClient:
    """A registry that holds the image, as team/app:v1."""
    await push_app(registry)
    return registry


@TAGS
async def test_deleting_a_tag_leaves_the_manifest(pushed: AsyncClient) -> None:
    await push_manifest(pushed, "team/app", "v2", IMAGE)
    for status, code in ((202, None), (404, "MANIFEST_UNKNOWN")):
        await check(pushed, Call("", "DELETE", f"{MANIFESTS}v1", status, code=code))
    for method in ("GET", "HEAD"):
        await check(pushed, Call("", method, f"{MANIFESTS}v1", 404, code="MANIFEST_UNKNOWN", answers=NO_DIGEST))
    for reference in (DIGEST, "v2"):
        await check(pushed, Call("", "GET", MANIFESTS + reference, 200, content=IMAGE))
    await check(pushed, Call("", "GET", "/v2/team/app/tags/list", 200, json={"name": "team/app", "tags": ["v2"]}))


@TAGS
async def test_a_deleted_tag_can_be_set_again(pushed: AsyncClient) -> None:
    await check(pushed, Call("", "DELETE", f"{MANIFESTS}v1", 202))
    await push_manifest(pushed, "team/app", "v1", image(CONFIG))
    await check(pushed, Call("", "GET", f"{MANIFESTS}v1", 200, content=image(CONFIG)))


@BY_DIGEST
@pytest.mark.parametrize("deleted", [DIGEST, LONG], ids=["sha256", "sha512"])
async def test_deleting_a_manifest_takes_its_names_and_tags(pushed: AsyncClient, deleted: str) -> None:
    await push_manifest(pushed, "team/app", f"{LONG}?tag=long", IMAGE)
    await push_manifest(pushed, "team/app", "other", image(CONFIG))
    await check(pushed, Call("", "DELETE", MANIFESTS + deleted, 202))
    for gone in (DIGEST, LONG, "v1", "long"):
        await check(pushed, Call("", "HEAD", MANIFESTS + gone, 404, answers=NO_DIGEST))
        await check(pushed, Call("", "GET", MANIFESTS + gone, 404, {"If-None-Match": "*"}, code="MANIFEST_UNKNOWN"))
    await check(pushed, Call("", "GET", "/v2/team/app/tags/list", 200, json={"name": "team/app", "tags": ["other"]}))
    await check(pushed, Call("", "DELETE", MANIFESTS + deleted, 404, code="MANIFEST_UNKNOWN"))


class KeepsReleases:
    """The permissions of a caller who may not delete the tags that begin with "v"."""

    def concern(self, verb: Verb) -> bool:
        return verb == "delete"

    def refusal(self, verb: Verb, tag: Tag | None = None) -> Denied | None:
        refuses = verb == "delete" and tag is not None and tag.startswith("v")
        return Denied(str(Access("repository", "team/app", verb))) if refuses else None

    def shows_repository(self, name: str) -> bool:
        return bool(name)

    def shows_tag(self, tag: str) -> bool:
        return bool(tag)

    def shows_every_tag(self) -> bool:
        return True


@BY_DIGEST
async def test_a_tag_that_was_set_since_the_check_stays_by_the_rules(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete_manifest = Deleter.delete_manifest

    async def late(self: Deleter, *args: Any, **more: Any) -> None:
        await push_manifest(other, "team/app", "v1", IMAGE)
        await delete_manifest(self, *args, **more)

    async with connect(driver) as other, connect(driver, permissions=KeepsReleases()) as registry:
        await push_app(other)
        await check(other, Call("", "DELETE", f"{MANIFESTS}v1", 202))
        monkeypatch.setattr(Deleter, "delete_manifest", late)
        await check(registry, Call("", "DELETE", MANIFESTS + DIGEST, 403, code="DENIED"))
        await check(other, Call("", "GET", f"{MANIFESTS}v1", 200, content=IMAGE))


@BY_DIGEST
async def test_deleting_a_manifest_leaves_that_of_another_repository(pushed: AsyncClient) -> None:
    for blob in (CONFIG, b"a layer"):
        await push_blob(pushed, "other", blob)
    await push_manifest(pushed, "other", "v1", IMAGE)
    await check(pushed, Call("", "DELETE", MANIFESTS + DIGEST, 202))
    await check(pushed, Call("", "GET", "/v2/other/manifests/v1", 200, content=IMAGE))


@BY_DIGEST
async def test_deleting_an_index_leaves_its_images(pushed: AsyncClient) -> None:
    content = index([IMAGE])
    await push_manifest(pushed, "team/app", "list", content, media_types.OCI_INDEX)
    await check(pushed, Call("", "DELETE", MANIFESTS + sha256(content), 202))
    await check(pushed, Call("", "GET", f"{MANIFESTS}v1", 200, content=IMAGE))


@BY_DIGEST
async def test_a_deleted_manifest_can_be_pushed_again(pushed: AsyncClient) -> None:
    await check(pushed, Call("", "DELETE", MANIFESTS + DIGEST, 202))
    await push_manifest(pushed, "team/app", "v1", IMAGE)
    await check(pushed, Call("", "GET", MANIFESTS + DIGEST, 200, content=IMAGE))


NEEDED = pytest.mark.section("ours: what a manifest needs stays")


@NEEDED
async def test_a_blob_that_a_manifest_needs_is_not_deleted(pushed: AsyncClient) -> None:
    for name in (sha256(CONFIG), sha256(b"a layer")):
        answer = await check(
            pushed,
            Call("", "DELETE", f"/v2/team/app/blobs/{name}", 405, code="UNSUPPORTED", answers={"Allow": "GET, HEAD"}),
        )
        assert answer.json()["errors"][0]["detail"] == {"digest": name, "neededBy": DIGEST}
        await check(pushed, Call("", "HEAD", f"/v2/team/app/blobs/{name}", 200))
    await check(pushed, Call("", "DELETE", MANIFESTS + DIGEST, 202))
    for name in (sha256(CONFIG), sha256(b"a layer")):
        await check(pushed, Call("", "DELETE", f"/v2/team/app/blobs/{name}", 202))


@NEEDED
async def test_a_blob_that_a_manifest_names_with_escapes_is_not_deleted(pushed: AsyncClient) -> None:
    """JSON may write any character as an escape, and then a digest is nowhere in the bytes."""
    blob = await push_blob(pushed, "team/app", b"another layer")
    content = image(b"{}", [b"another layer"])
    await push_blob(pushed, "team/app", b"{}")
    escaped = content.replace(blob.encode(), blob.replace("sha", "\\u0073ha").encode())
    assert blob.encode() not in escaped
    assert json.loads(escaped) == json.loads(content)
    await push_manifest(pushed, "team/app", "escaped", escaped)
    await check(pushed, Call("", "DELETE", f"/v2/team/app/blobs/{blob}", 405, code="UNSUPPORTED"))


@NEEDED
@pytest.mark.parametrize("name", [DIGEST, LONG], ids=["sha256", "sha512"])
async def test_an_image_that_an_index_needs_is_not_deleted(pushed: AsyncClient, name: str) -> None:
    await push_manifest(pushed, "team/app", LONG, IMAGE)
    content = index([IMAGE])
    await push_manifest(pushed, "team/app", "list", content, media_types.OCI_INDEX)
    await check(pushed, Call("", "DELETE", MANIFESTS + name, 405, code="UNSUPPORTED"))
    await check(pushed, Call("", "GET", f"{MANIFESTS}v1", 200, content=IMAGE))
    await check(pushed, Call("", "DELETE", MANIFESTS + sha256(content), 202))
    await check(pushed, Call("", "DELETE", MANIFESTS + name, 202))


@NEEDED
async def test_a_subject_is_deleted_though_others_refer_to_it(pushed: AsyncClient) -> None:
    """OCI 1.1: a referrer's subject need not exist."""
    subject = {"mediaType": media_types.OCI_IMAGE, "digest": DIGEST, "size": len(IMAGE)}
    await push_manifest(pushed, "team/app", "signature", image(CONFIG, subject=subject))
    await check(pushed, Call("", "DELETE", MANIFESTS + DIGEST, 202))


@pytest.mark.section("Docker V2 API Listing Repositories")
async def test_a_repository_whose_last_manifest_is_gone_leaves_the_catalog(pushed: AsyncClient) -> None:
    catalog = Call("", "GET", "/v2/_catalog", 200, json={"repositories": ["team/app"]})
    await push_manifest(pushed, "team/app", sha256(image(CONFIG)), image(CONFIG))
    await check(pushed, Call("", "DELETE", MANIFESTS + DIGEST, 202))
    await check(pushed, catalog)
    await check(pushed, Call("", "DELETE", MANIFESTS + sha256(image(CONFIG)), 202))
    await check(pushed, Call("", "GET", "/v2/_catalog", 200, json={"repositories": []}))
    await check(pushed, Call("", "GET", "/v2/team/app/tags/list", 404, code="NAME_UNKNOWN"))
    await push_manifest(pushed, "team/app", "v1", IMAGE)
    await check(pushed, catalog)


UNKNOWN = under(
    "OCI 1.1 Deleting Manifests",
    Call("an unknown digest", "DELETE", MANIFESTS + sha256(b"x"), 404, code="MANIFEST_UNKNOWN"),
    Call("an unknown tag", "DELETE", f"{MANIFESTS}v2", 404, code="MANIFEST_UNKNOWN"),
    Call("a blob", "DELETE", MANIFESTS + sha256(CONFIG), 404, code="MANIFEST_UNKNOWN"),
    Call("of another repository", "DELETE", f"/v2/other/manifests/{DIGEST}", 404, code="MANIFEST_UNKNOWN"),
    Call("neither tag nor digest", "DELETE", f"{MANIFESTS}-x", 400, code="TAG_INVALID"),
    Call("a malformed digest", "DELETE", f"{MANIFESTS}sha256:x", 400, code="DIGEST_INVALID"),
)


@pytest.mark.parametrize("call", UNKNOWN, ids=name_of)
async def test_what_is_not_there_cannot_be_deleted(pushed: AsyncClient, call: Call) -> None:
    await check(pushed, call)
    await check(pushed, Call("", "GET", f"{MANIFESTS}v1", 200, content=IMAGE))


@pytest.mark.section("OCI 1.1 Deleting tags; CVE-2026-41888")
@pytest.mark.parametrize("reference", ["v1", DIGEST, "v2"], ids=["tag", "digest", "unknown tag"])
async def test_deleting_is_unsupported_where_it_is_disabled(
    pushed: AsyncClient, undeletable: AsyncClient, reference: str
) -> None:
    answers = {"Allow": "GET, HEAD, PUT"}
    await check(undeletable, Call("", "DELETE", MANIFESTS + reference, 405, code="UNSUPPORTED", answers=answers))
    await check(pushed, Call("", "HEAD", f"{MANIFESTS}v1", 200))


@pytest.mark.section("CNCF Distribution's maintenance.readonly")
async def test_a_read_only_registry_takes_no_write_and_goes_on_with_pulls(driver: Driver) -> None:
    async with connect(driver) as before:
        await push_app(before)
        session = await append(before, await begin(before), b"he", "0-1")
    async with connect(driver, Rules(delete_enabled=True, read_only=True)) as registry:
        for call in (
            Call("", "POST", UPLOADS, 405),
            Call("", "POST", f"{UPLOADS}?mount={sha256(CONFIG)}&from=team/app", 405),
            Call("", "PATCH", session, 405, body=b"l"),
            Call("", "PUT", closing(session), 405, body=b"llo"),
            Call("", "DELETE", session, 405),
            Call("", "PUT", f"{MANIFESTS}v2", 405, OCI, IMAGE),
            Call("", "DELETE", MANIFESTS + DIGEST, 405),
            Call("", "DELETE", f"/v2/team/app/blobs/{sha256(CONFIG)}", 405),
        ):
            answer = await registry.request(call.method, call.path, headers=call.headers, content=call.body)
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (405, "UNSUPPORTED")
            assert "read-only" in answer.json()["errors"][0]["message"]
        await check(registry, Call("", "GET", f"{MANIFESTS}v1", 200, content=IMAGE))
        await check(registry, Call("", "GET", session, 204, answers={"Range": "0-1"}))
    async with connect(driver) as after:
        await check(after, Call("", "PUT", closing(session, HELLO), 201, body=b"llo"))
