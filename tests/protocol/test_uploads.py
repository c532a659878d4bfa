"""A blob in one piece: POST alone, or POST then PUT; and the session's way from its beginning to its end."""

import pytest
from httpx import AsyncClient

from tests.support.registry import BASE_URL, Call, check, name_of, push_blob, sha256, sha512, under
from tests.support.uploads import BLOB, CREATED, HELLO, UPLOADS, append, begin, closing, plain

UNKNOWN = f"{UPLOADS}00000000-0000-4000-8000-000000000000"
LONG = sha512(b"hello")
EMPTY = sha256(b"")


def post(what: str, query: str, status: int, body: bytes = b"", code: str | None = None, **answers: str) -> Call:
    named = {name.replace("_", "-"): value for name, value in answers.items()}
    return Call(what, "POST", UPLOADS + query, status, {}, body, code, named)


ONE_REQUEST = [
    *under(
        "OCI 1.1 Single POST",
        post("the whole blob", f"?digest={HELLO}", 201, b"hello", **CREATED),
        post("an escaped digest", f"?digest={HELLO.replace(':', '%3A')}", 201, b"hello", **CREATED),
        post("a blob of no bytes", f"?digest={EMPTY}", 201, Location=f"{BASE_URL}/v2/team/app/blobs/{EMPTY}"),
        post("a blob again", f"?digest={sha256(b'here')}", 201, b"here"),
        post("not the digest of the body", f"?digest={HELLO}", 400, b"hallo", "DIGEST_INVALID"),
        post("a malformed digest", "?digest=sha256:abc", 400, b"hello", "DIGEST_INVALID"),
        post("a digest of nothing", "?digest=", 400, b"hello", "DIGEST_INVALID"),
        post("hex in capitals", f"?digest={HELLO.upper().lower().replace('c', 'C')}", 400, b"hello", "DIGEST_INVALID"),
        Call("no upload without its slash is lost", "POST", UPLOADS.rstrip("/"), 202),
    ),
    *under(
        "OCI 1.1-dev Digests",
        post("sha512", f"?digest={LONG}", 201, b"hello", Docker_Content_Digest=LONG),
        post("not the sha512 of the body", f"?digest={LONG}", 400, b"hallo", "DIGEST_INVALID"),
        post("sha512 of the length of sha256", f"?digest=sha512:{HELLO[7:]}", 400, b"hello", "DIGEST_INVALID"),
        post("an algorithm that is not registered", f"?digest=md5:{'0' * 32}", 400, b"hello", "DIGEST_INVALID"),
        post("a hint for sha512", "?digest-algorithm=sha512", 202, Range="0-0"),
        post("a hint for sha256", "?digest-algorithm=sha256", 202, Range="0-0"),
        post("a hint that nobody knows", "?digest-algorithm=md5", 400, code="DIGEST_INVALID"),
    ),
]


@pytest.mark.parametrize("call", ONE_REQUEST, ids=name_of)
async def test_one_request(registry: AsyncClient, call: Call) -> None:
    await push_blob(registry, "team/app", b"here")
    await check(registry, call)
    if call.status == 400:
        await check(registry, Call("refused content is nowhere", "GET", BLOB, 404, code="BLOB_UNKNOWN"))


UNKNOWN_SESSION = under(
    "OCI 1.1 Error Codes",
    Call("GET", "GET", UNKNOWN, 404, code="BLOB_UPLOAD_UNKNOWN"),
    Call("HEAD", "HEAD", UNKNOWN, 404, code="BLOB_UPLOAD_UNKNOWN"),
    Call("PATCH", "PATCH", UNKNOWN, 404, body=b"x", code="BLOB_UPLOAD_UNKNOWN"),
    Call("PUT", "PUT", closing(UNKNOWN), 404, body=b"hello", code="BLOB_UPLOAD_UNKNOWN"),
    Call("DELETE", "DELETE", UNKNOWN, 404, code="BLOB_UPLOAD_UNKNOWN"),
    Call("a forged address", "GET", f"{UNKNOWN}?_session=forged", 400, code="BLOB_UPLOAD_INVALID"),
    Call("an id that is a parent folder", "GET", f"{UPLOADS}%2E%2E", 404, code="BLOB_UPLOAD_UNKNOWN"),
    Call("an id of another form", "GET", f"{UPLOADS}mine", 404, code="BLOB_UPLOAD_UNKNOWN"),
    Call("an id in capitals", "GET", f"{UPLOADS}0000000A-0000-4000-8000-000000000000", 404, code="BLOB_UPLOAD_UNKNOWN"),
)


@pytest.mark.parametrize("call", UNKNOWN_SESSION, ids=name_of)
async def test_unknown_session(registry: AsyncClient, call: Call) -> None:
    await check(registry, call)


@pytest.mark.section("OCI 1.1 POST then PUT")
@pytest.mark.parametrize("content", [b"hello", b""], ids=["some bytes", "no bytes"])
async def test_post_then_put(registry: AsyncClient, content: bytes) -> None:
    session = await begin(registry)
    digest = sha256(content)
    answers = {"Location": f"{BASE_URL}/v2/team/app/blobs/{digest}", "Docker-Content-Digest": digest}
    await check(registry, Call("", "PUT", closing(session, digest), 201, {}, content, answers=answers))
    await check(registry, Call("", "GET", f"/v2/team/app/blobs/{digest}", 200, content=content))
    await check(registry, Call("the session is over", "GET", session, 404, code="BLOB_UPLOAD_UNKNOWN"))


