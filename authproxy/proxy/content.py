"""The content of an upstream, requested through its backend on behalf of the client whose request needs it.

See `content.Content`.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from authproxy import asgi
from authproxy.content import Reference
from authproxy.digest import Digest, parse_digest
from authproxy.errors import DigestInvalid, GatewayFailed, RegistryError
from authproxy.oci.media_types import MANIFESTS
from authproxy.reference import Tag
from authproxy.route import parse_route

# The longest response that is read, in bytes: a list of a hundred thousand tags has a few million.
MAX_BYTES = 16 * 1024 * 1024

# Entries of one page of tags.
TAGS_PAGE = 100

# Page sizes for the catalog, tried until the registry accepts one: CNCF Distribution refuses more than its
# `catalog.maxentries`, 1000 by default. None: the registry's default.
CATALOG_PAGES: tuple[int | None, ...] = (1000, 100, None)

CATALOG = "/v2/_catalog"

FOUND, TOO_MANY, NOT_FOUND = 200, 400, 404

# Names sort alike by bytes and by folders up to the first of these characters, or, compared with the end of a page, up
# to the first of the second set.
_HEAD_ENDS = re.compile(r"[/.-]")
_ORDERED_ALIKE = re.compile(r"[.-]")

# The client's headers that identify it. The others belong to its own request (what it accepts, what it has).
_ASKED_WITH = frozenset({b"authorization", b"traceparent", b"tracestate", b"user-agent", b"x-request-id"})
_ANY_MANIFEST = ", ".join((*MANIFESTS, "*/*")).encode("ascii")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


class UpstreamContent:
    """The content of a backend. Every method raises the backend's errors, and GatewayFailed for other statuses."""

    def __init__(self, app: asgi.App, scope: asgi.Scope) -> None:
        self._app = app
        self._scope = scope
        self._catalog_pages = CATALOG_PAGES

    async def has_repository(self, repository: str) -> bool:
        """See Content."""
        answer = await self._ask("GET", f"/v2/{repository}/tags/list", {"n": "1"})
        return self._is_found(answer)

    async def find_names(self, repository: str, tag: Tag) -> Collection[Digest] | None:
        """See Content."""
        answer = await self._ask("HEAD", f"/v2/{repository}/manifests/{tag}")
        if not self._is_found(answer):
            return None
        try:
            return {parse_digest(answer.headers.get(b"docker-content-digest", b"").decode("latin-1"))}
        except DigestInvalid:
            return ()

    async def tagged(self, repository: str) -> AsyncGenerator[Sequence[tuple[Tag, Reference]], None]:
        """See Content."""
        async with aclosing(self.tags(repository)) as batches:
            async for batch in batches:
                yield [(Tag(tag), Tag(tag)) for tag in batch]

    async def read_manifests(
        self, repository: str, references: Iterable[Reference]
    ) -> AsyncGenerator[tuple[Reference, bytes], None]:
        """See Content."""
        for reference in references:
            answer = await self._ask("GET", f"/v2/{repository}/manifests/{reference}")
            yield reference, answer.body if self._is_found(answer) else b""

    async def tags(self, repository: str, after: str = "") -> AsyncGenerator[Sequence[str], None]:
        """The tags greater than `after`, in batches that are not empty; no batch if there is no such repository."""
        while True:
            answer = await self._ask("GET", f"/v2/{repository}/tags/list", _page(TAGS_PAGE, after))
            if not self._is_found(answer):
                return
            # A registry without pages of tags (CNCF Distribution 2.8) answers with the whole list each time.
            tags = sorted(tag for tag in _parse(answer.body, "tags") if tag > after)
            if tags:
                yield tags
            if not tags or b"link" not in answer.headers:
                return
            after = tags[-1]

    async def repositories(self, after: str = "") -> AsyncGenerator[Sequence[str], None]:
        """See Content. A batch is a block of names with the same head (see `head_of`).

        CNCF Distribution sorts by folders: a/b before a-b, whereas bytewise a-b comes first. Up to the first `/`, `-`
        or `.` both orders agree, so names that agree up to there form a block, which is sorted here.
        """
        block: set[str] = set()
        head, last = "", _ORDERED_ALIKE.split(after, maxsplit=1)[0]
        while True:
            answer = await self._ask_catalog(last)
            fresh = [
                name for name in _parse(answer.body, "repositories") if name not in block and head_of(name) >= head
            ]
            for name in fresh:
                if head_of(name) != head and block:
                    yield sorted(block)
                    block = set()
                head = head_of(name)
                block.add(name)
            if not fresh or b"link" not in answer.headers:
                break
            last = fresh[-1]
        if block:
            yield sorted(block)

    async def _ask_catalog(self, last: str) -> _Answer:
        answer = await self._ask("GET", CATALOG, _page(self._catalog_pages[0], last))
        while answer.status == TOO_MANY and len(self._catalog_pages) > 1:
            self._catalog_pages = self._catalog_pages[1:]
            answer = await self._ask("GET", CATALOG, _page(self._catalog_pages[0], last))
        if not self._is_found(answer):
            raise GatewayFailed("the upstream registry does not list its repositories")
        return answer

    def _is_found(self, answer: _Answer) -> bool:
        if answer.status not in (FOUND, NOT_FOUND):
            raise GatewayFailed(f"the upstream registry answered a request for its content with {answer.status}")
        return answer.status == FOUND

    async def _ask(self, method: str, path: str, query: Mapping[str, str] | None = None) -> _Answer:
        body = bytearray()
        started: list[asgi.Message] = []

        async def receive() -> asgi.Message:
            await asyncio.Event().wait()  # there is no body, and the client's own connection is not watched here
            raise AssertionError("the event is never set")

        async def send(message: asgi.Message) -> None:
            if message["type"] == "http.response.start":
                started.append(message)
                return
            body.extend(message.get("body", b""))
            if len(body) > MAX_BYTES:
                raise GatewayFailed(f"the upstream registry's list has more than {MAX_BYTES} bytes")

        headers = [pair for pair in self._scope["headers"] if pair[0] in _ASKED_WITH]
        raw_path, query_string = quote(path).encode(), urlencode(query or {}).encode()
        question = asgi.with_headers(
            self._scope,
            [*headers, (b"accept", _ANY_MANIFEST)],
            {
                "method": method,
                "path": path,
                "raw_path": raw_path,
                "query_string": query_string,
                asgi.ROUTE: parse_route(method, raw_path, query_string),
            },
        )
        try:
            await self._app(question, receive, send)
        except RegistryError as error:
            if error.status not in (NOT_FOUND, TOO_MANY):
                raise
            return _Answer(error.status, {}, b"")
        [start] = started
        return _Answer(start["status"], dict(start["headers"]), bytes(body))


def head_of(name: str) -> str:
    """The common beginning of the names in a block of the catalog: up to the first `/`, `.` or `-`."""
    return _HEAD_ENDS.split(name, maxsplit=1)[0]


def _page(entries: int | None, last: str) -> dict[str, str]:
    return ({"n": str(entries)} if entries else {}) | ({"last": last} if last else {})


def _parse(body: bytes, key: str) -> list[str]:
    try:
        names = json.loads(body)[key]
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise GatewayFailed("the upstream registry answered with a list that cannot be read") from exc
    if names is None:  # an empty list, as Go writes it
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise GatewayFailed("the upstream registry answered with a list that cannot be read")
    return names
