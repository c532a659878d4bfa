"""Several registries behind one edge: each repository is served by one of them, chosen by its name.

Requests without a repository are answered here: `/v2/` by us, the catalog from all registries together. See
docs/decisions/0027-choose-an-upstream-by-its-prefix.md.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from functools import partial

from authproxy import asgi
from authproxy.content import ContentFor
from authproxy.errors import NameUnknown, PaginationNumberInvalid
from authproxy.pagination import parse_page
from authproxy.permissions import PERMISSIONS, Permissions
from authproxy.proxy.content import UpstreamContent
from authproxy.proxy.merged_catalog import DEFAULT_PAGE, CatalogPart, answer_catalog
from authproxy.proxy.mount import mount_from, without_mount
from authproxy.proxy.renaming import Renaming
from authproxy.reference import Repository
from authproxy.route import Kind, Route


@dataclass(frozen=True, slots=True)
class Branch:
    """The server of some repositories: `base` and all below it; "" is all.

    `app` receives requests with the clients' names; `registry` is the backend below it, with its own names. Branches
    with the same `registry` object share its content, given by `content` (None: requested as an upstream's). The
    catalog has the names of branches with `is_listed`.
    """

    base: str
    app: asgi.App
    registry: asgi.App
    renaming: Renaming = field(default_factory=Renaming)
    is_listed: bool = True
    content: ContentFor | None = None

    def contains(self, name: str) -> bool:
        """Whether a repository belongs to this branch, or to one below it."""
        return not self.base or name == self.base or name.startswith(f"{self.base}/")


class Router:
    """Passes each request to the branch with the longest base that contains its repository.

    `max_entries`: the most entries of a page of the catalog.
    """

    def __init__(self, branches: Sequence[Branch], *, max_entries: int) -> None:
        self.branches = sorted(branches, key=lambda branch: len(branch.base), reverse=True)
        self.max_entries = max_entries

    def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> Awaitable[None]:
        """Pass on, or answer. Raises NameUnknown if no branch contains the repository, and a branch's errors."""
        route: Route = scope[asgi.ROUTE]
        if route.repository is None:
            if route.kind is Kind.CATALOG:
                return self._answer_catalog(scope, receive, send)
            return _answer_base(send, route)
        branch = self._find(route.repository)
        if branch is None:
            raise NameUnknown(detail={"name": route.repository})
        if route.kind is Kind.UPLOADS:
            scope = self._with_mount(scope, route, branch)
        return branch.app(scope, receive, send)

    def _find(self, name: str) -> Branch | None:
        return next((branch for branch in self.branches if branch.contains(name)), None)

    def _with_mount(self, scope: asgi.Scope, route: Route, branch: Branch) -> asgi.Scope:
        """A mount from the same registry, with the names there; from another registry it becomes an ordinary upload.

        So does a mount without `from`: the registry might choose a repository that no client's name leads to.
        """
        if route.mount is None and not scope["query_string"]:
            return scope
        named = route.mount.sources or () if route.mount is not None else ()
        sources = tuple(inner for name in named if (inner := self._name_at(branch.registry, name)) is not None)
        return mount_from(scope, route, sources) if sources else without_mount(scope, route)

    def _name_at(self, registry: asgi.App, name: str) -> Repository | None:
        branch = self._find(name)
        return branch.renaming.inward(name) if branch is not None and branch.registry is registry else None

    async def _answer_catalog(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        page = parse_page(scope[asgi.ROUTE], default=min(DEFAULT_PAGE, self.max_entries))
        if page.limit is not None and page.limit > self.max_entries:
            raise PaginationNumberInvalid(f"n is at most {self.max_entries}", detail={"n": page.limit})
        permissions: Permissions | None = scope.pop(PERMISSIONS, None)
        shows = _everything if permissions is None else permissions.shows_repository
        parts = [self._part(branch) for branch in self.branches if branch.is_listed]
        await answer_catalog(parts, scope, receive, send, shows, page)

    def _part(self, branch: Branch) -> CatalogPart:
        content = branch.content or partial(UpstreamContent, branch.registry)
        return CatalogPart(content, branch.base, branch.renaming, lambda name: self._find(name) is branch)


def _everything(_: str) -> bool:
    return True


def _answer_base(send: asgi.Send, route: Route) -> Awaitable[None]:
    body = b"{}"
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    return asgi.respond(send, 200, headers, b"" if route.method == "HEAD" else body)
