"""Referrers as OCI Distribution 1.1 lists them, those of clients that keep the list themselves among them."""

import json
from operator import attrgetter
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from authproxy.digest import parse_digest
from authproxy.oci import media_types
from authproxy.reference import Repository
from authproxy.registry import digest_page, referrers
from authproxy.storage import layout
from authproxy.storage.driver import Driver
from tests.support.registry import Call, check, descriptor, image, index, push_blob, push_manifest, sha256, sha512

APP = Repository("team/app")
MANIFESTS = "/v2/team/app/manifests/"
LISTING = pytest.mark.section("OCI 1.1 Listing Referrers")
PUSHING = pytest.mark.section("OCI 1.1 Pushing Manifests with Subject")
TAG_SCHEMA = pytest.mark.section("OCI 1.1 Referrers Tag Schema")

CONFIG, SUBJECT = b"{}", image(b"{}")
ABSENT = sha256(b"a manifest that nobody has pushed")
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"


def refers_to(subject: bytes = SUBJECT, digest: str | None = None) -> dict[str, Any]:
    """The `subject` that names a manifest."""
    return descriptor(subject, media_types.OCI_IMAGE) | ({"digest": digest} if digest else {})


SIGNATURE = image(CONFIG, subject=refers_to(), artifactType="application/signature", annotations={"who": "alice"})
PLAIN = image(CONFIG, subject=refers_to())
SBOMS = index(subject=refers_to(), artifactType="application/sbom")
INDEX = index(subject=refers_to(), annotations={})


def entry(content: bytes, artifact_type: str | None, media_type: str = media_types.OCI_IMAGE, **more: Any) -> Any:
    """What the list says of a referrer."""
    found = descriptor(content, media_type, **more)
    return found | ({"artifactType": artifact_type} if artifact_type else {})


ENTRIES = sorted(
    [
        entry(SIGNATURE, "application/signature", annotations={"who": "alice"}),
        entry(PLAIN, OCI_CONFIG),
        entry(SBOMS, "application/sbom", media_types.OCI_INDEX),
        entry(INDEX, None, media_types.OCI_INDEX),
    ],
    key=lambda found: str(found["digest"]),
)


def path_of(subject: str = "", query: str = "") -> str:
    return f"/v2/team/app/referrers/{subject or sha256(SUBJECT)}{query}"


