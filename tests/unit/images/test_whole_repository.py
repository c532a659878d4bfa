import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.digest import Digest, parse_digest
from authproxy.images import whole_repository
from authproxy.images.endpoints import Missing
from authproxy.images.repository import NeededBy, RegistryRepository
from authproxy.images.whole_repository import (
    Contents,
    Part,
    all_tags,
    delete_parts,
    find_contents,
    find_left,
    in_order_of_deletion,
)
from authproxy.oci import media_types
from authproxy.registry.options import Rules
from authproxy.registry_client.client import RegistryClient
from authproxy.registry_client.errors import RegistryClientError
from tests.support.registry import descriptor, image, index, push_blob, push_image, push_manifest, sha256, sha512
from tests.unit.images.registry import core, faked, to_push

DIGESTS = [Digest.of(bytes([number])) for number in range(6)]
CONFIG = b"{}"
IMAGE = image(CONFIG)
OTHER = image(CONFIG, annotations={"other": "yes"})
LIST = index([IMAGE])
SIGNATURE = image(CONFIG, subject=descriptor(LIST, media_types.OCI_INDEX))
SIGNED_SIGNATURE = image(CONFIG, subject=descriptor(SIGNATURE, media_types.OCI_IMAGE))


async def push_all(http: httpx.AsyncClient) -> None:
    """An index with its image, a signature of it, one of that, a cosign tag, and an image without a tag."""
    await push_blob(http, "a", CONFIG)
    for content in (IMAGE, OTHER, SIGNED_SIGNATURE, SIGNATURE):
        await push_manifest(http, "a", sha256(content), content)
    await push_manifest(http, "a", "list", LIST, media_types.OCI_INDEX)
    await push_manifest(http, "a", f"{sha256(LIST).replace(':', '-')}.sig", image(CONFIG, annotations={"sig": "1"}))


def without_extension(registry: RegistryClient) -> RegistryClient:
    """The same registry, as one that lists no manifests."""
    pages = registry.pages

    def pages_of_others(url: httpx.URL, *more: Any) -> Any:
        return pages(url.copy_with(path=url.path.replace("_authproxy", "_other")), *more)

    registry.pages = pages_of_others  # type: ignore[assignment,method-assign]
    return registry


async def deleted(repository: RegistryRepository, contents: Contents) -> list[tuple[Part, Exception | None]]:
    return [found async for found in delete_parts(repository, contents.parts)]


def place_of(contents: Contents, content: bytes) -> int:
    return [str(part.digest) for part in contents.parts].index(sha256(content))


@pytest.mark.parametrize("is_ours", [True, False], ids=["ours", "others"])
async def test_everything_is_found_and_deleted_in_an_order_that_the_registry_takes(*, is_ours: bool) -> None:
    async with core() as (registry, http):
        await push_all(http)
        asked = registry if is_ours else without_extension(registry)
        there = to_push(asked, "a")
        contents = await find_contents(asked, "a", there)
        assert (len(contents.parts), contents.tags, contents.is_complete) == (6 if is_ours else 5, 2, is_ours)
        assert place_of(contents, SIGNED_SIGNATURE) < place_of(contents, SIGNATURE) < place_of(contents, LIST)
        assert place_of(contents, LIST) < place_of(contents, IMAGE)
        assert [error for _, error in await deleted(there, contents)] == [None] * len(contents.parts)
        assert await find_left(registry, "a", there) == []
        catalog = (await http.get("/v2/_catalog")).json()
        assert catalog == {"repositories": [] if is_ours else ["a"]}


async def test_manifest_with_two_digests_goes_though_an_index_names_it() -> None:
    async with core() as (registry, http):
        await push_all(http)
        await push_manifest(http, "a", sha512(IMAGE), IMAGE)
        there = to_push(registry, "a")
        contents = await find_contents(registry, "a", there)
        assert [error for _, error in await deleted(there, contents)] == [None] * 7
        assert (await http.get("/v2/_catalog")).json() == {"repositories": []}


async def test_push_during_the_deletion_stays_and_is_found() -> None:
    async with core() as (registry, http):
        await push_all(http)
        there = to_push(registry, "a")
        contents = await find_contents(registry, "a", there)
        new = index([IMAGE], annotations={"new": "yes"})
        results = {}
        async for part, error in delete_parts(there, contents.parts):
            results[str(part.digest)] = error
            if str(part.digest) == sha256(LIST):
                await push_manifest(http, "a", "new", new, media_types.OCI_INDEX)
        needed = results.pop(sha256(IMAGE))
        assert isinstance(needed, NeededBy)
        assert (str(needed.namer), set(results.values())) == (sha256(new), {None})
        assert [name for name, _ in await find_left(registry, "a", there)] == [":new", f"@{sha256(IMAGE)}"]


