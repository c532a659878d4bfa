"""Tags: their order, their pages, and the end of them."""

import pytest
from httpx import AsyncClient

from authproxy.reference import Repository, Tag
from authproxy.registry.options import Rules
from authproxy.storage import layout
from authproxy.storage.driver import Driver
from tests.support.registry import (
    BASE_URL,
    Call,
    check,
    connect,
    image,
    name_of,
    push_blob,
    push_image,
    push_manifest,
    sha256,
    under,
)

TAGS = ["B", "_x", "a", "a-b", "a.b", "a0", "v1"]  # bytewise: capitals, "_", small letters; "-", ".", digits
LIST = "/v2/team/app/tags/list"
LISTING = pytest.mark.section("OCI 1.1 Listing Tags")


def page(what: str, query: str, expected: list[str], next_query: str | None = None) -> Call:
    link = f'<{BASE_URL}{LIST}?{next_query}>; rel="next"' if next_query else None
    answers = {"Link": link, "Content-Type": "application/json"}
    return Call(what, "GET", LIST + query, 200, answers=answers, json={"name": "team/app", "tags": expected})


def refused(what: str, query: str) -> Call:
    return Call(what, "GET", LIST + query, 400, code="PAGINATION_NUMBER_INVALID", answers={"Link": None})


CALLS = [
    *under(
        "OCI 1.1 Listing Tags",
        page("all, in bytewise order", "", TAGS),
        page("a page", "?n=2", ["B", "_x"], "last=_x&n=2"),
        page("the next page", "?n=2&last=_x", ["a", "a-b"], "last=a-b&n=2"),
        page("the fields the other way round", "?last=_x&n=2", ["a", "a-b"], "last=a-b&n=2"),
        page("a page that ends the list exactly", "?n=2&last=a.b", ["a0", "v1"]),
        page("as many as there are", "?n=7", TAGS),
        page("one fewer", "?n=6", TAGS[:6], "last=a0&n=6"),
        page("more than there are", "?n=5000", TAGS),
        page("none", "?n=0", []),
        page("none, after one", "?n=0&last=a", []),
        page("last without n", "?last=a.b", ["a0", "v1"]),
        page("a last that is not there", "?last=a-a", ["a-b", "a.b", "a0", "v1"]),
        page("a last behind all", "?last=zzz", []),
        page("the last of all", "?last=v1", []),
        page("a last that is no tag", "?last=/../x", TAGS),
        page("an escaped last", "?n=1&last=a%2Db", ["a.b"], "last=a.b&n=1"),
        page("n left empty", "?n=", TAGS),
        page("fields that nobody knows", "?x=1&y", TAGS),
        Call("no such repository", "GET", "/v2/team/tags/list", 404, code="NAME_UNKNOWN"),
        Call("no such repository: HEAD", "HEAD", "/v2/team/tags/list", 404, code="NAME_UNKNOWN"),
        Call("no such repository: none of its tags", "GET", "/v2/no/tags/list?n=0", 404, code="NAME_UNKNOWN"),
    ),
    *under(
        "Docker V2 API Tags Paginated",
        refused("n is no number", "?n=x"),
        refused("n is negative", "?n=-1"),
        refused("n is a fraction", "?n=1.5"),
        refused("n has a sign", "?n=%2B1"),
        refused("n is hexadecimal", "?n=0x1"),
        refused("n has thousands of digits", f"?n={'9' * 4000}"),
        refused("n in digits of another script", "?n=%D9%A1"),
    ),
]


async def push_tags(registry: AsyncClient) -> None:
    """One image with all the tags, set in another order than theirs."""
    await push_blob(registry, "team/app", b"{}")
    content = image(b"{}")
    tags = "&".join(f"tag={tag}" for tag in reversed(TAGS))
    await push_manifest(registry, "team/app", f"{sha256(content)}?{tags}", content)


@pytest.mark.leaves_the_same
@pytest.mark.parametrize("call", CALLS, ids=name_of)
async def test_call(registry: AsyncClient, call: Call) -> None:
    await push_tags(registry)
    await check(registry, call)


@LISTING
async def test_clients_that_follow_links_find_every_tag(registry: AsyncClient) -> None:
    await push_tags(registry)
    answer, found = await registry.get(f"{LIST}?n=3"), list[str]()
    while True:
        found += answer.json()["tags"]
        if "link" not in answer.headers:
            break
        answer = await registry.get(answer.links["next"]["url"])
    assert found == TAGS


@LISTING
async def test_a_repository_without_tags_has_an_empty_list(registry: AsyncClient) -> None:
    await push_blob(registry, "team/app", b"hello")
    await check(registry, Call("", "GET", LIST, 200, content=b'{"name":"team/app","tags":[]}'))
    await check(registry, Call("", "HEAD", LIST, 200, answers={"Content-Length": "29"}, content=b""))


@LISTING
async def test_a_repository_begins_with_its_first_push(registry: AsyncClient) -> None:
    await check(registry, Call("", "GET", LIST, 404, code="NAME_UNKNOWN"))
    await push_image(registry, "team/app", "v1")
    await check(registry, Call("", "GET", LIST, 200, json={"name": "team/app", "tags": ["v1"]}))


@LISTING
async def test_a_session_alone_makes_no_repository(registry: AsyncClient) -> None:
    await check(registry, Call("", "POST", "/v2/team/app/blobs/uploads/", 202))
    await check(registry, Call("", "GET", LIST, 404, code="NAME_UNKNOWN"))
    await check(registry, Call("", "GET", "/v2/_catalog", 200, json={"repositories": []}))


@LISTING
async def test_a_list_is_right_the_moment_a_push_or_a_delete_returns(registry: AsyncClient) -> None:
    for number in range(4):
        await push_image(registry, "team/app", f"v{number}")
        tags = [f"v{seen}" for seen in range(number + 1)]
        await check(registry, Call("", "GET", LIST, 200, json={"name": "team/app", "tags": tags}))
    for number in range(4):
        await check(registry, Call("", "DELETE", f"/v2/team/app/manifests/v{number}", 202))
        tags = [f"v{seen}" for seen in range(number + 1, 4)]
        await check(registry, Call("", "GET", LIST, 200, json={"name": "team/app", "tags": tags}))


@pytest.mark.section("Docker V2 API Tags Paginated")
async def test_a_page_longer_than_allowed_is_cut_and_links_to_the_next(driver: Driver) -> None:
    """CNCF Distribution's tags.maxtags."""
    async with connect(driver, Rules(max_tags=2)) as registry:
        await push_tags(registry)
        await check(registry, page("", "?n=5", ["B", "_x"], "last=_x&n=2"))
        await check(registry, page("", "?n=2", ["B", "_x"], "last=_x&n=2"))
        await check(registry, page("all are asked for, all are given", "", TAGS))


@LISTING
async def test_a_tag_whose_setting_was_interrupted_is_not_there(registry: AsyncClient, driver: Driver) -> None:
    await push_image(registry, "team/app", "v1")
    repository = Repository("team/app")
    foreign = layout.StorePath(f"{layout.tags(repository)}/not a tag/current/link")
    for path in (layout.tag_index(repository, Tag("v0")), layout.tag_index(repository, Tag("v2")), foreign):
        await driver.write(layout.StorePath(f"{path}/link"), b"x")
    await check(registry, page("", "?n=1", ["v1"]))
