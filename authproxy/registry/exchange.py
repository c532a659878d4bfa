"""One request to the core: its route, its headers, and how to read its body and answer it."""

from collections.abc import Iterable
from dataclasses import dataclass

from authproxy import asgi
from authproxy.access import Grant
from authproxy.client_view import ClientView
from authproxy.digest import Digest
from authproxy.permissions import Permissions
from authproxy.reference import Repository, Tag
from authproxy.route import Route

# Responses without a body and without its length (RFC 9110 §8.6).
_WITHOUT_LENGTH = (204, 304)


@dataclass(slots=True)  # one is made for each request, and a frozen one costs three times as much
class Exchange:
    """The argument of a handler, which answers once, or raises a RegistryError before it has begun to."""

    route: Route
    view: ClientView
    headers: asgi.Headers
    receive: asgi.Receive
    send: asgi.Send
    permissions: Permissions | None = None  # None: no rule restricts what the token allows
    grant: Grant | None = None  # None: nobody was asked who they are

    @property
    def subject(self) -> str:
        """The caller's name; empty for an anonymous one."""
        return self.grant.subject if self.grant is not None else ""

    @property
    def repository(self) -> Repository:
        """The repository in the path. Only for routes that have one."""
        assert self.route.repository is not None
        return self.route.repository

    @property
    def reference(self) -> Tag | Digest:
        """The tag or digest in the path. Only for routes that have one."""
        assert self.route.reference is not None
        return self.route.reference

    @property
    def digest(self) -> Digest:
        """The digest in the path. Only for blobs."""
        assert isinstance(self.route.reference, Digest)
        return self.route.reference

    @property
    def is_head(self) -> bool:
        """Whether to answer with the headers of GET and no body."""
        return self.route.method == "HEAD"

    def header(self, name: bytes) -> str | None:
        """The value of a header by its name in lower case: see `asgi.find_header`."""
        return asgi.find_header(self.headers, name)

    def content_length(self) -> int | None:
        """The length of the body as the client announces it; None where it doesn't."""
        value = self.header(b"content-length")
        return int(value) if value is not None and value.isascii() and value.isdecimal() else None

    def location(self, below_repository: str) -> str:
        """A `Location` in this repository, on the host that the client requested."""
        return self.view.location(f"/v2/{self.repository}/{below_repository}")

    async def answer(self, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> None:
        """Send a small response at once, with its length."""
        pairs = list(headers)
        if status not in _WITHOUT_LENGTH:
            pairs.append(("Content-Length", str(len(body))))
        await asgi.respond(self.send, status, pairs, b"" if self.is_head else body)
