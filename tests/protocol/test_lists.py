"""Tags and catalog: order, pages, and the end of them (OCI Distribution 1.1, "Listing Tags")."""

from operator import attrgetter

import httpx
import pytest

from authproxy.reference import Repository, Tag
from authproxy.storage import layout
from authproxy.storage.driver import Driver
from tests.support.registry import BASE_URL, Call, check, push_blob, push_image

TAGS = ["B", "_x", "a", "a-b", "a.b", "a0", "v1"]
LIST = "/v2/team/app/tags/list"


def link(address: str) -> dict[str, str | None]:
    return {"Link": f'<{BASE_URL}{address}>; rel="next"'}


NO_LINK: dict[str, str | None] = {"Link": None}


def tags(
    what: str, query: str, expected: list[str], answers: dict[str, str | None] = NO_LINK
) -> tuple[Call, list[str]]:
    answers = answers | {"Content-Type": "application/json"}
    return Call(what, "GET", LIST + query, 200, answers=answers), expected


TAG_PAGES = [
    tags("all", "", ["B", "_x", "a", "a-b", "a.b", "a0", "v1"]),
    tags("a page", "?n=2", ["B", "_x"], link(f"{LIST}?last=_x&n=2")),
    tags("the next page", "?n=2&last=_x", ["a", "a-b"], link(f"{LIST}?last=a-b&n=2")),
    tags("a page that ends the list exactly", "?n=2&last=a.b", ["a0", "v1"]),
    tags("as many as there are", "?n=7", TAGS),
    tags("more than there are", "?n=5000", TAGS),
    tags("none", "?n=0", []),
    tags("last without n", "?last=a.b", ["a0", "v1"]),
    tags("a last that is not there", "?last=a-a", ["a-b", "a.b", "a0", "v1"]),
    tags("a last behind all", "?last=zzz", []),
    tags("a last that is no tag", "?last=/../x", TAGS),
    tags("n left empty", "?n=", TAGS),
]


@pytest.mark.parametrize(("call", "expected"), TAG_PAGES, ids=[call.what for call, _ in TAG_PAGES])
async def test_tags(registry: httpx.AsyncClient, call: Call, expected: list[str]) -> None:
    for tag in reversed(TAGS):
        await push_image(registry, "team/app", tag)
    answer = await check(registry, call)
    assert answer.json() == {"name": "team/app", "tags": expected}


BAD = [
    Call("n is no number", "GET", f"{LIST}?n=x", 400, code="PAGINATION_NUMBER_INVALID"),
    Call("n is negative", "GET", f"{LIST}?n=-1", 400, code="PAGINATION_NUMBER_INVALID"),
    Call("n has thousands of digits", "GET", f"{LIST}?n={'9' * 5000}", 400, code="PAGINATION_NUMBER_INVALID"),
    Call("no such repository", "GET", "/v2/team/tags/list", 404, code="NAME_UNKNOWN"),
    Call("no such repository, n=0", "GET", "/v2/no/tags/list?n=0", 404, code="NAME_UNKNOWN"),
    Call("catalog: n is no number", "GET", "/v2/_catalog?n=x", 400, code="PAGINATION_NUMBER_INVALID"),
    Call("catalog: n is huge (CVE-2023-2253)", "GET", "/v2/_catalog?n=1001", 400, code="PAGINATION_NUMBER_INVALID"),
]


@pytest.mark.parametrize("call", BAD, ids=attrgetter("what"))
async def test_refused(registry: httpx.AsyncClient, call: Call) -> None:
    await push_blob(registry, "team/app", b"hello")
    await check(registry, call)


async def test_a_repository_without_tags_has_an_empty_list(registry: httpx.AsyncClient) -> None:
    await push_blob(registry, "team/app", b"hello")
    assert (await registry.get(LIST)).json() == {"name": "team/app", "tags": []}
    answer = await check(registry, Call("", "HEAD", LIST, 200, content=b""))
    assert int(answer.headers["content-length"]) > 0


