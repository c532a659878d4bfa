"""The one writer of errors, and the headers of every response.

An exception becomes the protocol's JSON, in the registry's shape or the token server's.
"""

import json
import uuid
from collections.abc import Awaitable

import structlog

from authproxy.asgi import App, ClientDisconnected, Message, Receive, Scope, Send, respond
from authproxy.edge.headers import CommonHeaders
from authproxy.edge.request_id import HEADER, name_request
from authproxy.errors import CredentialsRefused, InternalFault, RegistryError, TokenError, Unavailable
from authproxy.os_errors import report_machine_fault

log = structlog.get_logger(__name__)


def render(error: RegistryError) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of the response to an error.

    OCI Distribution 1.1, "Error Codes"; for `/token` also the fields of RFC 6749 §5.2, because docker prints only the
    list, and OAuth2 clients only the fields. A refused login has the message in `details` too: the Docker daemon's
    `/auth` recognizes a 401 by this text alone, and makes 500 of a list (distribution's client,
    `parseHTTPErrorResponse`; moby, `translateV2AuthError`). The text of `docker login` is the same.
    """
    entry = {"code": error.code, "message": str(error)}
    if error.detail is not None:
        entry["detail"] = error.detail
    content: dict[str, object] = {"errors": [entry]}
    if isinstance(error, TokenError):
        content = {"error": error.error, "error_description": str(error), **content}
    if isinstance(error, CredentialsRefused):
        content["details"] = str(error)
    # JSON that a client sent may have half a surrogate pair. The replacement is JSON's own escape for it.
    body = json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *error.headers]
    return error.status, headers, body


class ErrorResponses:
    """Turn exceptions of the inner layers into responses of the protocol, and add the common headers to every response.

    If the response has already begun, nothing is added: the connection ends instead.
    """

    def __init__(self, app: App, *, headers: CommonHeaders | None = None) -> None:
        self.app = app
        self.headers = headers or CommonHeaders({})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, add headers, answer exceptions."""
        started = False
        request_id = (HEADER, name_request(scope).encode("ascii"))

        def complete(message: Message) -> Awaitable[None]:
            nonlocal started
            if not started:  # the first message of a response is its start
                started = True
                message["headers"] = self.headers.complete(message["headers"], scope, request_id)
            return send(message)

        try:
            await self.app(scope, receive, complete)
        except ClientDisconnected:
            log.debug("client went away", method=scope["method"], path=scope["path"])
        except RegistryError as error:
            if started:
                raise
            await _answer(scope, complete, error)
        except Exception as error:  # anything else: the client gets a well-formed 500, the log the cause
            message = report_machine_fault(error) if isinstance(error, OSError) else None
            reference = uuid.uuid4().hex[:12]
            if message is None or started:
                log.exception("fault", method=scope["method"], path=scope["path"], reference=reference)
            if started:
                raise
            await _answer(
                scope, complete, Unavailable(message) if message else InternalFault(detail={"reference": reference})
            )


async def _answer(scope: Scope, send: Send, error: RegistryError) -> None:
    status, headers, body = render(error)
    await respond(send, status, headers, b"" if scope["method"] == "HEAD" else body)
