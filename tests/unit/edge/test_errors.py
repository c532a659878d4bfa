"""What the edge adds to every answer, and what it makes of exceptions."""

import json
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from authproxy.asgi import ClientDisconnected, Message, Receive, Scope, Send, respond
from authproxy.edge.errors import ErrorResponses, render
from authproxy.edge.headers import CommonHeaders
from authproxy.errors import (
    BlobUnknown,
    CredentialsRefused,
    RegistryError,
    TooManyRequests,
    Unauthorized,
)

Handler = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]


async def ask(
    handler: Handler, method: str = "GET", path: str = "/v2/", headers: Mapping[str, list[str]] = MappingProxyType({})
) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    app = ErrorResponses(handler, headers=CommonHeaders(headers))
    await app({"type": "http", "method": method, "path": path, "headers": []}, receive, send)
    return sent


def raising(error: BaseException) -> Handler:
    async def handler(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    return handler


async def fine(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 200, [("Content-Type", "text/plain")], b"x")


def all_errors(kind: type[RegistryError] = RegistryError) -> list[type[RegistryError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in all_errors(child))]


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
async def test_every_error_is_the_protocols_json_with_the_api_version(kind: type[RegistryError]) -> None:
    error = kind(challenge="Bearer x") if kind is Unauthorized else kind()
    start, body = await ask(raising(error))
    headers = dict(start["headers"])
    assert start["status"] == kind.status
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"docker-distribution-api-version"] == b"registry/2.0"
    assert int(headers[b"content-length"]) == len(body["body"])
    assert [entry["code"] for entry in json.loads(body["body"])["errors"]] == [kind.code]


def test_the_docstring_lists_every_error_with_its_code_and_status() -> None:
    import authproxy.errors as module

    listed = module.__doc__ or ""
    for kind in (kind for kind in all_errors() if kind.__module__ == module.__name__):
        line = next(line for line in listed.splitlines() if kind.__name__ in line.split())
        assert (
            kind is RegistryError or kind.__name__ == "TokenError" or {kind.code, str(kind.status)} <= set(line.split())
        )


async def test_an_unforeseen_fault_is_a_500_that_hides_its_cause() -> None:
    start, body = await ask(raising(OSError("/secret/path")))
    assert start["status"] == 500
    assert b"secret" not in body["body"]
    assert json.loads(body["body"])["errors"][0]["detail"]["reference"]


async def test_a_head_request_gets_an_error_without_a_body() -> None:
    start, body = await ask(raising(BlobUnknown()), method="HEAD")
    assert (start["status"], body["body"]) == (404, b"")


async def test_once_an_answer_has_begun_nothing_is_added() -> None:
    async def half(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise BlobUnknown

    with pytest.raises(BlobUnknown):
        await ask(half)


async def test_a_client_that_has_gone_is_not_answered() -> None:
    assert await ask(raising(ClientDisconnected())) == []


async def test_token_errors_have_both_shapes() -> None:
    content = json.loads((await ask(raising(CredentialsRefused()), path="/token"))[1]["body"])
    assert content["error"] == "invalid_grant"
    assert content["error_description"] == content["errors"][0]["message"]


def test_too_many_requests_says_when_to_come_back() -> None:
    assert ("Retry-After", "7") in render(TooManyRequests(retry_after_s=7))[1]


async def test_no_text_of_an_error_can_split_the_answer() -> None:
    start, _ = await ask(raising(Unauthorized(challenge='Bearer realm="a\r\nSet-Cookie: x"')))
    assert b"\r" not in dict(start["headers"])[b"www-authenticate"]


async def test_the_api_version_stays_below_v2() -> None:
    start, _ = await ask(fine, path="/token")
    assert b"docker-distribution-api-version" not in dict(start["headers"])


async def test_a_backends_own_version_header_is_not_doubled() -> None:
    async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 200, [("Docker-Distribution-API-Version", "registry/2.0")])

    start, _ = await ask(upstream)
    assert [name for name, _ in start["headers"]].count(b"docker-distribution-api-version") == 1


async def test_configured_headers_go_out_with_answers_and_errors_alike() -> None:
    for handler in (fine, raising(BlobUnknown())):
        start, _ = await ask(handler, headers={"X-Content-Type-Options": ["nosniff"]})
        assert (b"x-content-type-options", b"nosniff") in start["headers"]