async def test_tags_that_lead_nowhere_are_dangling() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v2/a/tags/list":
            return httpx.Response(200, json={"name": "a", "tags": ["lost"]})
        return httpx.Response(404)

    registry = faked(answer)
    contents = await find_contents(registry, "a", to_push(registry, "a"))
    assert (contents.parts, contents.dangling, contents.tags) == ((), ("lost",), 1)


@pytest.mark.parametrize("content", [b"not JSON", b'{"mediaType":"x/y"}', b'{"schemaVersion":1}'])
async def test_manifest_that_cannot_be_read_is_deleted_all_the_same(content: bytes) -> None:
    digest = sha256(content)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v2/a/tags/list":
            return httpx.Response(200, json={"name": "a", "tags": ["odd"]})
        if request.url.path.startswith("/v2/a/manifests/"):
            headers = {"docker-content-digest": digest, "content-type": media_types.OCI_IMAGE}
            return httpx.Response(200, content=content if request.method == "GET" else b"", headers=headers)
        return httpx.Response(404)

    registry = faked(answer)
    contents = await find_contents(registry, "a", to_push(registry, "a"))
    assert contents.parts == (Part(parse_digest(digest), ("odd",)),)


def listing(pages: Callable[[int], object], *, pages_in_all: int = 1_000_000) -> RegistryClient:
    """A registry whose list of tags has these pages, each with a link to the next."""

    def answer(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("last", "0"))
        headers = {"Link": f'</v2/a/tags/list?last={number + 1}>; rel="next"'} if number + 1 < pages_in_all else {}
        return httpx.Response(200, json=pages(number), headers=headers)

    return faked(answer)


HOSTILE: list[tuple[str, Callable[[int], object], str]] = [
    ("the same page for ever", lambda _: {"tags": ["a", "b"]}, "lists the same ones again and again"),
    ("new pages for ever", lambda number: {"tags": [f"t{number}"]}, "more than 5 tags; delete some by --match first"),
    ("a page that is too long", lambda _: {"tags": list(map(str, range(9)))}, "more than 5 tags"),
    ("control characters", lambda _: {"tags": ["\x1b[2J"]}, r"'\\x1b\[2J' is not a tag"),
    ("a path", lambda _: {"tags": ["../../b/manifests/v1"]}, "is not a tag"),
    ("no names", lambda _: {"tags": [1]}, "not a list of names"),
]


@pytest.mark.parametrize(("pages", "why"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
async def test_hostile_list_of_tags_ends(
    pages: Callable[[int], object], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_repository, "MAX_TAGS", 5)
    with pytest.raises(RegistryClientError, match=why):
        await all_tags(listing(pages), "a")


async def test_page_that_repeats_the_last_tag_is_no_fault() -> None:
    registry = listing(lambda number: {"tags": ["a", "b"][: 2 - number]}, pages_in_all=2)
    assert list(await all_tags(registry, "a")) == ["a", "b"]


async def test_link_in_a_loop_ends() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"tags": []}, headers={"Link": '</v2/a/tags/list>; rel="next"'})

    with pytest.raises(RegistryClientError, match="in a loop"):
        await all_tags(faked(answer), "a")


async def test_missing_repository_is_named() -> None:
    with pytest.raises(Missing, match="5000/a: the registry has no such repository"):
        await all_tags(faked(lambda _: httpx.Response(404)), "a")


NO_LISTS: list[tuple[str, httpx.Response]] = [
    ("unknown", httpx.Response(404)),
    ("not allowed", httpx.Response(405)),
    ("not implemented", httpx.Response(501)),
    ("refused", httpx.Response(403)),
    ("a web page", httpx.Response(200, text="<html>")),
    ("another program's list", httpx.Response(200, json={"manifests": []})),
    ("a part of it", httpx.Response(200, json={"complete": False, "manifests": []})),
    ("no digest", httpx.Response(200, json={"complete": True, "manifests": [{"digest": "x", "tags": []}]})),
    (
        "a hostile tag",
        httpx.Response(200, json={"complete": True, "manifests": [{"digest": str(DIGESTS[0]), "tags": ["\x1b"]}]}),
    ),
    ("a list of nulls", httpx.Response(200, json={"complete": True, "manifests": [None]})),
    ("null", httpx.Response(200, json=None)),
]


