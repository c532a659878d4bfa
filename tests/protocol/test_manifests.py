"""Manifests: pulled and looked for, by tag and by digest."""

import pytest
from httpx import AsyncClient

from authproxy.digest import Digest, parse_digest
from authproxy.oci import media_types
from authproxy.reference import Repository, Tag
from authproxy.storage import layout
from authproxy.storage.driver import Driver
from tests.support.app import CONFIG, DIGEST, IMAGE, LAYER, LONG, MANIFESTS, NO_DIGEST, push_app
from tests.support.registry import Call, check, image, name_of, push_manifest, sha256, under

APP = Repository("team/app")
HEADERS = {
    "Content-Type": media_types.OCI_IMAGE,
    "Content-Length": str(len(IMAGE)),
    "Docker-Content-Digest": DIGEST,
    "ETag": f'"{DIGEST}"',
}
OCI_TYPE = {"Content-Type": media_types.OCI_IMAGE}
SAME = f'"{DIGEST}"'
ACCEPTS_ANOTHER = {"Accept": f"{media_types.DOCKER_LIST}, {media_types.OCI_INDEX};q=0.5"}


def found(what: str, reference: str, method: str = "GET", **headers: str) -> Call:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = b"" if method == "HEAD" else IMAGE
    return Call(what, method, MANIFESTS + reference, 200, named, answers=HEADERS, content=content)


def unchanged(what: str, reference: str, value: str, method: str = "GET") -> Call:
    answers = {"ETag": SAME, "Docker-Content-Digest": DIGEST, "Content-Length": None}
    return Call(what, method, MANIFESTS + reference, 304, {"If-None-Match": value}, answers=answers, content=b"")


def unknown(what: str, path: str, method: str = "GET") -> Call:
    return Call(what, method, path, 404, code="MANIFEST_UNKNOWN", answers=NO_DIGEST)


CALLS = [
    *under(
        "OCI 1.1 Pulling manifests",
        found("by tag", "v1"),
        found("by digest", DIGEST),
        found("by an escaped digest", DIGEST.replace(":", "%3A")),
        found("whatever Accept says", "v1", Accept="text/html"),
        found("whatever media types Accept names", "v1", **ACCEPTS_ANOTHER),
        found("without Accept", DIGEST, Accept=""),
        unknown("unknown tag", f"{MANIFESTS}v2"),
        unknown("tags have two cases", f"{MANIFESTS}V1"),
        unknown("unknown digest", MANIFESTS + sha256(b"x")),
        unknown("a blob is no manifest", MANIFESTS + sha256(LAYER)),
        unknown("a name that was not pushed by", MANIFESTS + LONG),
        unknown("of another repository", f"/v2/other/manifests/{DIGEST}"),
        unknown("a tag of another repository", "/v2/other/manifests/v1"),
        unknown("128 characters are a tag", f"{MANIFESTS}{'t' * 128}"),
        unknown("129 are none", f"{MANIFESTS}{'t' * 129}"),
        unknown("a tag that begins with a dash", f"{MANIFESTS}-x"),
        unknown("a tag that begins with a dot", f"{MANIFESTS}.x"),
        unknown("a tag with a sign of its own", f"{MANIFESTS}a+b"),
        unknown("a tag past ASCII", f"{MANIFESTS}t%C3%A9"),
        unknown("a malformed digest", f"{MANIFESTS}sha256:xyz"),
        unknown("an algorithm that is not registered", f"{MANIFESTS}md5:{'0' * 32}"),
    ),
    *under(
        "OCI 1.1 Checking if content exists in the registry",
        found("HEAD by tag has the same headers and no body", "v1", "HEAD"),
        found("HEAD by digest", DIGEST, "HEAD"),
        unknown("HEAD of an unknown tag shows no digest", f"{MANIFESTS}v2", "HEAD"),
        unknown("HEAD of an unknown digest", MANIFESTS + sha256(b"x"), "HEAD"),
        unknown("HEAD of neither tag nor digest", f"{MANIFESTS}-x", "HEAD"),
    ),
    # Every request of OCI's conformance suite 1.1.1 for a manifest by what is neither a tag nor a digest, and the same
    # for the methods that it leaves out. Where it takes several answers the row holds us to ours.
    *under(
        "OCI conformance 1.1.1",
        unknown("HEAD of a manifest that cannot exist", f"{MANIFESTS}.INVALID_MANIFEST_NAME", "HEAD"),
        unknown("GET of a manifest that cannot exist", f"{MANIFESTS}.INVALID_MANIFEST_NAME"),
        unknown("the same in a repository without manifests", "/v2/conformance/new/manifests/.INVALID_MANIFEST_NAME"),
        Call(
            "PUT by a wrong digest",
            "PUT",
            f"{MANIFESTS}sha256:totallywrong",
            400,
            OCI_TYPE,
            b"blablabla",
            "DIGEST_INVALID",
        ),
        Call("PUT by a wrong tag", "PUT", f"{MANIFESTS}.INVALID_MANIFEST_NAME", 400, OCI_TYPE, IMAGE, "TAG_INVALID"),
        Call("DELETE by a wrong tag", "DELETE", f"{MANIFESTS}.INVALID_MANIFEST_NAME", 400, code="TAG_INVALID"),
        Call("DELETE by a wrong digest", "DELETE", f"{MANIFESTS}sha256:totallywrong", 400, code="DIGEST_INVALID"),
        unknown("GET by a wrong digest", f"{MANIFESTS}sha256:totallywrong"),
        unknown("HEAD by a wrong digest", f"{MANIFESTS}sha256:totallywrong", "HEAD"),
        Call(
            "GET of a blob by a wrong digest",
            "GET",
            "/v2/team/app/blobs/sha256:totallywrong",
            400,
            code="DIGEST_INVALID",
        ),
    ),
    *under(
        "RFC 9110 13.1.2",
        unchanged("by tag", "v1", SAME),
        unchanged("by digest", DIGEST, SAME),
        unchanged("HEAD", "v1", SAME, "HEAD"),
        unchanged("weak, in a list", "v1", f'"a", W/{SAME}'),
        unchanged("anything", "v1", "*"),
        found("of other content", "v1", If_None_Match=f'"{sha256(b"x")}"'),
    ),
]


