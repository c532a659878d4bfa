"""The catalog: the order of names, pages, and how many may be asked for."""

import pytest
from httpx import AsyncClient

from authproxy.reference import Repository
from authproxy.registry.options import Rules
from authproxy.storage import layout
from authproxy.storage.driver import Driver
from tests.support.registry import BASE_URL, Call, check, connect, name_of, push_blob, push_image, under

CATALOG = "/v2/_catalog"
LISTING = pytest.mark.section("Docker V2 API Listing Repositories")

# Bytewise, which is no folder walk's order: "/" stands behind "-" and ".", and before digits and letters.
REPOSITORIES = ["a", "a-b", "a-b/c", "a.b", "a/b", "a/b-c", "a/b/c", "a0", "a_b", "b/c"]


def page(what: str, query: str, expected: list[str], next_query: str | None = None) -> Call:
    link = f'<{BASE_URL}{CATALOG}?{next_query}>; rel="next"' if next_query else None
    answers = {"Link": link, "Content-Type": "application/json"}
    return Call(what, "GET", CATALOG + query, 200, answers=answers, json={"repositories": expected})


def refused(what: str, query: str) -> Call:
    return Call(what, "GET", CATALOG + query, 400, code="PAGINATION_NUMBER_INVALID", answers={"Link": None})


CALLS = under(
    "Docker V2 API Listing Repositories",
    page("all, in bytewise order", "", REPOSITORIES),
    page("none", "?n=0", []),
    page("a page", "?n=3", REPOSITORIES[:3], "last=a-b%2Fc&n=3"),
    page("the next page", "?last=a-b%2Fc&n=3", REPOSITORIES[3:6], "last=a%2Fb-c&n=3"),
    page("exactly all", "?n=10", REPOSITORIES),
    page("one fewer", "?n=9", REPOSITORIES[:9], "last=a_b&n=9"),
    page("as many as may be asked for", "?n=1000", REPOSITORIES),
    page("a last that is not there", "?last=b", ["b/c"]),
    page("a last that is no name", "?last=~", []),
    page("a last behind all", "?last=zzz", []),
    *(page(f"after {name}", f"?last={name}", REPOSITORIES[place + 1 :]) for place, name in enumerate(REPOSITORIES)),
    *(
        page(f"just before {name}", f"?last={name[:-1]}{chr(ord(name[-1]) - 1)}~", REPOSITORIES[place:])
        for place, name in enumerate(REPOSITORIES)
        if "-" not in name
    ),
    Call("HEAD", "HEAD", CATALOG, 200, answers={"Content-Type": "application/json"}, content=b""),
    refused("n is no number", "?n=x"),
    refused("n is negative", "?n=-1"),
    refused("n is larger than may be asked for: CVE-2023-2253", "?n=1001"),
    refused("n is huge: CVE-2023-2253", f"?n={'9' * 30}"),
)


@pytest.mark.leaves_the_same
@pytest.mark.parametrize("call", CALLS, ids=name_of)
async def test_call(registry: AsyncClient, call: Call) -> None:
    for repository in reversed(REPOSITORIES):
        await push_blob(registry, repository, b"hello")
    await check(registry, call)


@LISTING
async def test_an_empty_registry_has_an_empty_catalog(registry: AsyncClient) -> None:
    await check(registry, Call("", "GET", CATALOG, 200, content=b'{"repositories":[]}'))


@LISTING
async def test_the_catalog_is_right_the_moment_a_push_returns(registry: AsyncClient) -> None:
    for number, repository in enumerate(REPOSITORIES, 1):
        await push_image(registry, repository, "v1")
        await check(registry, page("", "", REPOSITORIES[:number]))


@LISTING
async def test_a_hundred_by_default(registry: AsyncClient, driver: Driver) -> None:
    names = [f"r{number:03}" for number in range(101)]
    for name in names:
        await driver.write(layout.StorePath(f"{layout.manifests(Repository(name))}/revisions/x"), b"x")
    await check(registry, page("", "", names[:100], "last=r099&n=100"))
    await check(registry, page("", "?last=r099&n=100", names[100:]))


@LISTING
@pytest.mark.parametrize(("query", "status"), [("", 200), ("?n=2", 200), ("?n=3", 400)])
async def test_the_operator_says_how_many_may_be_asked_for(driver: Driver, query: str, status: int) -> None:
    """CNCF Distribution's catalog.maxentries; without `n` a page is no longer than it either."""
    async with connect(driver, Rules(max_catalog_entries=2)) as registry:
        for repository in REPOSITORIES:
            await push_blob(registry, repository, b"hello")
        if status == 400:
            await check(registry, refused("", query))
        else:
            await check(registry, page("", query, REPOSITORIES[:2], "last=a-b&n=2"))
