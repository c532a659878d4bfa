"""Catalogs of registries that list in their own order and in pages of their own size, as one."""

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import partial

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authproxy import asgi
from authproxy.pagination import parse_page
from authproxy.proxy.content import UpstreamContent
from authproxy.proxy.merged_catalog import CatalogPart, answer_catalog
from authproxy.proxy.renaming import Renaming
from tests.support.registry import BASE_URL, BareEdge, code_of

Order = Callable[[str], str]


def by_bytes(name: str) -> str:
    return name


def by_folders(name: str) -> str:
    """As CNCF Distribution has it: what stands below a folder comes before what only begins with its name."""
    return name.replace("/", "\0")


class Listing:
    """A registry that has a catalog and nothing else. It refuses pages of more than `most`."""

    def __init__(self, names: Sequence[str], order: Order = by_bytes, *, most: int = 1000, default: int = 2) -> None:
        self.names = sorted(set(names), key=order)
        self.order = order
        self.most = most
        self.default = default
        self.asked = 0

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        del receive
        self.asked += 1
        assert asgi.find_header(scope["headers"], b"accept-encoding") is None  # or the list could not be read
        route = scope[asgi.ROUTE]
        limit, last = int(route.parameter("n") or self.default), route.parameter("last") or ""
        if limit > self.most:
            await asgi.respond(send, 400, [], b'{"errors":[{"code":"PAGINATION_NUMBER_INVALID"}]}')
            return
        behind = [name for name in self.names if not last or self.order(name) > self.order(last)]
        link = [("Link", '</v2/_catalog>; rel="next"')] if len(behind) > limit else []
        await asgi.respond(send, 200, link, json.dumps({"repositories": behind[:limit]}).encode())


async def listed(parts: Sequence[CatalogPart], n: int = 3) -> list[str]:
    """The whole merged catalog, page by page along its links."""

    async def merged(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        await answer_catalog(parts, scope, receive, send, lambda _: True, parse_page(scope[asgi.ROUTE]))

    found: list[str] = []
    path: str | None = f"/v2/_catalog?n={n}"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(BareEdge(merged)), base_url=BASE_URL) as client:
        while path is not None:
            answer = await client.get(path)
            assert answer.status_code == 200, answer.text
            page = answer.json()["repositories"]
            assert len(page) == n or "next" not in answer.links
            found += page
            path = answer.links["next"]["url"] if "next" in answer.links else None
    return found


def everything(registry: asgi.App, renaming: Renaming | None = None, base: str = "") -> CatalogPart:
    return CatalogPart(
        partial(UpstreamContent, registry),
        base,
        renaming or Renaming(),
        lambda name: not base or f"{name}/".startswith(f"{base}/"),
    )


NAMES = st.lists(st.from_regex(r"[ab]{1,2}([-.][ab])?(/[ab]{1,2}(-[ab])?){0,2}", fullmatch=True), max_size=12)


@example(["a/z", "a-b", "a.b/c", "a"], [], 1)
@given(NAMES, NAMES, st.integers(1, 4))
async def test_names_come_in_the_order_of_their_bytes_whatever_the_registries_order(
    first: list[str], second: list[str], most: int
) -> None:
    second = [name for name in second if name not in first]
    parts = [
        everything(Listing(first, by_folders, most=most, default=most)),
        everything(Listing(second, most=most, default=most)),
    ]
    assert await listed(parts) == sorted({*first, *second})


@example(["mirror/a", "mirror/a-b", "mirror", "mirror-a/b", "mirrora", "z"])
@given(st.lists(st.from_regex(r"(mirror|m|z)([-.]a|a)?(/[ab](-b)?){0,2}", fullmatch=True), max_size=12))
@pytest.mark.parametrize(
    ("renaming", "base"),
    [
        (Renaming("library/", "mirror/"), "library"),
        (Renaming(add="mirror/"), ""),
        (Renaming(add="mirror/"), "a"),
        (Renaming("library/"), "library"),
        (Renaming(), "mirror"),
        (Renaming(), "m"),
    ],
    ids=str,
)
@pytest.mark.parametrize("order", [by_bytes, by_folders])
async def test_renamed_names_are_those_that_lead_there(
    order: Order, renaming: Renaming, base: str, names: list[str]
) -> None:
    share = everything(Listing(names, order, most=2), renaming, base)
    outer = (renaming.outward(name) for name in names)
    assert await listed([share], n=2) == sorted({name for name in outer if name is not None and share.owns(name)})


async def test_a_registry_is_asked_no_further_than_its_share() -> None:
    registry = Listing([f"{letter}/{number}" for letter in "abcxyz" for number in range(10)], most=5, default=5)
    assert await listed([everything(registry, base="b")], n=20) == [f"b/{number}" for number in range(10)]
    assert registry.asked < 11  # the whole would take 12 pages, and two questions went into finding their size


async def test_a_page_behind_a_share_asks_nothing_of_it() -> None:
    registry = Listing(["a/b"])
    share = everything(registry, base="a")
    assert [name async for name in share.names({"headers": []}, "b")] == []
    assert registry.asked == 0


async def refusing(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    del scope, receive
    await asgi.respond(send, 404, [])


async def failing(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    del scope, receive
    await asgi.respond(send, 500, [])


@pytest.mark.parametrize("other", [refusing, failing])
async def test_a_registry_without_an_answer_shortens_no_list(other: asgi.App) -> None:
    async def merged(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        parts = [everything(Listing(["a"])), everything(other)]
        await answer_catalog(parts, scope, receive, send, lambda _: True, parse_page(scope[asgi.ROUTE]))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(BareEdge(merged)), base_url=BASE_URL) as client:
        answer = await client.get("/v2/_catalog")
    assert (answer.status_code, code_of(answer)) == (502, "UNAVAILABLE")


async def test_a_client_that_goes_away_ends_the_questions_to_all_registries() -> None:
    asked, departure, ended = asyncio.Barrier(3), asgi.Departure(), list[str]()

    async def hang(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        del scope, receive, send
        try:
            await asked.wait()
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    async def merged(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        scope[asgi.DEPARTURE] = departure
        parts = [everything(hang), everything(hang)]
        with pytest.raises(asgi.ClientDisconnected):
            await answer_catalog(parts, scope, receive, send, lambda _: True, parse_page(scope[asgi.ROUTE]))
        await asgi.respond(send, 200, [], b"left")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(BareEdge(merged)), base_url=BASE_URL) as client:
        answer = asyncio.create_task(client.get("/v2/_catalog"))
        async with asyncio.timeout(20):
            await asked.wait()
            departure.set()
            assert (await answer).content == b"left"
    assert ended == ["ended", "ended"]


async def test_all_registries_are_asked_at_once() -> None:
    together = asyncio.Barrier(2)

    class Waiting(Listing):
        async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
            async with asyncio.timeout(20):
                await together.wait()
            await super().__call__(scope, receive, send)

    assert await listed([everything(Waiting(["a"])), everything(Waiting(["b"]))]) == ["a", "b"]
