import json

import httpx
import pytest

from authproxy.images.listing import find_repositories, repositories, tag_pages, tags
from authproxy.remote.client import RegistryClient
from authproxy.remote.faults import RemoteError
from tests.support.registry import HOST, push_image
from tests.unit.images.registry import core, faked


def paged(*names: str, size: int, key: str = "tags") -> RegistryClient:
    """A registry that gives so many names at a time, whatever is asked for."""

    def answer(request: httpx.Request) -> httpx.Response:
        start = int(request.url.params.get("from", "0"))
        link = f'<{request.url.path}?from={start + size}>; rel="next"' if start + size < len(names) else ""
        page = {key: list(names[start : start + size])}
        return httpx.Response(200, json=page, headers={"link": link} if link else {})

    return faked(answer)


async def test_every_page_is_read() -> None:
    names = [f"v{number}" for number in range(7)]
    for size in (1, 3, 7):
        assert [tag async for tag in tags(paged(*names, size=size), "a")] == names
        assert [name async for name in repositories(paged(*names, size=size, key="repositories"))] == names


async def test_our_core_is_listed() -> None:
    async with core() as (registry, http):
        for repository in ("b", "a/c"):
            await push_image(http, repository, "v1")
        await push_image(http, "b", "v2")
        assert [name async for name in repositories(registry)] == ["a/c", "b"]
        assert [tag async for tag in tags(registry, "b")] == ["v1", "v2"]
        assert [tag async for tag in tags(registry, "gone")] == []
        with pytest.raises(RemoteError, match="HTTP 404 NAME_UNKNOWN"):
            await anext(tag_pages(registry, "gone", may_be_missing=False))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("team/app:*", ["team/app"]), ("team/app", ["a"]), ("team/*:v1", ["a"]), ("*", ["a"]), (None, ["a"])],
)
async def test_catalog_is_asked_only_where_a_pattern_leaves_the_repository_open(
    pattern: str | None, found: list[str]
) -> None:
    assert [name async for name in find_repositories(paged("a", size=9, key="repositories"), pattern)] == found


async def test_page_that_is_too_large_for_a_registry_is_asked_for_without_a_size() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400) if "n" in request.url.params else httpx.Response(200, json={"repositories": ["a"]})

    assert [name async for name in repositories(faked(answer))] == ["a"]


async def test_registry_that_sends_in_a_circle_is_left() -> None:
    asked = 0

    def answer(_: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        assert asked < 10
        link = {"link": '</v2/a/tags/list?last=x>; rel="next"'}
        return httpx.Response(200, json={"tags": ["x"]}, headers=link)

    registry = faked(answer)
    with pytest.raises(RemoteError, match="sends us in a circle"):
        [tag async for tag in tags(registry, "a")]


@pytest.mark.parametrize("status", [403, 404, 405])
async def test_registry_without_a_catalog_says_what_to_do(status: int) -> None:
    with pytest.raises(RemoteError, match=f"HTTP {status}; where a registry does not list.*{HOST}/REPOSITORY"):
        await anext(repositories(faked(lambda _: httpx.Response(status))))


@pytest.mark.parametrize("body", ["<html>", "[]", "{}", '{"tags": "v1"}', '{"tags": [1]}', "null"])
async def test_what_is_no_list_is_told(body: str) -> None:
    with pytest.raises(RemoteError, match=rf"{HOST}/a: its tags: the answer is no list of names"):
        await anext(tags(faked(lambda _: httpx.Response(200, text=body)), "a"))


async def test_no_tags_may_be_null() -> None:
    assert [tag async for tag in tags(faked(lambda _: httpx.Response(200, text=json.dumps({"tags": None}))), "a")] == []
