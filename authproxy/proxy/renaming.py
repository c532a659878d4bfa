"""A backend below other names: requests go in with its names, and answers come out with the clients'.

Renamed are: the path on its way in; `Location`, `Link`, the name in a list of tags and the words of errors on their way
out. A challenge stays as it is: it is about a token for the registry behind us, which knows its own names alone.
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

# Headers of an answer that hold addresses.
_ADDRESSES = frozenset({b"location", b"link"})

_JSON = ("application/json", "text/json")

# What may stand beside a letter of a repository's name and be part of it (OCI Distribution 1.1, "Pulling manifests").
_OF_A_NAME = r"[a-z0-9._/-]"


@dataclass(frozen=True, slots=True)
class Renaming:
    """Take `strip` off the beginning of a name, then put `add` before it. Each is "" or ends with a slash."""

    strip: str = ""
    add: str = ""

    def __bool__(self) -> bool:
        """Whether any name changes."""
        return self.strip != self.add

    def inward(self, name: str) -> Repository | None:
        """What a client's repository is called behind us; None where its name does not begin with what is stripped.

        Raises NameInvalid where that would be too long to be a name.
        """
        if not name.startswith(self.strip):
            return None
        inner = self.add + name[len(self.strip) :]
        if len(inner) > MAX_REPOSITORY_LENGTH:
            raise NameInvalid(
                f"behind this registry the name would have {len(inner)} characters, and {MAX_REPOSITORY_LENGTH} are "
                "the most",
                detail={"name": name},
            )
        return Repository(inner)

    def outward(self, inner: str) -> Repository | None:
        """What clients call a repository behind us; None where no name of theirs leads to it."""
        name = self.strip + inner[len(self.add) :]
        if not inner.startswith(self.add) or len(name) > MAX_REPOSITORY_LENGTH:
            return None
        return Repository(name)


@dataclass(frozen=True, slots=True)
class Names:
    """One repository: `outer` is what clients call it, `inner` what the registry behind us calls it."""

    outer: Repository
    inner: Repository

    def readdress(self, value: str, view: ClientView) -> str:
        """An address below this repository as the client should ask for it; any other stays."""
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
        """Every `<…>` of a `Link`; its parameters stay."""
        return replace_targets(value, lambda target: self.readdress(target, view))

    def retell(self, said: object) -> object:
        """JSON, with the client's name in every text that is the inner name or speaks of it.

        A name of one component ("nginx") may be any word, so it is known only where it is the whole text.
        """
        match said:
            case str() if said == self.inner:
                return str(self.outer)
            case str() if "/" in self.inner:
                word = rf"(?<!{_OF_A_NAME}){re.escape(self.inner)}(?!{_OF_A_NAME})"
                return re.sub(word, self.outer, said)
            case list():
                return [self.retell(part) for part in said]
            case dict():
                return {key: self.retell(part) for key, part in said.items()}
            case _:
                return said


class RenamedBackend:
    """Serve requests for repositories with `app`, which calls them otherwise."""

    def __init__(self, app: asgi.App, renaming: Renaming) -> None:
        self.app = app
        self.renaming = renaming

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Pass on. Raises NameUnknown and NameInvalid for a name that has none there, and what the backend raises."""
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
            error.args = (names.retell(str(error)),)
            error.detail = names.retell(error.detail)
            error.headers = tuple(
                (name, _readdressed(name.lower(), value, names, view)) for name, value in error.headers
            )
            raise


def _renamed(scope: asgi.Scope, route: Route, names: Names) -> asgi.Scope:
    # The route was parsed from this path, so what stands behind the name has no escapes that would be missed.
    path = f"/v2/{names.inner}{scope['path'][len(f'/v2/{names.outer}') :]}"
    needs = tuple(access._replace(name=names.inner) for access in route.needs)
    renamed = {
        "path": path,
        "raw_path": path.encode("ascii"),
        asgi.ROUTE: replace(route, repository=names.inner, needs=needs),
    }
    # What is compressed could not be read here.
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
    """One answer on its way out. What has to be read first is held back; all else passes piece by piece."""

    def __init__(self, names: Names, view: ClientView, route: Route, send: asgi.Send) -> None:
        self._names = names
        self._view = view
        self._route = route
        self._send = send
        self._start: asgi.Message | None = None  # held back until the body is there
        self._body = bytearray()

    async def send(self, message: asgi.Message) -> None:
        """Take a message of the backend. Raises GatewayFailed where a list is too long."""
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
        # The length is another then. That of an answer to HEAD can be told for a list alone, which has the name once.
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
        retell = _retold_list if start["status"] == OK else _retold_error
        body = retell(bytes(self._body), self._names)
        start["headers"].append((b"content-length", str(len(body)).encode()))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def _retold_list(body: bytes, names: Names) -> bytes:
    """A list of tags with the client's name in it, all else byte for byte."""
    name = re.compile(rb'("name"\s*:\s*)"' + re.escape(names.inner.encode()) + rb'"')
    return name.sub(rb'\g<1>"' + names.outer.encode() + rb'"', body, count=1)


def _retold_error(body: bytes, names: Names) -> bytes:
    """An error with the client's name in it; what is no error of the protocol stays."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if not isinstance(document, dict):
        return body
    retold = {key: names.retell(value) if key == "errors" else value for key, value in document.items()}
    return body if retold == document else json.dumps(retold, separators=(",", ":")).encode()
