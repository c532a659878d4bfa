"""Headers that every answer gets, whoever made it: a handler, the upstream, or the writer of errors."""

from collections.abc import Mapping, Sequence

from authproxy.asgi import App, Message, Receive, Scope, Send, encode_headers

BASE_PATH = "/v2/"
API_VERSION = ("Docker-Distribution-API-Version", "registry/2.0")


class ResponseHeaders:
    """Add the API version below /v2/ where it is missing, and the configured headers (`http.headers`) everywhere."""

    def __init__(self, app: App, *, headers: Mapping[str, Sequence[str]]) -> None:
        self.app = app
        self.configured = encode_headers((name, value) for name, values in headers.items() for value in values)
        self.version = encode_headers([API_VERSION])[0]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; add to the start of the answer."""
        in_registry = is_registry_path(scope["path"])

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                present = {name.lower() for name, _ in headers}
                if in_registry and self.version[0] not in present:
                    headers.append(self.version)
                headers.extend(pair for pair in self.configured if pair[0] not in present)
                message["headers"] = headers
            await send(message)

        await self.app(scope, receive, add)


def is_registry_path(path: str) -> bool:
    """Whether a path belongs to the registry's API."""
    return path == "/v2" or path.startswith(BASE_PATH)
