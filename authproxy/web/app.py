"""The one FastAPI application, and the paths that lead to it or to the registry.

Every endpoint is a route of the application. The plain ones, which need nothing of the framework, are also in the
table of `Paths`, and answer from there: the framework's stack takes as long as the rest of a request
(docs/decisions/0036-make-fastapi-the-home-of-pages.md). The table, the routes and the OpenAPI document are made from
the same list.
"""

from collections.abc import Awaitable, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from authproxy.asgi import CLIENT_VIEW, App, Receive, Scope, Send, redirect, respond
from authproxy.edge.headers import BASE_PATH, is_registry_path
from authproxy.web.endpoint import Endpoint
from authproxy.web.errors import handle_errors
from authproxy.web.openapi import make_document


class WebApplication(FastAPI):
    """Serves `endpoints`. No path serves its OpenAPI document: it is docs/reference/openapi.json."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        super().__init__(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
        self.endpoints = tuple(endpoints)
        for endpoint in self.endpoints:
            self.add_route(endpoint.path, endpoint.app, include_in_schema=False)  # type: ignore[arg-type] # plain ASGI
        handle_errors(self)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1.0 document of all endpoints."""
        return make_document({endpoint.path: endpoint.operations for endpoint in self.endpoints})


class Paths:
    """The registry's API below /v2/, everything else to the web application.

    A trailing slash behind an endpoint's path is a redirect to the path alone, not to a URL: passwords are sent to one
    of them, and the framework's redirect has the host and the scheme that the last proxy used.
    """

    def __init__(self, registry: App, web: WebApplication) -> None:
        self.registry = registry
        self.web = web
        self.plain: dict[str, App] = {endpoint.path: endpoint.app for endpoint in web.endpoints}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass on, without a frame of its own."""
        path = scope["path"]
        if (endpoint := self.plain.get(path)) is not None:
            return endpoint(scope, receive, send)
        if path == "/v2":
            return respond(send, 301, [("Location", scope[CLIENT_VIEW].prefix + BASE_PATH), ("Content-Length", "0")])
        if is_registry_path(path):
            return self.registry(scope, receive, send)
        if path[-1:] == "/" and (bare := path.rstrip("/")) in self.plain:
            return redirect(scope, send, HTTPStatus.TEMPORARY_REDIRECT, bare)
        return self.web(scope, receive, send)
