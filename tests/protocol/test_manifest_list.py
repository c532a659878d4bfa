"""All manifests of a repository, tagged or not: our extension, `/v2/<name>/_authproxy/content/manifests`."""

from typing import Any

import pytest
from httpx import AsyncClient

from authproxy.access import Access
from authproxy.digest import parse_digest
from authproxy.errors import Denied
from authproxy.oci import media_types
from authproxy.permissions import Verb
from authproxy.reference import Repository, Tag
from authproxy.registry import digest_page
from authproxy.storage import layout
from authproxy.storage.driver import Driver
from tests.support.app import CONFIG, DIGEST, IMAGE, MANIFESTS, push_app
from tests.support.registry import (
    BASE_URL,
    Call,
    check,
    connect,
    descriptor,
    image,
    index,
    name_of,
    push_blob,
    push_image,
    push_manifest,
    sha256,
    sha512,
    under,
)

LIST = "/v2/team/app/_authproxy/content/manifests"
SIGNATURE = image(CONFIG, subject=descriptor(IMAGE, media_types.OCI_IMAGE))
INDEX = index([IMAGE])
EXTENSIONS = pytest.mark.section("OCI 1.1 Extensions")


def entry(content: bytes, *tags: str, **more: str) -> dict[str, Any]:
    media_type = media_types.OCI_INDEX if content == INDEX else media_types.OCI_IMAGE
    return {"digest": sha256(content), "tags": list(tags), "size": len(content), "mediaType": media_type, **more}


ENTRIES = sorted(
    [entry(IMAGE, "v1", "v2"), entry(SIGNATURE, subject=DIGEST), entry(INDEX)], key=lambda each: str(each["digest"])
)
HEX = [str(each["digest"]) for each in ENTRIES]


def page(what: str, query: str, expected: list[dict[str, Any]], next_query: str | None = None) -> Call:
    link = f'<{BASE_URL}{LIST}?{next_query}>; rel="next"' if next_query else None
    answers = {"Link": link, "Content-Type": "application/json"}
    return Call(what, "GET", LIST + query, 200, answers=answers, json={"complete": True, "manifests": expected})


CALLS = under(
    "OCI 1.1 Extensions",
    page("all, in the order of digests", "", ENTRIES),
    page("a page", "?n=1", ENTRIES[:1], f"last={HEX[0]}&n=1"),
    page("the next page", f"?n=1&last={HEX[0]}", ENTRIES[1:2], f"last={HEX[1]}&n=1"),
    page("a page that ends the list exactly", f"?n=2&last={HEX[0]}", ENTRIES[1:]),
    page("a last behind all", f"?last=sha512:{'f' * 128}", []),
    page("none", "?n=0", []),
    page("more than there are", "?n=999999999", ENTRIES),
    Call("HEAD", "HEAD", LIST, 200, content=b""),
    Call("n is no number", "GET", f"{LIST}?n=x", 400, code="PAGINATION_NUMBER_INVALID"),
    Call("a last that is no digest", "GET", f"{LIST}?last=v1", 400, code="DIGEST_INVALID"),
    Call("no such repository", "GET", LIST.replace("app", "none"), 404, code="NAME_UNKNOWN"),
    Call("another method", "DELETE", LIST, 405, code="UNSUPPORTED", answers={"Allow": "GET, HEAD"}),
    Call("another module", "GET", LIST + "x", 404, code="UNSUPPORTED"),
)


async def push_all(registry: AsyncClient) -> None:
    await push_app(registry)
    await push_manifest(registry, "team/app", "v2", IMAGE)
    await push_manifest(registry, "team/app", sha256(SIGNATURE), SIGNATURE)
    await push_manifest(registry, "team/app", sha256(INDEX), INDEX, media_types.OCI_INDEX)


@pytest.mark.leaves_the_same
@pytest.mark.parametrize("call", CALLS, ids=name_of)
async def test_call(registry: AsyncClient, call: Call) -> None:
    await push_all(registry)
    await check(registry, call)


@EXTENSIONS
async def test_clients_that_follow_links_find_every_manifest_once(registry: AsyncClient) -> None:
    pushed = [await push_image(registry, "team/app", f"v{number}") for number in range(20)]
    await check(registry, Call("", "DELETE", f"{MANIFESTS}v7", 202))
    await check(registry, Call("", "DELETE", MANIFESTS + pushed[8], 202))
    answer, found = await registry.get(f"{LIST}?n=3"), list[tuple[str, list[str]]]()
    while True:
        found += [(each["digest"], each["tags"]) for each in answer.json()["manifests"]]
        if "link" not in answer.headers:
            break
        answer = await registry.get(answer.links["next"]["url"])
    tags = {digest: [] if number == 7 else [f"v{number}"] for number, digest in enumerate(pushed) if number != 8}
    assert found == sorted(tags.items())


