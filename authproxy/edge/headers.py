"""Headers that every answer gets, whoever made it: a handler, the upstream, or the writer of errors."""

from collections.abc import Awaitable, Mapping, Sequence

from authproxy.asgi import App, Message, Receive, Scope, Send, encode_headers

BASE_PATH = "/v2/"
API_VERSION = ("Docker-Distribution-API-Version", "registry/2.0")


class ResponseHeaders:
    """Add the API version below /v2/ where it is missing, and the configured headers (`http.headers`) everywhere."""

    def __init__(self, app: App, *, headers: Mapping[str, Sequence[str]]) -> None:
        self.app = app
        self.configured = encode_headers((name, value) for name, values in headers.items() for value in values)
        self.version = encode_headers([API_VERSION])[0]

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass on; add to the start of the answer."""
        wanted = [self.version, *self.configured] if is_registry_path(scope["path"]) else self.configured

        def add(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                present = dict(message["headers"])
                message["headers"] = [*message["headers"], *[pair for pair in wanted if pair[0] not in present]]
            return send(message)

        return self.app(scope, receive, add)


def is_registry_path(path: str) -> bool:
    """Whether a path belongs to the registry's API."""
    return path == "/v2" or path.startswith(BASE_PATH)
