"""Rules that turn on what the upstream holds: it is asked before a request goes out, and its lists are cut down.

An upstream knows no caller's permissions, and cannot be told to set a tag only where there is none. So a tag is looked
at right before it is pushed: of two pushers within that moment the later one still moves it.
"""

import asyncio
from contextlib import aclosing

from authproxy import asgi
from authproxy.digest import Digest
from authproxy.errors import ContentTooLarge, Denied
from authproxy.oci.dependencies import read_mentions
from authproxy.pagination import find_shown, next_link, parse_page, to_json
from authproxy.permissions import PERMISSIONS, Permissions
from authproxy.proxy.merged_catalog import DEFAULT_PAGE, Share, answer_catalog
from authproxy.proxy.queries import Inquiry
from authproxy.proxy.rename import Renaming
from authproxy.reference import Tag
from authproxy.route import Kind, Route

# A manifest as registries take it, in bytes (OCI Distribution 1.1, "Pushing Manifests").
MAX_MANIFEST_BYTES = 4 * 1024 * 1024

# Entries of a page of a list, at most.
MAX_PAGE = 1000

# Tags that must stay and that are looked at before a manifest is deleted from under them.
MAX_TAGS = 1000


class Restrict:
    """Pass on what the caller's permissions allow; where the scope has none, everything."""

    def __init__(self, app: asgi.App) -> None:
        self.app = app

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Raises Denied, and what the upstream raises."""
        permissions: Permissions | None = scope.pop(PERMISSIONS, None)
        if permissions is None:
            await self.app(scope, receive, send)
            return
        route: Route = scope[asgi.ROUTE]
        inquiry = Inquiry(self.app, scope)
        match route:
            case Route(kind=Kind.CATALOG):
                await _answer_catalog(self.app, scope, receive, send, permissions)
                return
            case Route(kind=Kind.TAGS, repository=str(name)) if permissions.concern("pull"):
                if await inquiry.has_repository(name):
                    await _answer_tags(inquiry, scope, send, permissions)
                    return
            case Route(kind=Kind.UPLOADS, repository=str(name)):
                await _check_create(inquiry, name, permissions)
            case Route(kind=Kind.MANIFEST, method="PUT", repository=str(name)):
                await _check_create(inquiry, name, permissions)
                if permissions.concern("overwrite"):
                    receive = await _check_overwrite(inquiry, route, receive, permissions)
            case Route(
                kind=Kind.MANIFEST | Kind.BLOB, method="DELETE", repository=str(name), reference=Digest() as digest
            ):
                if permissions.concern("delete"):
                    await _check_delete(inquiry, name, digest, permissions)
            case _:
                pass
        await self.app(scope, receive, send)


async def _check_create(inquiry: Inquiry, name: str, permissions: Permissions) -> None:
    if not permissions.concern("create"):
        return
    refusal = permissions.refusal("create")
    if refusal is not None and not await inquiry.has_repository(name):
        raise refusal


async def _check_overwrite(
    inquiry: Inquiry, route: Route, receive: asgi.Receive, permissions: Permissions
) -> asgi.Receive:
    """Look at the tags that a manifest would move. What was read of it is handed on by the `receive` returned."""
    refusals = {tag: refusal for tag in _tags(route) if (refusal := permissions.refusal("overwrite", tag))}
    if not refusals:
        return receive
    try:
        body = await asgi.read_body(receive, MAX_MANIFEST_BYTES)
    except asgi.ContentTooLong:
        raise ContentTooLarge(f"a manifest has at most {MAX_MANIFEST_BYTES} bytes") from None
    names = (None, str(route.reference), str(await asyncio.to_thread(Digest.of, body)))
    for tag, refusal in refusals.items():
        if await inquiry.find_digest(str(route.repository), tag) not in names:
            raise refusal
    unread = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> asgi.Message:
        return unread.pop() if unread else await receive()

    return receive_again


def _tags(route: Route) -> list[Tag]:
    """The tags that a push sets: the one in its path, or those beside a digest."""
    if isinstance(route.reference, Digest):
        return [Tag(value) for name, value in route.query if name == "tag"]
    return [] if route.reference is None else [route.reference]


async def _check_delete(inquiry: Inquiry, name: str, digest: Digest, permissions: Permissions) -> None:
    """Raise Denied where a tag that the caller may not delete needs this content, directly or by an index."""
    needed: dict[str, Denied] = {}  # manifests that are to stay, each with the word of a tag that needs it
    async with aclosing(inquiry.tags(name)) as pieces:
        async for tag in (tag async for tags in pieces for tag in tags):
            if refusal := permissions.refusal("delete", Tag(tag)):
                needed[tag] = refusal
            if len(needed) > MAX_TAGS:
                raise Denied(f"{refusal}, and it may need this: more than {MAX_TAGS} tags are to stay here")
    unread = list(needed)
    while unread:
        reference = unread.pop()
        content = await inquiry.read_manifest(name, reference)
        mentions = read_mentions(content)
        if digest in (*mentions.blobs, *mentions.manifests, Digest.of(content, digest.algorithm)):
            raise needed[reference]
        for inner in mentions.manifests:
            if str(inner) not in needed:
                needed[str(inner)] = needed[reference]
                unread.append(str(inner))


async def _answer_catalog(
    app: asgi.App, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send, permissions: Permissions
) -> None:
    page = parse_page(scope[asgi.ROUTE], default=DEFAULT_PAGE).at_most(MAX_PAGE)
    everything = Share(app, "", Renaming(), lambda _: True)
    await answer_catalog([everything], scope, receive, send, permissions.shows_repository, page)


async def _answer_tags(inquiry: Inquiry, scope: asgi.Scope, send: asgi.Send, permissions: Permissions) -> None:
    route: Route = scope[asgi.ROUTE]
    path = f"/v2/{route.repository}/tags/list"
    page = parse_page(route).at_most(MAX_PAGE)
    found = await find_shown(inquiry.tags(str(route.repository), page.last), permissions.shows_tag, page)
    shown, link = next_link(scope[asgi.ORIGIN], path, page, found)
    body = f'{{"name":"{route.repository}","tags":{to_json(shown)}}}'.encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *link]
    await asgi.respond(send, 200, headers, b"" if scope["method"] == "HEAD" else body)
