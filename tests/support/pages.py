"""The pages of an application by themselves: routes, and errors as its one writer answers them."""

from collections.abc import Iterable

from fastapi import FastAPI, Request, Response
from starlette.routing import BaseRoute

from authproxy.edge.errors import render
from authproxy.errors import RegistryError


def make_pages(routes: Iterable[BaseRoute]) -> FastAPI:
    """An application of these routes."""
    pages = FastAPI(openapi_url=None)
    pages.routes.extend(routes)

    @pages.exception_handler(RegistryError)
    def answer(_request: Request, error: RegistryError) -> Response:
        status, headers, body = render(error)
        return Response(body, status, dict(headers))

    return pages
