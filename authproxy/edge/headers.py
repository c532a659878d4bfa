"""Headers that every answer gets, whoever made it: a handler, the upstream, or the writer of errors."""

from collections.abc import Mapping, Sequence

from authproxy.asgi import Headers, Scope, encode_headers
from authproxy.edge.cors import Cors

BASE_PATH = "/v2/"
API_VERSION = ("Docker-Distribution-API-Version", "registry/2.0")


class CommonHeaders:
    """The API version below /v2/; what is configured (`http.headers`, `http.cors`) and the request's id everywhere."""

    def __init__(self, configured: Mapping[str, Sequence[str]], cors: Cors | None = None) -> None:
        self._cors = cors
        self._elsewhere = encode_headers((name, value) for name, values in configured.items() for value in values)
        self._registry = [*encode_headers([API_VERSION]), *self._elsewhere]

    def complete(self, headers: Headers, scope: Scope, request_id: tuple[bytes, bytes]) -> Headers:
        """An answer's headers and those that it lacks. An id that an upstream gave makes way for ours."""
        if self._cors is not None:
            headers = self._cors.complete(headers, scope)
        present = dict(headers)
        if request_id[0] in present:
            headers = [pair for pair in headers if pair[0] != request_id[0]]
        wanted = self._registry if is_registry_path(scope["path"]) else self._elsewhere
        return [*headers, *[pair for pair in wanted if pair[0] not in present], request_id]


def is_registry_path(path: str) -> bool:
    """Whether a path belongs to the registry's API."""
    return path.startswith(BASE_PATH) or path == "/v2"
