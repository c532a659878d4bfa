"""Redirects a registry path with superfluous slashes to the path without them, as CNCF Distribution does.

Only the clean path is served. No inner layer sees the other one, so no rule can treat the two differently
(CVE-2020-29662), and the redirect is the same whether the path exists or not.
"""

import re
from collections.abc import Awaitable
from http import HTTPStatus

from authproxy.asgi import App, Receive, Scope, Send, redirect
from authproxy.edge.headers import API_VERSION, BASE_PATH
from authproxy.errors import RegistryError
from authproxy.route import parse_route

_BASE = BASE_PATH.encode()
_SLASHES = re.compile(rb"/{2,}")


class RedirectToCleanPath:
    """Answer GET and HEAD with 301 if the path without its superfluous slashes is one of the registry's.

    Other methods are not redirected: clients repeat them as GET (RFC 9110 §15.4.2).
    """

    def __init__(self, app: App) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Redirect, or pass on."""
        path = scope["raw_path"]
        if (path[-1:] == b"/" or b"//" in path) and path != _BASE and scope["method"] in ("GET", "HEAD"):
            target = find_clean_path(scope["method"], path)
            if target is not None:
                clean = target.decode("latin-1")
                return redirect(scope, send, HTTPStatus.MOVED_PERMANENTLY, clean, [API_VERSION])
        return self.app(scope, receive, send)


def find_clean_path(method: str, raw_path: bytes) -> bytes | None:
    """The path without superfluous slashes; None if it has none, or is not a registry path without them.

    The result begins with `/v2/`, so that a `Location` made of it never leads to another host (`//host/…`).
    """
    clean = _SLASHES.sub(b"/", raw_path).rstrip(b"/")
    if clean + b"/" == _BASE:
        clean = _BASE
    if clean == raw_path or not clean.startswith(_BASE):
        return None
    try:
        parse_route(method, clean, b"")
    except RegistryError:
        return None
    return clean
