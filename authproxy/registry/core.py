"""The core: a complete registry, as one ASGI application above any storage driver.

The edge has parsed the route, checked the access and decided the client view; the core trusts these, the caller's name
and permissions if there are any, and nothing else in the scope. A handler answers, or raises a RegistryError that the
edge turns into the response.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeAlias
from uuid import UUID, uuid4

from authproxy import asgi
from authproxy.errors import Unsupported
from authproxy.permissions import PERMISSIONS
from authproxy.registry.blobs import Blobs
from authproxy.registry.catalog import Catalog
from authproxy.registry.content import CoreContent
from authproxy.registry.deleter import Deleter
from authproxy.registry.deletions import Deletions
from authproxy.registry.exchange import Exchange
from authproxy.registry.manifest_list import ManifestList
from authproxy.registry.manifests import Manifests
from authproxy.registry.mount_sources import MountSources
from authproxy.registry.options import Rules
from authproxy.registry.promises import Promises
from authproxy.registry.publisher import Publisher
from authproxy.registry.pull_log import PullLog
from authproxy.registry.quarantine import Quarantine
from authproxy.registry.referrers import Referrers
from authproxy.registry.response_cache import CachedResponse
from authproxy.registry.sessions import Sessions
from authproxy.registry.tags import Tags
from authproxy.registry.uploads import Uploads
from authproxy.route import METHODS, Kind
from authproxy.storage.driver import Driver

Handler: TypeAlias = Callable[[Exchange], Awaitable[None]]


class Core:
    """Blobs, manifests, referrers, tags and the catalog of one storage. The caller closes the driver."""

    def __init__(
        self,
        driver: Driver,
        rules: Rules,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], UUID] = uuid4,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        pulls: PullLog | None = None,
    ) -> None:
        self._quarantine = Quarantine(driver, is_read_only=rules.read_only)
        whole, driver = driver, self._quarantine.storage  # without what is damaged: clients push that again
        tags = Tags(driver, max_page=rules.max_tags)
        self.content = CoreContent(driver, tags)
        deletions = Deletions(driver)
        deleter = Deleter(whole, tags, deletions, now=now)
        self._promises = Promises(driver, changed=self._forget_responses, is_read_only=rules.read_only)
        publisher = Publisher(driver, deletions, self._promises, now=now, sleep=sleep)
        self._blobs = blobs = Blobs(driver, self.content, deleter, self._promises)
        self._manifests = manifests = Manifests(
            driver, tags, self.content, rules.manifests, publisher, deleter, self._promises, pulls
        )
        referrers = Referrers(driver, tags)
        manifest_list = ManifestList(driver, tags)
        sessions = Sessions(driver, now=now, new_id=new_id)
        uploads = Uploads(driver, sessions, MountSources(driver), self.content, self._promises)
        catalog = Catalog(driver, rules.max_catalog_entries)
        handlers: dict[tuple[Kind, str], Handler] = {
            (Kind.BASE, "GET"): _base,
            (Kind.CATALOG, "GET"): catalog.get,
            (Kind.TAGS, "GET"): tags.get,
            (Kind.MANIFEST, "GET"): manifests.get,
            (Kind.MANIFEST, "PUT"): manifests.put,
            (Kind.MANIFEST, "DELETE"): manifests.delete,
            (Kind.BLOB, "GET"): blobs.get,
            (Kind.BLOB, "DELETE"): blobs.delete,
            (Kind.UPLOADS, "POST"): uploads.post,
            (Kind.UPLOAD, "GET"): uploads.get,
            (Kind.UPLOAD, "PATCH"): uploads.patch,
            (Kind.UPLOAD, "PUT"): uploads.put,
            (Kind.UPLOAD, "DELETE"): uploads.delete,
            (Kind.REFERRERS, "GET"): referrers.get,
            (Kind.MANIFESTS, "GET"): manifest_list.get,
        }
        self._handlers = {
            (kind, method): _refuser(rules, kind, reason) if (reason := rules.refusal(kind, method)) else handler
            for (kind, method), handler in handlers.items()
        }

    def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> Awaitable[None]:
        """Answer one request under /v2/. Raises RegistryError before a response has begun, and ClientDisconnected."""
        route = scope[asgi.ROUTE]
        exchange = Exchange(
            route,
            scope[asgi.CLIENT_VIEW],
            scope["headers"],
            receive,
            send,
            scope.get(PERMISSIONS),
            scope.get(asgi.GRANT),
        )
        handler = self._handlers.get((route.kind, "GET" if route.method == "HEAD" else route.method))
        if handler is None:
            raise Unsupported(headers=[("Allow", ", ".join(METHODS[route.kind]))])
        if self._quarantine.is_due:
            return self._look_first(handler, exchange)
        return handler(exchange) if self._quarantine.is_empty else self._quarantine.explain(handler(exchange))

    def _forget_responses(self) -> None:
        self._blobs.forget_responses()
        self._manifests.forget_responses()

    async def _look_first(self, handler: Handler, exchange: Exchange) -> None:
        # In this order: no request passes before both have looked once.
        await self._promises.look()
        await self._quarantine.look()
        await (handler(exchange) if self._quarantine.is_empty else self._quarantine.explain(handler(exchange)))


_BASE = CachedResponse(b"{}", "application/json")


def _base(exchange: Exchange) -> Awaitable[None]:
    return _BASE.send(exchange)


def _refuser(rules: Rules, kind: Kind, reason: str) -> Handler:
    allowed = ", ".join(method for method in METHODS[kind] if rules.refusal(kind, method) is None)

    async def refuse(_: Exchange) -> None:
        raise Unsupported(reason, headers=[("Allow", allowed)])

    return refuse
