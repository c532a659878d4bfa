"""Rows of the protocol's tables, the core in memory behind the thinnest possible edge to run them, and small pushes."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

from authproxy import asgi
from authproxy.access import Grant
from authproxy.client_view import ClientView
from authproxy.edge.signed_sessions import FIELD, SessionSigner, SignSessions
from authproxy.errors import RegistryError
from authproxy.oci import media_types
from authproxy.permissions import PERMISSIONS, Permissions
from authproxy.registry.core import Core
from authproxy.registry.options import Rules
from authproxy.route import parse_route
from authproxy.storage.driver import Driver

HOST = "registry.test:5000"
BASE_URL = f"https://{HOST}"

DELETES = Rules(delete_enabled=True)


class BareEdge:
    """Parses the route, writes errors; asks nobody who they are."""

    def __init__(self, backend: asgi.App, permissions: Permissions | None = None) -> None:
        self._backend = backend
        self._permissions = permissions

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        try:
            raw_path = scope["raw_path"].partition(b"?")[0]
            scope[asgi.ROUTE] = parse_route(scope["method"], raw_path, scope["query_string"])
            scope[asgi.CLIENT_VIEW] = ClientView("https", HOST, "192.0.2.1")
            scope[asgi.GRANT] = Grant("alice")
            if self._permissions is not None:
                scope[PERMISSIONS] = self._permissions
            await self._backend(scope, receive, send)
        except RegistryError as error:
            content = {"errors": [{"code": error.code, "message": str(error), "detail": error.detail}]}
            body = json.dumps(content).encode()
            headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *error.headers]
            await asgi.respond(send, error.status, headers, b"" if scope["method"] == "HEAD" else body)


@asynccontextmanager
async def connect(
    driver: Driver,
    rules: Rules = DELETES,
    *,
    signs: bool = True,
    permissions: Permissions | None = None,
    around: Callable[[asgi.App], asgi.App] | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a new core above a driver: a second one over the same driver is a restarted process.

    `signs`: sessions are used by their signed address, as they are everywhere but in an open registry. `permissions`
    are those of whoever asks. `around` is what stands between the core and all that.
    """
    core: asgi.App = Core(driver, rules)
    if around is not None:
        core = around(core)
    signed = SignSessions(core, signer=SessionSigner(b"the same on every node"), lifetime_s=3600, now=time.time)
    transport = httpx.ASGITransport(BareEdge(signed if signs else core, permissions))
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
        yield client


@dataclass(frozen=True)
class Call:
    """One row: what is asked, and what has to come back."""

    what: str
    method: str
    path: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    code: str | None = None
    answers: Mapping[str, str | None] = field(default_factory=dict)  # None: the header is not there
    content: bytes | None = None  # None: not compared
    json: object = None  # None: not compared
    section: str = ""  # of the specification that the row holds us to


def under(section: str, *calls: Call) -> list[Call]:
    """The rows that one section of a specification asks for."""
    return [replace(call, section=section) for call in calls]


def name_of(call: Call) -> str:
    """A row's test id: the section, then the rule."""
    return f"{call.section}: {call.what}"


async def check(client: httpx.AsyncClient, call: Call) -> httpx.Response:
    """Make a call and compare. An error has to be of the protocol's form too, and its length that of its body."""
    answer = await client.request(call.method, call.path, headers=call.headers, content=call.body)
    code = None if call.method == "HEAD" else call.code  # an answer to HEAD has no body to carry one
    assert (answer.status_code, code_of(answer)) == (call.status, code), answer.text
    seen = {name: answer.headers.get(name) for name in call.answers}
    if location := seen.get("Location"):
        seen["Location"] = without_signature(location)
    assert seen == call.answers
    if call.content is not None:
        assert answer.content == call.content
    if call.json is not None:
        assert answer.json() == call.json
    return answer


def code_of(answer: httpx.Response) -> str | None:
    """The error code that an answer carries, in the form of OCI Distribution 1.1, "Error Codes"."""
    if answer.status_code < 400 or not answer.content:
        return None
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.content)
    document = answer.json()
    assert list(document) == ["errors"]
    [error] = document["errors"]
    assert set(error) - {"detail"} == {"code", "message"}
    assert isinstance(error["message"], str)
    assert error["message"]
    return str(error["code"])


def without_signature(location: str) -> str:
    """The address of a session without the field that the edge signs it with: opaque to clients, other each time."""
    parts = urlsplit(location)
    return parts._replace(query=urlencode([pair for pair in parse_qsl(parts.query) if pair[0] != FIELD])).geturl()


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def sha512(content: bytes) -> str:
    return "sha512:" + hashlib.sha512(content).hexdigest()


async def push_blob(client: httpx.AsyncClient, repository: str, content: bytes, digest: str | None = None) -> str:
    """Push a blob in one request; its digest."""
    digest = digest or sha256(content)
    answer = await client.post(f"/v2/{repository}/blobs/uploads/", params={"digest": digest}, content=content)
    assert answer.status_code == 201, answer.text
    return digest


def descriptor(content: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha256(content), "size": len(content), **more}


def image(config: bytes, layers: Iterable[bytes] = (), **more: Any) -> bytes:
    """The bytes of an OCI image manifest."""
    body = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_IMAGE,
        "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor(layer, "application/vnd.oci.image.layer.v1.tar") for layer in layers],
    }
    return json.dumps(body | more).encode()


def index(manifests: Iterable[bytes] = (), **more: Any) -> bytes:
    """The bytes of an OCI image index."""
    entries = [descriptor(entry, media_types.OCI_IMAGE) for entry in manifests]
    body = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": entries}
    return json.dumps(body | more).encode()


async def push_manifest(
    client: httpx.AsyncClient, repository: str, reference: str, content: bytes, media_type: str = media_types.OCI_IMAGE
) -> str:
    """Push a manifest whose content is there; its digest as the answer names it."""
    path = f"/v2/{repository}/manifests/{reference}"
    answer = await client.put(path, content=content, headers={"Content-Type": media_type})
    assert answer.status_code == 201, answer.text
    return answer.headers["docker-content-digest"]


async def push_image(client: httpx.AsyncClient, repository: str, tag: str) -> str:
    """Push a small image, other for each tag; the digest of its manifest."""
    config, layer = f"config {tag}".encode(), b"a layer"
    for content in (config, layer):
        await push_blob(client, repository, content)
    return await push_manifest(client, repository, tag, image(config, [layer]))


class Pipe:
    """The two ends of one request, to be driven by hand: what httpx gathers can't show streaming or disconnects."""

    def __init__(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> None:
        raw_path, _, query = path.encode().partition(b"?")
        self.sent: list[asgi.Message] = []
        self.incoming: asyncio.Queue[asgi.Message] = asyncio.Queue()
        self.scope: asgi.Scope = {
            "type": "http",
            "method": method,
            "headers": asgi.encode_headers((headers or {}).items()),
            asgi.ROUTE: parse_route(method, raw_path, query),
            asgi.CLIENT_VIEW: ClientView("https", HOST, "192.0.2.1"),
        }

    def feed(self, *pieces: bytes, more: bool = True) -> None:
        """Let pieces of the body come in."""
        for place, piece in enumerate(pieces):
            last = place == len(pieces) - 1 and not more
            self.incoming.put_nowait({"type": "http.request", "body": piece, "more_body": not last})

    def hang_up(self) -> None:
        """Let the client go away."""
        self.incoming.put_nowait({"type": "http.disconnect"})

    async def receive(self) -> asgi.Message:
        return await self.incoming.get()

    async def send(self, message: asgi.Message) -> None:
        self.sent.append(message)
        await asyncio.sleep(0)
