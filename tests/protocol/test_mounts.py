"""A blob that the registry has already: mounted from where the caller may pull it, or else uploaded as any other."""

import pytest
from httpx import AsyncClient

from tests.support.registry import BASE_URL, Call, check, name_of, push_blob, sha256, sha512, under
from tests.support.uploads import BLOB, CREATED, HELLO, UPLOADS, address, closing

LONG = sha512(b"hello")
AS_LONG = {"Location": f"{BASE_URL}/v2/team/app/blobs/{LONG}", "Docker-Content-Digest": LONG}


def mount(what: str, query: str, status: int, answers: dict[str, str] | None = None) -> Call:
    return Call(what, "POST", UPLOADS + query, status, answers=answers or {})


MOUNTS = [
    *under(
        "OCI 1.1 Mounting a blob from another repository",
        mount("from a repository that has it", f"?mount={HELLO}&from=team/base", 201, CREATED),
        mount("the fields the other way round", f"?from=team/base&mount={HELLO}", 201, CREATED),
        mount("escaped fields", f"?from=team%2Fbase&mount={HELLO.replace(':', '%3A')}", 201, CREATED),
        mount("without from: from wherever it is", f"?mount={HELLO}", 201, CREATED),
        mount("by its sha512", f"?mount={LONG}&from=team/base", 201, AS_LONG),
    ),
]


@pytest.mark.parametrize("call", MOUNTS, ids=name_of)
async def test_a_mounted_blob_is_there(registry: AsyncClient, call: Call) -> None:
    for name in (LONG, HELLO):
        await push_blob(registry, "team/base", b"hello", name)
    answer = await check(registry, call)
    mounted = answer.headers["docker-content-digest"]
    await check(registry, Call("", "GET", f"/v2/team/app/blobs/{mounted}", 200, content=b"hello"))
    await check(registry, Call("", "DELETE", f"/v2/team/base/blobs/{HELLO}", 202))
    await check(registry, Call("it is this repository's own now", "HEAD", f"/v2/team/app/blobs/{mounted}", 200))


NO_MOUNTS = under(
    "OCI 1.1 Mounting a blob from another repository",
    mount("a source that lacks it", f"?mount={HELLO}&from=team/base", 202),
    mount("a source that nobody has pushed to", f"?mount={HELLO}&from=team/none", 202),
    mount("without from: no repository has it", f"?mount={sha256(b'absent')}", 202),
    mount("a malformed digest", "?mount=sha256:1&from=elsewhere", 202),
    mount("a malformed source", f"?mount={HELLO}&from=../elsewhere", 202),
    mount("a source in capitals", f"?mount={HELLO}&from=ELSEWHERE", 202),
    mount("two sources", f"?mount={HELLO}&from=elsewhere&from=team/base", 202),
    mount("two digests", f"?mount={HELLO}&mount={HELLO}&from=elsewhere", 202),
    mount("from without mount", "?from=elsewhere", 202),
    mount("an empty mount", "?mount=&from=elsewhere", 202),
)


@pytest.mark.parametrize("call", NO_MOUNTS, ids=name_of)
async def test_a_mount_that_cannot_be_is_an_ordinary_session(registry: AsyncClient, call: Call) -> None:
    await push_blob(registry, "elsewhere", b"hello")
    answer = await check(registry, call)
    await check(registry, Call("", "HEAD", BLOB, 404))
    await check(registry, Call("", "PUT", closing(address(answer)), 201, {}, b"hello", answers=CREATED))


@pytest.mark.section("OCI 1.1 Mounting a blob from another repository")
async def test_a_deleted_blob_cannot_be_mounted(registry: AsyncClient) -> None:
    await push_blob(registry, "team/base", b"hello")
    await check(registry, Call("", "DELETE", f"/v2/team/base/blobs/{HELLO}", 202))
    for query in (f"?mount={HELLO}&from=team/base", f"?mount={HELLO}"):
        await check(registry, Call("", "POST", UPLOADS + query, 202))