@pytest.fixture
async def pushed(registry: AsyncClient) -> AsyncClient:
    """A registry that holds the image."""
    await push_app(registry)
    return registry


@pytest.mark.leaves_the_same
@pytest.mark.parametrize("call", CALLS, ids=name_of)
async def test_call(pushed: AsyncClient, call: Call) -> None:
    await check(pushed, call)


@pytest.mark.section("OCI 1.1 Pushing Manifests")
async def test_a_tag_moves_at_once(pushed: AsyncClient) -> None:
    for other in (image(CONFIG), image(CONFIG, annotations={"a": "b"}), IMAGE):
        await push_manifest(pushed, "team/app", "v1", other)
        back = {"Docker-Content-Digest": sha256(other)}
        await check(pushed, Call("", "GET", f"{MANIFESTS}v1", 200, answers=back, content=other))
        await check(pushed, Call("", "HEAD", f"{MANIFESTS}v1", 200, {"If-None-Match": '"other"'}, answers=back))
    await check(pushed, Call("the old ones are there by digest", "GET", MANIFESTS + sha256(image(CONFIG)), 200))


@pytest.mark.section("CNCF Distribution's layout")
async def test_a_manifest_that_another_program_stored_by_sha512_is_served(pushed: AsyncClient, driver: Driver) -> None:
    await driver.write(layout.revision_link(APP, parse_digest(LONG)), DIGEST.encode())
    await driver.write(layout.tag_current(APP, Tag("long")), LONG.encode())
    for reference in (LONG, "long"):
        answers = HEADERS | {"Docker-Content-Digest": LONG, "ETag": f'"{LONG}"'}
        await check(pushed, Call("", "GET", MANIFESTS + reference, 200, answers=answers, content=IMAGE))


@pytest.mark.section("CNCF Distribution's layout")
@pytest.mark.parametrize("link", [b"", b"sha256:1", b"\xff\xfe", b"../../etc/passwd"])
async def test_a_damaged_link_holds_nothing(pushed: AsyncClient, driver: Driver, link: bytes) -> None:
    await driver.write(layout.tag_current(APP, Tag("v1")), link)
    await driver.write(layout.revision_link(APP, parse_digest(DIGEST)), link)
    await driver.write(layout.layer_link(APP, parse_digest(sha256(LAYER))), link)
    for path in (f"{MANIFESTS}v1", MANIFESTS + DIGEST, f"/v2/team/app/blobs/{sha256(LAYER)}"):
        assert (await pushed.get(path)).status_code == 404


@pytest.mark.section("CNCF Distribution's layout")
async def test_what_is_stored_without_a_readable_media_type_is_served_as_it_is(
    pushed: AsyncClient, driver: Driver
) -> None:
    content = b"no JSON at all"
    await driver.write(layout.blob(Digest.of(content)), content)
    await driver.write(layout.revision_link(APP, Digest.of(content)), sha256(content).encode())
    await check(pushed, Call("", "GET", MANIFESTS + sha256(content), 200, content=content))
