"""Rules that depend on the upstream's content: it is read before a request is sent, and its lists are filtered.

An upstream does not know callers' permissions, and can't set a tag only if it does not exist. So a tag is checked right
before it is pushed: of two pushes within that moment the later one still moves it.
"""

import asyncio
from functools import partial

from authproxy import asgi
from authproxy.digest import Digest
from authproxy.errors import ContentTooLarge
from authproxy.pagination import find_shown, next_link, parse_page, to_json
from authproxy.permissions import PERMISSIONS, Permissions
from authproxy.proxy.content import UpstreamContent
from authproxy.proxy.merged_catalog import DEFAULT_PAGE, CatalogPart, answer_catalog
from authproxy.proxy.renaming import Renaming
from authproxy.route import Kind, Route
from authproxy.tag_protection import check_create, check_delete, check_overwrite, find_immutable

# The longest manifest that registries accept, in bytes (OCI Distribution 1.1, "Pushing Manifests").
MAX_MANIFEST_BYTES = 4 * 1024 * 1024

# The most entries of a page of a list.
MAX_PAGE = 1000

# The most protected tags that are checked before a manifest is deleted.
MAX_TAGS = 1000


class EnforcePermissions:
    """Passes on what the caller's permissions allow; everything if the scope has none."""

    def __init__(self, app: asgi.App) -> None:
        self.app = app

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Pass on, or answer. Raises Denied, and the upstream's errors."""
        permissions: Permissions | None = scope.pop(PERMISSIONS, None)
        if permissions is None:
            await self.app(scope, receive, send)
            return
        route: Route = scope[asgi.ROUTE]
        content = UpstreamContent(self.app, scope)
        match route:
            case Route(kind=Kind.CATALOG):
                await _answer_catalog(self.app, scope, receive, send, permissions)
                return
            case Route(kind=Kind.TAGS, repository=str(name)) if permissions.concern("pull"):
                if await content.has_repository(name):
                    await _answer_tags(content, scope, send, permissions)
                    return
            case Route(kind=Kind.UPLOADS, repository=str(name)):
                await check_create(content, permissions, name)
            case Route(kind=Kind.MANIFEST, method="PUT", repository=str(name)):
                await check_create(content, permissions, name)
                receive = await _check_overwrite(content, route, receive, permissions)
            case Route(
                kind=Kind.MANIFEST | Kind.BLOB as kind,
                method="DELETE",
                repository=str(name),
                reference=Digest() as digest,
            ):
                # The upstream may hold a blob by digests of several algorithms, and does not list them.
                is_blob = kind is Kind.BLOB
                await check_delete(content, permissions, name, {digest}, max_tags=MAX_TAGS, may_be_alias=is_blob)
            case _:
                pass
        await self.app(scope, receive, send)


async def _check_overwrite(
    content: UpstreamContent, route: Route, receive: asgi.Receive, permissions: Permissions
) -> asgi.Receive:
    """Check the tags that a manifest would move. The returned `receive` returns its body again."""
    immutable = find_immutable(permissions, route.tags)
    if not immutable:
        return receive
    try:
        body = await asgi.read_body(receive, MAX_MANIFEST_BYTES)
    except asgi.ContentTooLong:
        raise ContentTooLarge(f"a manifest has at most {MAX_MANIFEST_BYTES} bytes") from None
    names = {await asyncio.to_thread(Digest.of, body)}
    if isinstance(route.reference, Digest):
        names.add(route.reference)
    await check_overwrite(content, str(route.repository), immutable, names)
    unread = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> asgi.Message:
        return unread.pop() if unread else await receive()

    return receive_again


async def _answer_catalog(
    app: asgi.App, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send, permissions: Permissions
) -> None:
    page = parse_page(scope[asgi.ROUTE], default=DEFAULT_PAGE).at_most(MAX_PAGE)
    everything = CatalogPart(partial(UpstreamContent, app), "", Renaming(), lambda _: True)
    await answer_catalog([everything], scope, receive, send, permissions.shows_repository, page)


async def _answer_tags(content: UpstreamContent, scope: asgi.Scope, send: asgi.Send, permissions: Permissions) -> None:
    route: Route = scope[asgi.ROUTE]
    path = f"/v2/{route.repository}/tags/list"
    page = parse_page(route).at_most(MAX_PAGE)
    found = await find_shown(content.tags(str(route.repository), page.last), permissions.shows_tag, page)
    shown, link = next_link(scope[asgi.CLIENT_VIEW], path, page, found)
    body = f'{{"name":"{route.repository}","tags":{to_json(shown)}}}'.encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *link]
    await asgi.respond(send, 200, headers, b"" if scope["method"] == "HEAD" else body)