async def push(client: httpx.AsyncClient, content: bytes, reference: str | None = None) -> httpx.Response:
    """Push a manifest with the media type that it says."""
    headers = {"Content-Type": json.loads(content)["mediaType"]}
    answer = await client.put(MANIFESTS + (reference or sha256(content)), content=content, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer


async def listed(client: httpx.AsyncClient, subject: str = "", query: str = "") -> list[Any]:
    """The descriptors of a list."""
    answer = await client.get(path_of(subject, query))
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert (document["schemaVersion"], document["mediaType"]) == (2, media_types.OCI_INDEX)
    entries = document["manifests"]
    assert isinstance(entries, list)
    return entries


@pytest.fixture
async def pushed(registry: httpx.AsyncClient) -> httpx.AsyncClient:
    """A registry with an image and four referrers."""
    await push_blob(registry, APP, CONFIG)
    for content in (SUBJECT, SIGNATURE, PLAIN, SBOMS, INDEX):
        await push(registry, content)
    return registry


def index_of(entries: list[Any]) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": entries}


def of_type(artifact_type: str) -> dict[str, Any]:
    return index_of([found for found in ENTRIES if found.get("artifactType") == artifact_type])


IS_INDEX = {"Content-Type": media_types.OCI_INDEX, "OCI-Filters-Applied": None, "Link": None}
FILTERED = IS_INDEX | {"OCI-Filters-Applied": "artifactType"}
LISTS = [
    Call("all", "GET", path_of(), 200, answers=IS_INDEX, json=index_of(ENTRIES)),
    Call("HEAD has no body", "HEAD", path_of(), 200, answers=IS_INDEX, content=b""),
    Call("of none", "GET", path_of(ABSENT), 200, answers=IS_INDEX, json=index_of([])),
    Call("of a sha512", "GET", path_of(sha512(b"")), 200, answers=IS_INDEX, json=index_of([])),
    Call("in no repository", "GET", f"/v2/nobody/referrers/{ABSENT}", 200, answers=IS_INDEX, json=index_of([])),
    Call("not in another one", "GET", f"/v2/nobody/referrers/{sha256(SUBJECT)}", 200, json=index_of([])),
    Call(
        "of one artifact type",
        "GET",
        path_of(query="?artifactType=application/signature"),
        200,
        answers=FILTERED,
        json=of_type("application/signature"),
    ),
    Call(
        "of an index by its type",
        "GET",
        path_of(query="?artifactType=application%2Fsbom"),
        200,
        answers=FILTERED,
        json=of_type("application/sbom"),
    ),
    Call(
        "by the config of an image without a type",
        "GET",
        path_of(query=f"?artifactType={OCI_CONFIG.replace('+', '%2B')}"),
        200,
        answers=FILTERED,
        json=of_type(OCI_CONFIG),
    ),
    Call("of a type that none has", "GET", path_of(query="?artifactType=x"), 200, answers=FILTERED, json=index_of([])),
    Call("no filter at all", "GET", path_of(query="?artifactType="), 200, answers=IS_INDEX, json=index_of(ENTRIES)),
    Call("none wanted", "GET", path_of(query="?n=0"), 200, answers=IS_INDEX, json=index_of([])),
    Call("a malformed digest", "GET", path_of("sha256:1"), 400, code="DIGEST_INVALID"),
    Call("an algorithm nobody knows", "GET", path_of(f"md5:{'0' * 32}"), 400, code="DIGEST_INVALID"),
    Call("a tag", "GET", path_of("latest"), 400, code="DIGEST_INVALID"),
    Call("a bad n", "GET", path_of(query="?n=-1"), 400, code="PAGINATION_NUMBER_INVALID"),
    Call("a place in the list that is none", "GET", path_of(query="?last=x"), 400, code="DIGEST_INVALID"),
    Call("no other method", "PUT", path_of(), 405, code="UNSUPPORTED", answers={"Allow": "GET, HEAD"}),
]


@LISTING
@pytest.mark.parametrize("call", LISTS, ids=attrgetter("what"))
async def test_list(pushed: httpx.AsyncClient, call: Call) -> None:
    await check(pushed, call)


@LISTING
@pytest.mark.parametrize(("n", "sizes"), [(1, [1, 1, 1, 1]), (2, [2, 2]), (3, [3, 1]), (4, [4]), (100_000, [4])])
async def test_pages_follow_one_another(pushed: httpx.AsyncClient, n: int, sizes: list[int]) -> None:
    pages: list[list[Any]] = []
    address = path_of(query=f"?n={n}")
    while address:
        answer = await pushed.get(address)
        pages.append(answer.json()["manifests"])
        link = answer.headers.get("link", "")
        assert not link or link.endswith('>; rel="next"')
        address = link.removesuffix('>; rel="next"').removeprefix("<")
    assert [len(page) for page in pages] == sizes
    assert [found for page in pages for found in page] == ENTRIES


@LISTING
async def test_the_next_page_is_filtered_alike(pushed: httpx.AsyncClient) -> None:
    other = image(CONFIG, subject=refers_to(), artifactType="application/signature", annotations={"who": "bob"})
    await push(pushed, other)
    answer = await pushed.get(path_of(query="?artifactType=application/signature&n=1"))
    address = answer.headers["link"].removesuffix('>; rel="next"').removeprefix("<")
    query = parse_qs(urlsplit(address).query)
    assert (query["artifactType"], query["n"]) == (["application/signature"], ["1"])
    after = await pushed.get(address)
    assert after.headers["oci-filters-applied"] == "artifactType"
    both = [*answer.json()["manifests"], *after.json()["manifests"]]
    assert [found["digest"] for found in both] == sorted((sha256(SIGNATURE), sha256(other)))
    assert "link" not in after.headers


@LISTING
async def test_a_page_is_no_longer_than_a_manifest_may_be(
    pushed: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, driver: Driver
) -> None:
    of_two = len((await pushed.get(path_of(query="?n=2"))).content)
    for most, shown in ((of_two, 2), (of_two - 1, 1)):
        monkeypatch.setattr(referrers, "MAX_BYTES", most)
        answer = await pushed.get(path_of())
        assert (answer.json()["manifests"], "link" in answer.headers) == (ENTRIES[:shown], True)
        assert len(answer.content) <= most


@LISTING
@pytest.mark.parametrize(("bound", "value"), [("MAX_LOOKED_AT", 1), ("MAX_READ_BYTES", 1)])
async def test_a_page_that_looked_at_much_ends_even_with_nothing_to_show(
    pushed: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, driver: Driver, bound: str, value: int
) -> None:
    monkeypatch.setattr(digest_page, bound, value)
    pages: list[int] = []
    address = path_of(query="?artifactType=application/sbom")
    while address:
        answer = await pushed.get(address)
        pages.append(len(answer.json()["manifests"]))
        address = answer.headers.get("link", "").removesuffix('>; rel="next"').removeprefix("<")
    assert pages == [int(found.get("artifactType") == "application/sbom") for found in ENTRIES]


@PUSHING
@pytest.mark.parametrize("content", [SIGNATURE, INDEX], ids=["image", "index"])
@pytest.mark.parametrize("reference", ["by digest", "by tag"])
async def test_a_push_names_the_subject(registry: httpx.AsyncClient, content: bytes, reference: str) -> None:
    """The subject need not be there, and may come later."""
    await push_blob(registry, APP, CONFIG)
    answer = await push(registry, content, "signed" if reference == "by tag" else None)
    assert answer.headers["oci-subject"] == sha256(SUBJECT)
    assert [found["digest"] for found in await listed(registry)] == [sha256(content)]
    answer = await push(registry, SUBJECT)
    assert "oci-subject" not in answer.headers
    assert [found["digest"] for found in await listed(registry)] == [sha256(content)]


@PUSHING
async def test_a_refused_push_is_no_referrer(registry: httpx.AsyncClient) -> None:
    headers = {"Content-Type": media_types.OCI_IMAGE}
    answer = await registry.put(MANIFESTS + sha256(PLAIN), content=PLAIN, headers=headers)
    assert (answer.status_code, "oci-subject" in answer.headers) == (404, False)
    assert await listed(registry) == []


@PUSHING
async def test_sha512_names_subjects_and_referrers(pushed: httpx.AsyncClient) -> None:
    long = sha512(SUBJECT)
    about_long = image(CONFIG, subject=refers_to(digest=long))
    answer = await push(pushed, about_long, sha512(about_long))
    assert answer.headers["oci-subject"] == long
    assert [found["digest"] for found in await listed(pushed, long)] == [sha512(about_long)]
    assert await listed(pushed) == ENTRIES  # another digest, another subject
    by_long = image(CONFIG, subject=refers_to(), annotations={"name": "long"})
    await push(pushed, by_long, sha512(by_long))
    digests = [found["digest"] for found in await listed(pushed)]
    assert digests == [*(found["digest"] for found in ENTRIES), sha512(by_long)]  # sha512 sorts behind sha256
    assert [found["digest"] for found in await listed(pushed, query=f"?last={ENTRIES[-1]['digest']}")] == digests[4:]
    assert await listed(pushed, query=f"?last={sha512(by_long)}") == []


@PUSHING
@pytest.mark.parametrize("by", [sha256, sha512], ids=["sha256", "sha512"])
async def test_a_deleted_referrer_is_in_no_list(pushed: httpx.AsyncClient, by: Any) -> None:
    await push(pushed, SIGNATURE, sha512(SIGNATURE))
    await check(pushed, Call("", "DELETE", MANIFESTS + by(SIGNATURE), 202))
    digests = [found["digest"] for found in await listed(pushed)]
    assert digests == [found["digest"] for found in ENTRIES if found["digest"] != sha256(SIGNATURE)]
    await push(pushed, SIGNATURE)
    assert await listed(pushed) == ENTRIES


@PUSHING
async def test_referrers_of_a_deleted_subject_stay(pushed: httpx.AsyncClient) -> None:
    await check(pushed, Call("", "DELETE", MANIFESTS + sha256(SUBJECT), 202))
    assert await listed(pushed) == ENTRIES


@TAG_SCHEMA
@pytest.mark.parametrize("by", [sha256, sha512], ids=["sha256", "sha512"])
async def test_what_clients_listed_under_the_fallback_tag_is_folded_in(
    registry: httpx.AsyncClient, driver: Driver, by: Any
) -> None:
    """As CNCF Distribution leaves it, which knows no referrers: manifests, and an index that the clients kept."""
    await push_blob(registry, APP, CONFIG)
    subject = by(SUBJECT)
    contents = [image(CONFIG, subject=refers_to(digest=subject), annotations={"n": str(n)}) for n in range(20)]
    for content in contents:
        await push(registry, content)
        if content is not contents[0]:  # the first was pushed to us: it is in both lists
            digest = parse_digest(sha256(content))
            assert await driver.delete(layout.referrer_link(APP, parse_digest(subject), digest))
    await push(registry, SUBJECT)
    foreign = image(CONFIG, subject=refers_to(digest=ABSENT))
    await push(registry, foreign)
    kept = json.loads(index([*contents, SUBJECT, foreign, b"absent"]))
    kept["manifests"] += [None, {"digest": 1}, {"digest": "sha256:../x"}, kept["manifests"][0]]
    content = json.dumps(kept).encode()
    tag = referrers.fallback_tag(parse_digest(subject))
    assert (tag.partition("-")[0], len(tag.partition("-")[2])) == (subject.partition(":")[0], 64)
    # Not pushed: this registry would refuse an index like this, another program may have stored it.
    stored = parse_digest(sha256(content))
    await driver.write(layout.blob(stored), content)
    await driver.write(layout.revision_link(APP, stored), str(stored).encode())
    await driver.write(layout.tag_current(APP, tag), str(stored).encode())
    expected = sorted(sha256(content) for content in contents)
    assert [found["digest"] for found in await listed(registry, subject)] == expected
    first = await registry.get(path_of(subject, "?n=7"))
    rest = await registry.get(first.headers["link"].removesuffix('>; rel="next"').removeprefix("<"))
    assert [found["digest"] for answer in (first, rest) for found in answer.json()["manifests"]] == expected[:14]


@TAG_SCHEMA
@pytest.mark.parametrize("content", [b"no JSON", image(CONFIG), b'{"manifests": 1}'])
async def test_a_fallback_tag_that_is_no_index_adds_nothing(
    pushed: httpx.AsyncClient, driver: Driver, content: bytes
) -> None:
    stored = parse_digest(sha256(content))
    await driver.write(layout.blob(stored), content)
    await driver.write(layout.revision_link(APP, stored), str(stored).encode())
    tag = referrers.fallback_tag(parse_digest(sha256(SUBJECT)))
    await driver.write(layout.tag_current(APP, tag), str(stored).encode())
    assert await listed(pushed) == ENTRIES


@LISTING
async def test_an_entry_counts_while_its_manifest_is_here(pushed: httpx.AsyncClient, driver: Driver) -> None:
    """Another program deletes the revision and knows nothing of our entry."""
    subject, digest = parse_digest(sha256(SUBJECT)), parse_digest(sha256(PLAIN))
    without = [found for found in ENTRIES if found["digest"] != str(digest)]
    link = layout.revision_link(APP, digest)
    await driver.delete(link)
    assert await listed(pushed) == without
    await driver.write(link, str(digest).encode())
    assert await listed(pushed) == ENTRIES
    await driver.delete(layout.blob(digest))  # a collector took the content and left the links
    assert await listed(pushed) == without
    await driver.write(layout.referrer_link(APP, subject, subject), str(subject).encode())  # which has no subject
    await driver.write(layout.StorePath(f"{layout.referrers(APP, subject, 'sha256')}/no-digest/link"), b"")
    assert await listed(pushed) == without


@LISTING
async def test_more_referrers_than_one_look_brings(
    pushed: httpx.AsyncClient, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(referrers, "LOOK", 2)
    contents = [index(subject=refers_to(), annotations={"n": str(n)}) for n in range(12)]
    for content in contents:
        await push(pushed, content)
    expected = sorted([*(sha256(content) for content in contents), *(str(found["digest"]) for found in ENTRIES)])
    assert [found["digest"] for found in await listed(pushed)] == expected


@PUSHING
async def test_the_list_is_no_repository(pushed: httpx.AsyncClient) -> None:
    assert (await pushed.get("/v2/_catalog")).json() == {"repositories": ["team/app"]}
    assert (await pushed.get("/v2/team/app/tags/list")).json()["tags"] == []
    await push_manifest(pushed, APP, "v1", SUBJECT)
    assert (await pushed.get("/v2/team/app/tags/list")).json()["tags"] == ["v1"]
