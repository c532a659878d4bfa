"""Upload sessions as clients use them: the address is whatever the last answer said, and is never taken apart."""

from urllib.parse import urlsplit

import httpx

from tests.support.registry import BASE_URL, Call, check, sha256, without_signature

UPLOADS = "/v2/team/app/blobs/uploads/"
HELLO = sha256(b"hello")
BLOB = f"/v2/team/app/blobs/{HELLO}"
# What the end of an upload of b"hello" answers with.
CREATED = {"Location": BASE_URL + BLOB, "Docker-Content-Digest": HELLO}


async def begin(registry: httpx.AsyncClient, query: str = "") -> str:
    """Open a session; its address, without the host."""
    answer = await check(registry, Call("", "POST", UPLOADS + query, 202, answers={"Range": "0-0"}))
    assert without_signature(answer.headers["location"]) == plain(UPLOADS + answer.headers["docker-upload-uuid"])
    return address(answer)


async def append(registry: httpx.AsyncClient, session: str, chunk: bytes, received: str, **headers: str) -> str:
    """Send a chunk; the address that the session has now. `received` is the `Range` that has to come back."""
    answers = {"Range": received, "Location": plain(session)}
    return address(await check(registry, Call("", "PATCH", session, 202, headers, chunk, answers=answers)))


def closing(session: str, digest: str = HELLO) -> str:
    """The address of the PUT that ends a session."""
    return f"{session}{'&' if '?' in session else '?'}digest={digest}"


def address(answer: httpx.Response) -> str:
    """What `Location` says, without the host."""
    parts = urlsplit(answer.headers["location"])
    assert f"{parts.scheme}://{parts.netloc}" == BASE_URL
    return parts._replace(scheme="", netloc="").geturl()


def plain(session: str) -> str:
    """A session's whole address as a row compares it: without the edge's signature."""
    return without_signature(BASE_URL + session)
