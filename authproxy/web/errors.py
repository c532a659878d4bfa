"""Errors of the FastAPI application, in the shape that the registry and `/token` have; the framework's never show."""

from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from authproxy.asgi import CLIENT_VIEW
from authproxy.edge.errors import render
from authproxy.edge.headers import BASE_PATH
from authproxy.errors import EndpointUnknown, RegistryError, Unsupported

# How much of an unknown path the response repeats.
MAX_PATH_CHARACTERS = 300


def handle_errors(web: FastAPI) -> None:
    """Let the writer of the registry's errors answer what an endpoint raises, unknown paths and wrong methods."""
    web.exception_handler(RegistryError)(_handle_registry_error)
    web.exception_handler(HTTPException)(_handle_http_exception)


def _handle_registry_error(_request: Request, error: RegistryError) -> Response:
    status, headers, body = render(error)
    return Response(body, status, dict(headers))


def _handle_http_exception(request: Request, error: HTTPException) -> Response:
    prefix = request.scope[CLIENT_VIEW].prefix
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "")
        refused = Unsupported(f"{request.method} is not supported here", headers=[("Allow", allowed)])
        return _handle_registry_error(request, refused)
    unknown = EndpointUnknown(
        f"there is nothing at this path; the registry is at {prefix}{BASE_PATH}",
        detail=prefix + request.url.path[:MAX_PATH_CHARACTERS],
    )
    return _handle_registry_error(request, unknown)