@pytest.mark.parametrize("response", [row[1] for row in NO_LISTS], ids=[row[0] for row in NO_LISTS])
async def test_registry_without_our_list_has_none(response: httpx.Response) -> None:
    registry = faked(lambda _: httpx.Response(response.status_code, content=response.content))
    assert await to_push(registry, "a").all_manifests(9) is None


@pytest.mark.parametrize(
    ("entries", "why"),
    [(DIGESTS[:1], "the same ones again and again"), (DIGESTS, "more than 5 manifests")],
    ids=["a loop", "too many"],
)
async def test_hostile_list_of_manifests_ends(entries: list[Digest], why: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("n", "0"))
        body = {"complete": True, "manifests": [{"digest": str(each), "tags": []} for each in entries]}
        return httpx.Response(200, json=body, headers={"Link": f'<?n={number + 1}>; rel="next"'})

    with pytest.raises(RegistryClientError, match=why):
        await to_push(faked(answer), "a").all_manifests(5)


async def test_index_of_endless_indexes_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_repository, "MAX_MANIFESTS", 5)
    contents = {sha256(IMAGE): IMAGE}
    last = IMAGE
    for _ in range(9):
        entry = descriptor(last, media_types.OCI_INDEX)
        last = json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [entry]}).encode()
        contents[sha256(last)] = last

    def answer(request: httpx.Request) -> httpx.Response:
        reference = request.url.path.rpartition("/")[2]
        if reference == "list":
            return httpx.Response(200, json={"tags": ["v1"]})
        content = contents.get(sha256(last) if reference == "v1" else reference)
        if content is None or "/manifests/" not in request.url.path:
            return httpx.Response(404)
        media_type = json.loads(content)["mediaType"]
        headers = {"docker-content-digest": sha256(content), "content-type": media_type}
        return httpx.Response(200, content=content if request.method == "GET" else b"", headers=headers)

    registry = faked(answer)
    with pytest.raises(RegistryClientError, match="more than 5 manifests"):
        await find_contents(registry, "a", to_push(registry, "a"))


async def test_sizes_that_a_manifest_invents_are_bounded() -> None:
    content = IMAGE.replace(b'"size": 2', b'"size": 2' + b"0" * 400)
    digest = sha256(content)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v2/a/tags/list":
            return httpx.Response(200, json={"tags": ["huge"]})
        if "/manifests/" not in request.url.path or request.url.path.endswith("content/manifests"):
            return httpx.Response(404)
        headers = {"docker-content-digest": digest, "content-type": media_types.OCI_IMAGE}
        return httpx.Response(200, content=content if request.method == "GET" else b"", headers=headers)

    fake = faked(answer)
    contents = await find_contents(fake, "a", to_push(fake, "a"))
    assert contents.size == contents.parts[0].size == whole_repository.MAX_SIZE


def refusing(status: int, code: str) -> RegistryClient:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            return httpx.Response(status, json={"errors": [{"code": code, "message": "no"}]})
        return httpx.Response(404)

    return faked(answer)


@pytest.mark.parametrize(
    ("status", "tried", "why"),
    [(405, 1, "does not allow deletion"), (401, 1, "HTTP 401"), (403, 3, "HTTP 403 DENIED: no")],
)
async def test_registry_that_refuses_everything_is_not_asked_for_each(
    status: int, tried: int, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_repository, "MAX_FAULTS", 3)
    parts = [Part(digest) for digest in DIGESTS]
    found: list[str] = []

    async def work() -> None:
        async for _, error in delete_parts(to_push(refusing(status, "DENIED"), "a"), parts):
            found.append(str(error))

    with pytest.raises(RegistryClientError, match=f"stopped; {len(parts) - tried} more were not tried"):
        await work()
    assert len(found) == tried
    assert why in found[0]


async def test_deletion_that_is_switched_off_says_so() -> None:
    async with core(Rules()) as (registry, http):
        await push_image(http, "a", "v1")
        there = to_push(registry, "a")
        [(_, error)] = await deleted(there, await find_contents(registry, "a", there))
        assert "the registry does not allow deletion" in str(error)


PARTS = st.dictionaries(st.sampled_from(DIGESTS), st.frozensets(st.sampled_from(DIGESTS), max_size=4))


@given(PARTS)
def test_each_comes_once_and_before_what_it_names(names: dict[Digest, frozenset[Digest]]) -> None:
    ordered = in_order_of_deletion([Part(digest, names=named) for digest, named in names.items()])
    assert sorted(part.digest for part in ordered) == sorted(names)
    if all(str(name) < str(digest) for digest, named in names.items() for name in named):  # as digests are: no cycle
        places = {part.digest: place for place, part in enumerate(ordered)}
        assert all(places[digest] < places[name] for digest, named in names.items() for name in named if name in places)
