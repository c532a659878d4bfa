"""A backend with other repository names: requests get its names, and responses the clients' names.

Renamed are the path of requests, and in responses `Location`, `Link`, the name in a list of tags and the texts of
errors. A challenge is unchanged: it concerns a token of the upstream, which knows only its own names.
"""

import json
import re
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from authproxy import asgi
from authproxy.client_view import ClientView
from authproxy.errors import GatewayFailed, NameInvalid, NameUnknown, RegistryError
from authproxy.proxy.location import replace_targets
from authproxy.reference import MAX_REPOSITORY_LENGTH, Repository
from authproxy.route import Kind, Route

# Lists and errors are read whole. A list of a hundred thousand tags has a few million bytes.
MAX_BYTES = 16 * 1024 * 1024

OK, FIRST_ERROR = 200, 400

# Headers of a response that contain addresses.
_ADDRESSES = frozenset({b"location", b"link"})

_JSON = ("application/json", "text/json")

# The characters of a repository's name (OCI Distribution 1.1, "Pulling manifests").
_OF_A_NAME = r"[a-z0-9._/-]"


@dataclass(frozen=True, slots=True)
class Renaming:
    """Remove `strip` from the beginning of a name, then put `add` before it. Each is "" or ends with a slash."""

    strip: str = ""
    add: str = ""

    def __bool__(self) -> bool:
        """Whether any name changes."""
        return self.strip != self.add

    def inward(self, name: str) -> Repository | None:
        """The upstream's name of a client's repository; None if its name does not begin with `strip`.

        Raises NameInvalid if that would be too long.
        """
        if not name.startswith(self.strip):
            return None
        inner = self.add + name[len(self.strip) :]
        if len(inner) > MAX_REPOSITORY_LENGTH:
            raise NameInvalid(
                f"in the upstream registry the name would have {len(inner)} characters; the maximum is "
                f"{MAX_REPOSITORY_LENGTH}",
                detail={"name": name},
            )
        return Repository(inner)

    def outward(self, inner: str) -> Repository | None:
        """The clients' name of an upstream's repository; None if no name of theirs leads to it."""
        name = self.strip + inner[len(self.add) :]
        if not inner.startswith(self.add) or len(name) > MAX_REPOSITORY_LENGTH:
            return None
        return Repository(name)


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one repository: `outer` is the clients', `inner` the upstream's."""

    outer: Repository
    inner: Repository

    def readdress(self, value: str, view: ClientView) -> str:
        """Rewrite an address below this repository for the client; any other is unchanged."""
        try:
            parts = urlsplit(value)
        except ValueError:
            return value
        if parts.netloc not in ("", view.authority):
            return value  # of a storage service
        path, below = unquote(parts.path), f"{view.prefix}/v2/{self.inner}/"
        if not path.startswith(below):
            return value
        return parts._replace(path=f"{view.prefix}/v2/{self.outer}/{path[len(below) :]}").geturl()

    def readdress_links(self, value: str, view: ClientView) -> str:
        """Rewrite every `<…>` of a `Link`; its parameters stay."""
        return replace_targets(value, lambda target: self.readdress(target, view))

    def rename_in(self, value: object) -> object:
        """JSON with the client's name in every text that is or contains the inner name.

        A name of one component ("nginx") may be any word, so it is replaced only if it is the whole text.
        """
        match value:
            case str() if value == self.inner:
                return str(self.outer)
            case str() if "/" in self.inner:
                word = rf"(?<!{_OF_A_NAME}){re.escape(self.inner)}(?!{_OF_A_NAME})"
                return re.sub(word, self.outer, value)
            case list():
                return [self.rename_in(part) for part in value]
            case dict():
                return {key: self.rename_in(part) for key, part in value.items()}
            case _:
                return value


class RenamedBackend:
    """Serves requests for repositories with `app`, which has other names for them."""

    def __init__(self, app: asgi.App, renaming: Renaming) -> None:
        self.app = app
        self.renaming = renaming

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Pass on. Raises NameUnknown and NameInvalid for a name without an inner one, and the backend's errors."""
        route: Route = scope[asgi.ROUTE]
        assert route.repository is not None
        inner = self.renaming.inward(route.repository)
        if inner is None:
            raise NameUnknown(detail={"name": route.repository})
        names, view = Names(route.repository, inner), scope[asgi.CLIENT_VIEW]
        answer = _RenamedResponse(names, view, route, send)
        try:
            await self.app(_renamed(scope, route, names), receive, answer.send)
        except RegistryError as error:
            error.args = (names.rename_in(str(error)),)
            error.detail = names.rename_in(error.detail)
            error.headers = tuple(
                (name, _readdressed(name.lower(), value, names, view)) for name, value in error.headers
            )
            raise


