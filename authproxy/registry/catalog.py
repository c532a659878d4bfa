"""The catalog: GET /v2/_catalog (Docker Registry HTTP API V2, "Listing Repositories")."""

from authproxy.errors import PaginationNumberInvalid
from authproxy.pagination import find_shown, in_pieces, next_link, parse_page, to_json
from authproxy.reference import Repository
from authproxy.registry.exchange import Exchange
from authproxy.registry.repository_walk import find_repositories
from authproxy.storage.driver import Driver

DEFAULT_PAGE = 100


class Catalog:
    """The names of all repositories. `max_entries`: CNCF Distribution's catalog.maxentries (CVE-2023-2253)."""

    def __init__(self, driver: Driver, max_entries: int) -> None:
        self._driver = driver
        self._max_entries = max_entries

    async def get(self, exchange: Exchange) -> None:
        """Answer with a page of repositories in bytewise order: only those that the caller may see."""
        page = parse_page(exchange.route, default=min(DEFAULT_PAGE, self._max_entries))
        assert page.limit is not None
        if page.limit > self._max_entries:
            raise PaginationNumberInvalid(f"n is at most {self._max_entries}", detail={"n": page.limit})
        if exchange.permissions is None:
            found = await find_repositories(self._driver, after=page.last, limit=page.limit + 1)
        else:
            found = await find_shown(in_pieces(self._find, page.last), exchange.permissions.shows_repository, page)
        shown, link = next_link(exchange.view, "/v2/_catalog", page, found)
        body = f'{{"repositories":{to_json(shown)}}}'.encode()
        await exchange.answer(200, [("Content-Type", "application/json"), *link], body)

    async def _find(self, after: str, limit: int) -> list[Repository]:
        return await find_repositories(self._driver, after=after, limit=limit)
