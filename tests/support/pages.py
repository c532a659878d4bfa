"""The pages of an application by themselves: routes, and errors as its one writer answers them."""

from fastapi import APIRouter, FastAPI, Request, Response

from authproxy.edge.errors import render
from authproxy.errors import RegistryError


def make_pages(router: APIRouter) -> FastAPI:
    """An application of these routes."""
    pages = FastAPI(openapi_url=None)
    pages.include_router(router)

    @pages.exception_handler(RegistryError)
    def answer(_request: Request, error: RegistryError) -> Response:
        status, headers, body = render(error)
        return Response(body, status, dict(headers))

    return pages
