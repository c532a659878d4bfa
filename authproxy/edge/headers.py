"""Headers that every response gets, whether a handler, an upstream or the writer of errors made it."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Self, TypeAlias

from authproxy.asgi import Headers, Scope, encode_headers
from authproxy.edge.cors import Cors

# Names with their values.
Configured: TypeAlias = Mapping[str, Sequence[str]]
NO_PATHS: Mapping[str, Configured] = MappingProxyType({})

BASE_PATH = "/v2/"
API_VERSION = ("Docker-Distribution-API-Version", "registry/2.0")


class CommonHeaders:
    """The API version below /v2/; the configured headers (`http.headers`, `http.cors`) and the request's id everywhere.

    `by_path`: headers for responses at a path and below it, instead of those with the same name for shorter paths.
    """

    def __init__(
        self, configured: Configured, by_path: Mapping[str, Configured] = NO_PATHS, cors: Cors | None = None
    ) -> None:
        self._cors = cors
        self._everywhere = _Wanted.of(configured)
        # The longest first: the first that covers a path counts.
        self._by_path = [
            (path, path.removesuffix("/") + "/", _Wanted.of(*_covering(path, configured, by_path)))
            for path in sorted(by_path, key=len, reverse=True)
        ]

    def complete(self, headers: Headers, scope: Scope, request_id: tuple[bytes, bytes]) -> Headers:
        """A response's headers and those that it lacks. Our request id replaces an upstream's."""
        if self._cors is not None:
            headers = self._cors.complete(headers, scope)
        present = dict(headers)
        if request_id[0] in present:
            headers = [pair for pair in headers if pair[0] != request_id[0]]
        path = scope["path"]
        wanted = self._find(path) if self._by_path else self._everywhere
        pairs = wanted.registry if is_registry_path(path) else wanted.elsewhere
        return [*headers, *[pair for pair in pairs if pair[0] not in present], request_id]

    def _find(self, path: str) -> "_Wanted":
        for exactly, below, wanted in self._by_path:
            if path == exactly or path.startswith(below):
                return wanted
        return self._everywhere


class _Wanted(NamedTuple):
    """Headers for the registry's paths, with the API version, and for all others."""

    registry: Headers
    elsewhere: Headers

    @classmethod
    def of(cls, *layers: Configured) -> Self:
        """A later layer's header replaces those with its name."""
        named = {name.lower(): values for layer in layers for name, values in layer.items()}
        pairs = encode_headers((name, value) for name, values in named.items() for value in values)
        return cls([*encode_headers([API_VERSION]), *pairs], pairs)


def _covering(path: str, everywhere: Configured, by_path: Mapping[str, Configured]) -> Iterator[Configured]:
    """The configured headers that apply at a path, the shortest path's first."""
    yield everywhere
    for shorter in sorted(by_path, key=len):
        if path == shorter or path.startswith(shorter.removesuffix("/") + "/"):
            yield by_path[shorter]


def is_registry_path(path: str) -> bool:
    """Whether a path belongs to the registry's API."""
    return path.startswith(BASE_PATH) or path == "/v2"
