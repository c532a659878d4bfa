"""Several registries behind one edge: each repository is served by one of them, chosen by its name.

What is about no repository is answered here: `/v2/` by us alone, the catalog from all of them together. See
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
    """Who serves some repositories: `base` and all below it; "" is all.

    `app` takes requests by the clients' names; `registry` is what stands behind it, and calls them by its own. Branches
    with the very same `registry` share its content, which `content` knows (None: it is asked as an upstream). The
    catalog has the names of those that are listed.
    """

    base: str
    app: asgi.App
    registry: asgi.App
    renaming: Renaming = field(default_factory=Renaming)
    is_listed: bool = True
    content: ContentFor | None = None

    def holds(self, name: str) -> bool:
        """Whether a repository is one of this branch's, or of one further down."""
        return not self.base or name == self.base or name.startswith(f"{self.base}/")


class Router:
    """Hand each request to the branch with the longest base that holds its repository.

    `max_entries` are the most that a page of the catalog has.
    """

    def __init__(self, branches: Sequence[Branch], *, max_entries: int) -> None:
        self.branches = sorted(branches, key=lambda branch: len(branch.base), reverse=True)
        self.max_entries = max_entries

    def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> Awaitable[None]:
        """Pass on, or answer. Raises NameUnknown where no branch holds the repository, and what a branch raises."""
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
        return next((branch for branch in self.branches if branch.holds(name)), None)

    def _with_mount(self, scope: asgi.Scope, route: Route, branch: Branch) -> asgi.Scope:
        """A mount from what the same registry holds, by its names there; from anywhere else it is an ordinary upload.

        So is one that leaves the source to the registry: that holds repositories too that lead no client there.
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
        shares = [self._share(branch) for branch in self.branches if branch.is_listed]
        await answer_catalog(shares, scope, receive, send, shows, page)

    def _share(self, branch: Branch) -> CatalogPart:
        content = branch.content or partial(UpstreamContent, branch.registry)
        return CatalogPart(content, branch.base, branch.renaming, lambda name: self._find(name) is branch)


def _everything(_: str) -> bool:
    return True


def _answer_base(send: asgi.Send, route: Route) -> Awaitable[None]:
    body = b"{}"
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    return asgi.respond(send, 200, headers, b"" if route.method == "HEAD" else body)
