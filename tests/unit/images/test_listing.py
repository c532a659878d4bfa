import json
from contextlib import suppress

import httpx
import pytest

from authproxy.images.listing import find_repositories, repositories, tag_pages, tags
from authproxy.registry_client import client
from authproxy.registry_client.client import RegistryClient
from authproxy.registry_client.errors import RegistryClientError
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
        with pytest.raises(RegistryClientError, match="HTTP 404 NAME_UNKNOWN"):
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
    with pytest.raises(RegistryClientError, match="links the pages in a loop"):
        [tag async for tag in tags(registry, "a")]


@pytest.mark.parametrize("status", [403, 404, 405])
async def test_registry_without_a_catalog_says_what_to_do(status: int) -> None:
    with pytest.raises(RegistryClientError, match=f"HTTP {status}; if a registry does not list.*{HOST}/REPOSITORY"):
        await anext(repositories(faked(lambda _: httpx.Response(status))))


@pytest.mark.parametrize("body", ["<html>", "[]", "{}", '{"tags": "v1"}', '{"tags": [1]}', "null"])
async def test_what_is_no_list_is_told(body: str) -> None:
    with pytest.raises(RegistryClientError, match=rf"{HOST}/a: its tags: the response is not a list of names"):
        await anext(tags(faked(lambda _: httpx.Response(200, text=body)), "a"))


async def test_no_tags_may_be_null() -> None:
    assert [tag async for tag in tags(faked(lambda _: httpx.Response(200, text=json.dumps({"tags": None}))), "a")] == []


BAD_NAMES = ["a\nb", "a\x1b[31m", "../../token", "UPPER", "a?n=1", "a b", "", "a" * 300, "ü", "\ud800"]


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
async def test_name_of_a_catalog_that_is_none_is_told_and_never_asked_for(name: str) -> None:
    asked: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(200, json={"tags": []})

    with pytest.raises(RegistryClientError, match=f"{HOST}: .* is not a repository name"):
        [tag async for tag in tags(faked(answer), name)]
    assert asked == []


async def test_tag_that_is_none_is_told_after_those_that_are() -> None:
    pages = tags(paged("v1", "v\n2", "v3", size=9), "a")
    assert [await anext(pages), await anext(pages)] == ["v1", "v3"]
    with pytest.raises(RegistryClientError, match=rf"{HOST}/a: its tags: 'v\\n2' is not a tag"):
        await anext(pages)


@pytest.mark.parametrize(
    "link",
    [
        "</v2/a/tags/list?p=2>",
        "<http://inner.test:8080/v2/a/tags/list?p=2>",
        "<//inner.test/v2/a/tags/list?p=2>",
        "<?p=2>",
    ],
    ids=["path", "address", "host", "query"],
)
async def test_next_page_is_asked_of_the_registry_whoever_a_link_names(link: str) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        headers = {} if request.url.query else {"link": f'{link}; rel="next"'}
        return httpx.Response(200, json={"tags": [f"v{len(asked)}"]}, headers=headers)

    assert [tag async for tag in tags(faked(answer), "a")] == ["v1", "v2"]
    assert asked == [f"https://{HOST}/v2/a/tags/list", f"https://{HOST}/v2/a/tags/list?p=2"]


async def test_next_page_of_a_redirected_list_is_not_asked_elsewhere() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.netloc.decode() == HOST and not request.url.query:
            return httpx.Response(307, headers={"location": "https://elsewhere.test/v2/a/tags/list"})
        headers = {"link": '<?p=2>; rel="next"'} if request.url.netloc.decode() != HOST else {}
        return httpx.Response(200, json={"tags": [request.url.host]}, headers=headers)

    assert [tag async for tag in tags(faked(answer), "a")] == ["elsewhere.test", HOST.partition(":")[0]]


async def test_pages_without_end_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_PAGES", 20)
    asked = 0

    def answer(_: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        return httpx.Response(200, json={"tags": []}, headers={"link": f'<?p={asked}>; rel="next"'})

    with pytest.raises(RegistryClientError, match="still links a next page after 20"):
        [tag async for tag in tags(faked(answer), "a")]
    assert asked == 20


@pytest.mark.parametrize("link", ["<http://[>", "<https://a.b:port/>", "<\x7f>", "<>", "<http://a.b>"])
async def test_any_link_is_followed_here_or_told(link: str) -> None:
    asked = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        assert request.url.netloc.decode() == HOST
        assert asked < 5
        return httpx.Response(200, json={"tags": []}, headers=[(b"link", f'{link}; rel="next"'.encode())])

    with suppress(RegistryClientError):
        [tag async for tag in tags(faked(answer), "a")]