@EXTENSIONS
async def test_manifest_with_two_digests_has_an_entry_for_each(registry: AsyncClient) -> None:
    await push_app(registry)
    await push_manifest(registry, "team/app", f"{sha512(IMAGE)}?tag=long", IMAGE)
    found = (await registry.get(LIST)).json()["manifests"]
    assert [(each["digest"], each["tags"]) for each in found] == [(DIGEST, ["v1"]), (sha512(IMAGE), ["long"])]


@EXTENSIONS
async def test_list_of_a_repository_with_blobs_alone_is_empty(registry: AsyncClient) -> None:
    await push_blob(registry, "team/app", b"hello")
    await check(registry, Call("", "GET", LIST, 200, json={"complete": True, "manifests": []}))


@EXTENSIONS
async def test_repository_is_unknown_once_the_listed_manifests_are_deleted(registry: AsyncClient) -> None:
    await push_all(registry)
    for digest in (sha256(INDEX), sha256(SIGNATURE), DIGEST):
        await check(registry, Call("", "DELETE", MANIFESTS + digest, 202))
    await check(registry, Call("", "GET", LIST, 404, code="NAME_UNKNOWN"))
    await check(registry, Call("", "GET", "/v2/_catalog", 200, json={"repositories": []}))


@EXTENSIONS
async def test_manifest_without_content_is_listed_and_can_be_deleted(driver: Driver) -> None:
    async with connect(driver) as registry:
        await push_app(registry)
        await driver.delete(layout.blob(parse_digest(DIGEST)))
        await check(
            registry,
            Call("", "GET", LIST, 200, json={"complete": True, "manifests": [{"digest": DIGEST, "tags": ["v1"]}]}),
        )
        await check(registry, Call("", "DELETE", MANIFESTS + DIGEST, 202))
        await check(registry, Call("", "GET", LIST, 404, code="NAME_UNKNOWN"))
        await check(registry, Call("", "DELETE", MANIFESTS + DIGEST, 404, code="MANIFEST_UNKNOWN"))


@EXTENSIONS
async def test_page_ends_after_so_many_bytes(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_page, "MAX_READ_BYTES", 1)
    async with connect(driver) as registry:
        await push_all(registry)
        answer = await registry.get(LIST)
    assert (answer.json()["manifests"], answer.links["next"]["url"]) == (
        ENTRIES[:1],
        f"{BASE_URL}{LIST}?last={HEX[0]}&n=1000",
    )


class OnlyReleases:
    """The permissions of a caller who may pull the tags that begin with "v"."""

    def concern(self, verb: Verb) -> bool:
        return verb == "pull"

    def refusal(self, verb: Verb, tag: Tag | None = None) -> Denied | None:
        allowed = tag is None or tag.startswith("v")
        return None if allowed else Denied(str(Access("repository", "team/app", verb)))

    def shows_repository(self, name: str) -> bool:
        return bool(name)

    def shows_tag(self, tag: str) -> bool:
        return self.refusal("pull", Tag(tag)) is None

    def shows_every_tag(self) -> bool:
        return self.shows_tag("secret")


@EXTENSIONS
async def test_rules_that_hide_tags_hide_their_manifests_and_those_without(driver: Driver) -> None:
    hidden = image(CONFIG, annotations={"hidden": "yes"})
    async with connect(driver) as registry:
        await push_all(registry)
        await push_manifest(registry, "team/app", "secret", hidden)
        await push_manifest(registry, "team/app", "also-secret", IMAGE)
    async with connect(driver, permissions=OnlyReleases()) as registry:
        answer = await registry.get(f"{LIST}?n=1")
        found, complete = list(answer.json()["manifests"]), answer.json()["complete"]
        while "link" in answer.headers:
            answer = await registry.get(answer.links["next"]["url"])
            found += answer.json()["manifests"]
    assert (complete, found) == (False, [entry(IMAGE, "v1", "v2")])
    assert await driver.list_names(layout.tags(Repository("team/app")), limit=9) == [
        "also-secret",
        "secret",
        "v1",
        "v2",
    ]


class Everything(OnlyReleases):
    """Those of a caller from whom the same rules hide nothing."""

    def refusal(self, verb: Verb, tag: Tag | None = None) -> Denied | None:
        return None


@EXTENSIONS
async def test_caller_from_whom_nothing_is_hidden_sees_the_whole_list(driver: Driver) -> None:
    async with connect(driver, permissions=Everything()) as registry:
        await push_all(registry)
        await check(registry, page("", "", ENTRIES))