def _renamed(scope: asgi.Scope, route: Route, names: Names) -> asgi.Scope:
    # The route was parsed from this path, so the part after the name has no escapes that would be lost.
    path = f"/v2/{names.inner}{scope['path'][len(f'/v2/{names.outer}') :]}"
    needs = tuple(access._replace(name=names.inner) for access in route.needs)
    renamed = {
        "path": path,
        "raw_path": path.encode("ascii"),
        asgi.ROUTE: replace(route, repository=names.inner, needs=needs),
    }
    # A compressed response could not be read here.
    headers = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
    return asgi.with_headers(scope, headers, renamed)


def _readdressed(name: str, value: str, names: Names, view: ClientView) -> str:
    match name:
        case "location":
            return names.readdress(value, view)
        case "link":
            return names.readdress_links(value, view)
        case _:
            return value


class _RenamedResponse:
    """One response on its way to the client. Lists and errors are gathered; all others pass piece by piece."""

    def __init__(self, names: Names, view: ClientView, route: Route, send: asgi.Send) -> None:
        self._names = names
        self._view = view
        self._route = route
        self._send = send
        self._start: asgi.Message | None = None  # kept until the body is complete
        self._body = bytearray()

    async def send(self, message: asgi.Message) -> None:
        """Receive a message of the backend. Raises GatewayFailed if a list is too long."""
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self._start is None:
            await self._send(message)
        else:
            await self._gather(self._start, message)

    async def _begin(self, start: asgi.Message) -> None:
        headers = [
            (name, self._readdressed(name.decode("latin-1"), value)) if name in _ADDRESSES else (name, value)
            for name, value in start["headers"]
        ]
        if not self._names_are_in(start):
            await self._send({**start, "headers": headers})
            return
        # The length changes. For HEAD the new one is known only for a list, which contains the name once.
        change = len(self._names.outer) - len(self._names.inner)
        lengths = [int(value) + change for name, value in headers if name == b"content-length"]
        headers = [pair for pair in headers if pair[0] != b"content-length"]
        if self._route.method != "HEAD":
            self._start = {**start, "headers": headers}
            return
        if start["status"] == OK:
            headers += [(b"content-length", str(length).encode()) for length in lengths]
        await self._send({**start, "headers": headers})

    def _readdressed(self, name: str, value: bytes) -> bytes:
        return _readdressed(name, value.decode("latin-1"), self._names, self._view).encode("latin-1")

    def _names_are_in(self, start: asgi.Message) -> bool:
        is_list = start["status"] == OK and self._route.kind is Kind.TAGS
        if not is_list and start["status"] < FIRST_ERROR:
            return False
        headers = start["headers"]
        kind = (asgi.find_header(headers, b"content-type") or "").partition(";")[0].strip().lower()
        return kind in _JSON and asgi.find_header(headers, b"content-encoding") is None

    async def _gather(self, start: asgi.Message, message: asgi.Message) -> None:
        self._body += message.get("body", b"")
        if len(self._body) > MAX_BYTES:
            raise GatewayFailed(f"the upstream registry's list has more than {MAX_BYTES} bytes")
        if message.get("more_body", False):
            return
        rename = _rename_in_list if start["status"] == OK else _rename_in_error
        body = rename(bytes(self._body), self._names)
        start["headers"].append((b"content-length", str(len(body)).encode()))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def _rename_in_list(body: bytes, names: Names) -> bytes:
    """A list of tags with the client's name, everything else byte for byte."""
    name = re.compile(rb'("name"\s*:\s*)"' + re.escape(names.inner.encode()) + rb'"')
    return name.sub(rb'\g<1>"' + names.outer.encode() + rb'"', body, count=1)


def _rename_in_error(body: bytes, names: Names) -> bytes:
    """An error with the client's name; anything but an error of the protocol is unchanged."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if not isinstance(document, dict):
        return body
    renamed = {key: names.rename_in(value) if key == "errors" else value for key, value in document.items()}
    return body if renamed == document else json.dumps(renamed, separators=(",", ":")).encode()