async def test_a_session_alone_makes_no_repository(registry: httpx.AsyncClient) -> None:
    await registry.post("/v2/team/app/blobs/uploads/")
    await check(registry, Call("", "GET", LIST, 404, code="NAME_UNKNOWN"))
    assert (await registry.get("/v2/_catalog")).json() == {"repositories": []}


async def test_a_tag_whose_setting_was_interrupted_is_not_there(registry: httpx.AsyncClient, driver: Driver) -> None:
    await push_image(registry, "team/app", "v1")
    repository = Repository("team/app")
    foreign = layout.StorePath(f"{layout.tags(repository)}/not a tag/current/link")
    for path in (layout.tag_index(repository, Tag("v0")), layout.tag_index(repository, Tag("v2")), foreign):
        await driver.write(layout.StorePath(f"{path}/link"), b"x")
    assert (await registry.get(f"{LIST}?n=1")).json()["tags"] == ["v1"]


async def test_clients_that_follow_links_find_every_tag(registry: httpx.AsyncClient) -> None:
    for tag in TAGS:
        await push_image(registry, "team/app", tag)
    answer, found = await registry.get(f"{LIST}?n=3"), list[str]()
    while True:
        found += answer.json()["tags"]
        if "link" not in answer.headers:
            break
        answer = await registry.get(answer.links["next"]["url"])
    assert found == TAGS


# Bytewise, which is no folder walk's order: "/" stands behind "-" and ".", and before digits and letters.
REPOSITORIES = ["a", "a-b", "a-b/c", "a.b", "a/b", "a/b-c", "a/b/c", "a0", "a_b", "b/c"]


def catalog(
    what: str, query: str, expected: list[str], answers: dict[str, str | None] = NO_LINK
) -> tuple[Call, list[str]]:
    return Call(what, "GET", f"/v2/_catalog{query}", 200, answers=answers), expected


CATALOG_PAGES = [
    catalog("all", "", REPOSITORIES),
    catalog("none", "?n=0", []),
    catalog("a page", "?n=3", ["a", "a-b", "a-b/c"], link("/v2/_catalog?last=a-b%2Fc&n=3")),
    catalog("exactly all", "?n=10", REPOSITORIES),
    catalog("a last that is not there", "?last=b", ["b/c"]),
    *(catalog(f"after {name}", f"?last={name}", REPOSITORIES[place + 1 :]) for place, name in enumerate(REPOSITORIES)),
    *(
        catalog(f"just before {name}", f"?last={name[:-1]}{chr(ord(name[-1]) - 1)}~", REPOSITORIES[place:])
        for place, name in enumerate(REPOSITORIES)
        if "-" not in name
    ),
]


@pytest.mark.parametrize(("call", "expected"), CATALOG_PAGES, ids=[call.what for call, _ in CATALOG_PAGES])
async def test_catalog(registry: httpx.AsyncClient, call: Call, expected: list[str]) -> None:
    for repository in reversed(REPOSITORIES):
        await push_blob(registry, repository, b"hello")
    answer = await check(registry, call)
    assert answer.json() == {"repositories": expected}


async def test_an_empty_registry_has_an_empty_catalog(registry: httpx.AsyncClient) -> None:
    assert (await registry.get("/v2/_catalog")).json() == {"repositories": []}


async def test_a_hundred_by_default(registry: httpx.AsyncClient, driver: Driver) -> None:
    names = [f"r{number:03}" for number in range(101)]
    for name in names:
        await driver.write(layout.StorePath(f"{layout.repository(Repository(name))}/_manifests/x"), b"x")
    answer = await registry.get("/v2/_catalog")
    assert answer.json()["repositories"] == names[:100]
    assert (await registry.get(answer.links["next"]["url"])).json()["repositories"] == names[100:]


BASE = [
    Call("the version check", "GET", "/v2/", 200, answers={"Content-Type": "application/json"}, content=b"{}"),
    Call("its HEAD", "HEAD", "/v2/", 200, answers={"Content-Length": "2"}, content=b""),
]


@pytest.mark.parametrize("call", BASE, ids=attrgetter("what"))
async def test_base(registry: httpx.AsyncClient, call: Call) -> None:
    await check(registry, call)