# What the digest of a PUT may not be, and whether the session that holds b"hello" is over then: content that is not
# what the client believes is of no use to anybody, a slip of the pen is.
WRONG_ENDS = under(
    "OCI 1.1 POST then PUT",
    Call("not the digest of the content", "PUT", sha256(b"hallo"), 400, code="DIGEST_INVALID"),
    Call("not its sha512", "PUT", sha512(b"hallo"), 400, code="DIGEST_INVALID"),
    Call("a malformed digest", "PUT", "sha256:abc", 400, code="DIGEST_INVALID"),
    Call("an algorithm that is not registered", "PUT", "md5:abc", 400, code="DIGEST_INVALID"),
    Call("an empty digest", "PUT", "", 400, code="DIGEST_INVALID"),
)


@pytest.mark.parametrize("call", WRONG_ENDS, ids=name_of)
async def test_a_wrong_digest_makes_no_blob(registry: AsyncClient, call: Call) -> None:
    session = await append(registry, await begin(registry), b"hello", "0-4")
    await check(registry, Call("", "PUT", closing(session, call.path), 400, code=call.code))
    await check(registry, Call("", "GET", BLOB, 404, code="BLOB_UNKNOWN"))
    is_over = call.path in (sha256(b"hallo"), sha512(b"hallo"))
    status = Call("", "GET", session, 404 if is_over else 204, code="BLOB_UPLOAD_UNKNOWN" if is_over else None)
    await check(registry, status)


@pytest.mark.section("OCI 1.1 POST then PUT")
async def test_an_end_without_a_digest_parameter_is_refused(registry: AsyncClient) -> None:
    session = await begin(registry)
    await check(registry, Call("", "PUT", session, 400, {}, b"hello", code="DIGEST_INVALID"))


@pytest.mark.section("OCI 1.1-dev Cancel a blob upload")
async def test_a_cancelled_session_is_gone(registry: AsyncClient) -> None:
    session = await append(registry, await begin(registry), b"he", "0-1")
    await check(registry, Call("", "DELETE", session, 204, content=b""))
    for method in ("GET", "PATCH", "DELETE"):
        await check(registry, Call("", method, session, 404, code="BLOB_UPLOAD_UNKNOWN"))


@pytest.mark.section("OCI 1.1-dev Cancel a blob upload")
async def test_a_session_can_be_cancelled_also_where_deletes_are_disabled(undeletable: AsyncClient) -> None:
    session = await begin(undeletable)
    await check(undeletable, Call("", "DELETE", session, 204))
    await check(undeletable, Call("", "DELETE", session, 404, code="BLOB_UPLOAD_UNKNOWN"))


@pytest.mark.section("OCI Distribution 1.1, Pushing a blob in chunks")
async def test_a_session_is_found_by_its_location_as_it_was_answered(registry: AsyncClient) -> None:
    session = await append(registry, await begin(registry), b"hel", "0-2")
    bare, _, field = session.partition("?")
    await check(registry, Call("", "GET", bare, 404, code="BLOB_UPLOAD_UNKNOWN"))
    await check(registry, Call("", "GET", f"{bare}?{field}x", 400, code="BLOB_UPLOAD_INVALID"))
    await check(registry, Call("", "GET", session, 204))


@pytest.mark.section("CVE-2026-32589")
async def test_a_session_belongs_to_its_repository(registry: AsyncClient) -> None:
    session = await append(registry, await begin(registry), b"hel", "0-2")
    foreign = session.replace("team/app", "team/other")
    for method, path, body in [
        ("GET", foreign, b""),
        ("PATCH", foreign, b"x"),
        ("PUT", closing(foreign), b"lo"),
        ("DELETE", foreign, b""),
    ]:
        await check(registry, Call("", method, path, 400, body=body, code="BLOB_UPLOAD_INVALID"))
    await check(registry, Call("it lives on where it is", "PUT", closing(session), 201, {}, b"lo", answers=CREATED))


@pytest.mark.section("OCI 1.1-dev Digests")
@pytest.mark.parametrize("hint", ["", "?digest-algorithm=sha512", "?digest-algorithm=sha256"])
async def test_a_session_closed_with_sha512(registry: AsyncClient, hint: str) -> None:
    session = await append(registry, await begin(registry, hint), b"hel", "0-2")
    await check(registry, Call("", "PUT", closing(session, LONG), 201, {}, b"lo"))
    for name in (LONG, HELLO):
        back = {"Docker-Content-Digest": name}
        await check(registry, Call("", "GET", f"/v2/team/app/blobs/{name}", 200, answers=back, content=b"hello"))


@pytest.mark.section("OCI 1.1-dev Digests")
async def test_a_session_with_a_hint_may_be_closed_with_another_algorithm(registry: AsyncClient) -> None:
    session = await append(registry, await begin(registry, "?digest-algorithm=sha512"), b"hello", "0-4")
    await check(registry, Call("", "PUT", closing(session), 201, answers=CREATED))


@pytest.mark.section("Docker V2 API Upload Progress")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_status_of_a_new_session(registry: AsyncClient, method: str) -> None:
    session = await begin(registry)
    answers = {"Range": "0-0", "Location": plain(session), "Content-Length": None}
    await check(registry, Call("", method, session, 204, answers=answers, content=b""))
