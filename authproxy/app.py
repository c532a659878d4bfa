"""Settings in, the ASGI application out: the only module that knows every part.

Observe → ResponseHeaders → Errors → DecideOrigin ─┬─ /v2/… → Authorize → SignSessions → core or upstream
                                                     └─ else  → FastAPI: /token, /.well-known/jwks.json
"""

import asyncio
import contextlib
import hmac
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import TypeAlias

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from authproxy import log
from authproxy.asgi import App, Receive, Scope, Send, respond
from authproxy.config.auth import Auth, AuthHtpasswd, AuthToken
from authproxy.config.model import Mode, Settings, Token
from authproxy.edge.accesslog import AccessLog
from authproxy.edge.authorize import Authorize, BasicAccess, ParseRoute
from authproxy.edge.challenge import BasicChallenge, BearerChallenge
from authproxy.edge.errors import Errors, render
from authproxy.edge.forwarded import DecideOrigin
from authproxy.edge.headers import BASE_PATH, ResponseHeaders, is_registry_path
from authproxy.edge.observe import Observe, Served
from authproxy.edge.sessions import SessionSigner, SignSessions
from authproxy.errors import EndpointUnknown, RegistryError, Unsupported
from authproxy.identity.directory import Directory
from authproxy.identity.htpasswd import provision_htpasswd
from authproxy.identity.passwords import Passwords
from authproxy.identity.source import Source, htpasswd_source, users_source
from authproxy.policy.live import Policies
from authproxy.proxy.upstream import Upstream
from authproxy.registry.core import Core
from authproxy.registry.rules import Rules
from authproxy.storage.filesystem import FilesystemDriver
from authproxy.token.foreign import ForeignKeys
from authproxy.token.grant import EveryUserEverything, TokenService
from authproxy.token.issuer import Issuer
from authproxy.token.keyring import KeyRing
from authproxy.token.refresh import RefreshTokens
from authproxy.token.routes import token_routes
from authproxy.token.verifier import foreign_verifier, own_verifier
from authproxy.watch import Reloadable, keep_fresh

Layer: TypeAlias = Callable[[App], App]


@dataclass
class Parts:
    """What the application must look after while it runs."""

    reloadables: list[Reloadable] = field(default_factory=list)
    closers: list[Callable[[], Awaitable[None]]] = field(default_factory=list)


def create(settings: Settings, fallback_secret: bytes) -> App:
    """Put the application together. Raises StartError where something it needs is missing or wrong.

    `fallback_secret` signs upload sessions where neither `http.secret` nor a key ring gives a lasting one: the same
    for all workers of a server.
    """
    log.configure(settings.log)
    parts = Parts()
    registry = _backend(settings, parts)
    pages = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    for layer in reversed(_registry_layers(settings, parts, pages, fallback_secret)):
        registry = layer(registry)
    _answer_errors(pages)
    app: App = _Paths(registry, pages)
    layers: list[Layer] = [  # outermost first: the order in which a request meets them
        partial(Observe, sinks=_sinks(settings)),
        partial(ResponseHeaders, headers=settings.http.headers),
        Errors,
        partial(
            DecideOrigin,
            trusted=settings.http.trustedproxies,
            public_url=settings.http.host,
            relative_locations=settings.http.relativeurls,
        ),
    ]
    for layer in reversed(layers):
        app = layer(app)
    return _Lifespan(app, parts)


def _sinks(settings: Settings) -> list[Callable[[Served], None]]:
    """Who is told what became of each request."""
    is_told = log.LEVELS[settings.log.level] <= log.LEVELS["info"] and not settings.log.accesslog.disabled
    return [AccessLog(log.renderer()).record] if is_told else []


def _registry_layers(settings: Settings, parts: Parts, pages: FastAPI, fallback_secret: bytes) -> list[Layer]:
    """What stands before the backend, by mode; where we issue tokens, `pages` gets the routes for it."""
    gate: Layer
    match settings:
        case Settings(mode=Mode.OPEN):
            return [ParseRoute]
        case Settings(mode=Mode.BASIC, auth=Auth(htpasswd=AuthHtpasswd() as htpasswd)):
            provision_htpasswd(htpasswd.path)
            basic = BasicAccess(_directory(settings, parts, key=fallback_secret), _policies(settings, parts))
            gate = partial(Authorize, challenge=BasicChallenge(htpasswd.realm), basic=basic)
            return [gate, _sign_sessions(settings, fallback_secret)]
        case Settings(mode=Mode.VERIFY, auth=Auth(token=AuthToken() as token)):
            keys = ForeignKeys(rootcertbundle=token.rootcertbundle, jwks=token.jwks, algorithms=token.signingalgorithms)
            parts.reloadables.append(keys)
            gate = partial(
                Authorize,
                challenge=BearerChallenge(token.service, token.realm),
                verifier=foreign_verifier(keys, issuer=token.issuer, service=token.service),
            )
            return [gate, _sign_sessions(settings, fallback_secret)]
        case Settings(mode=Mode.ISSUE, token=Token() as token):
            keyring = KeyRing.open(token.keys)
            parts.reloadables.append(keyring)
            directory = _directory(settings, parts, key=keyring.secret("stamps"))
            policies = _policies(settings, parts)
            pages.include_router(token_routes(_token_service(token, keyring, directory, policies)))
            gate = partial(
                Authorize,
                challenge=BearerChallenge(token.service, token.realm),
                verifier=own_verifier(keyring, issuer=token.issuer, service=token.service),
                basic=BasicAccess(directory, policies),
            )
            return [gate, _sign_sessions(settings, keyring.secret("sessions"))]
        case _:
            raise AssertionError(f"a mode without its section: {settings.mode}")


def _token_service(
    token: Token, keyring: KeyRing, directory: Directory, policies: Policies | EveryUserEverything
) -> TokenService:
    return TokenService(
        service=token.service,
        identities=directory,
        policies=policies,
        issuer=Issuer(keyring, token.issuer, token.service, int(token.lifetime.total_seconds())),
        refresh=RefreshTokens(keyring.secret("refresh tokens"), issuer=token.issuer, service=token.service),
        jwks=keyring.jwks,
    )


def _directory(settings: Settings, parts: Parts, *, key: bytes) -> Directory:
    passwords = Passwords()
    parts.closers.append(passwords.close)
    sources: list[Source] = []
    for identity in settings.sources:
        if identity.htpasswd is not None:
            sources.append(htpasswd_source(identity.htpasswd.path, passwords=passwords, key=key))
        if identity.users is not None:
            sources.append(users_source(identity.users.path, passwords=passwords, key=key))
    directory = Directory(sources, passwords=passwords, key=key)
    parts.reloadables.append(directory)
    return directory


def _policies(settings: Settings, parts: Parts) -> Policies | EveryUserEverything:
    if settings.policies is None:
        return EveryUserEverything()
    policies = Policies(settings.policies.path)
    parts.reloadables.append(policies)
    return policies


def _backend(settings: Settings, parts: Parts) -> App:
    if settings.upstream is not None:
        upstream = Upstream(
            settings.upstream.url,
            pass_authorization=settings.upstream.authorization == "pass",
            ca=settings.upstream.ca,
        )
        parts.closers.append(upstream.aclose)
        return upstream
    assert settings.storage is not None
    assert settings.storage.filesystem is not None
    driver = FilesystemDriver(settings.storage.filesystem.rootdirectory)
    parts.closers.append(driver.close)
    return Core(driver, Rules(delete_enabled=settings.storage.delete.enabled))


def _sign_sessions(settings: Settings, secret: bytes) -> Layer:
    if settings.http.secret is not None:
        secret = hmac.digest(settings.http.secret.get_secret_value().encode(), b"authproxy upload sessions", "sha256")
    return partial(SignSessions, signer=SessionSigner(secret), now=time.time)


def _answer_errors(pages: FastAPI) -> None:
    """Errors of the pages go through the same writer as the registry's; the framework's own never show."""

    def answer(error: RegistryError) -> Response:
        status, headers, body = render(error)
        return Response(body, status, dict(headers))

    @pages.exception_handler(RegistryError)
    def answer_ours(request: Request, error: RegistryError) -> Response:
        del request
        return answer(error)

    @pages.exception_handler(HTTPException)
    def answer_the_frameworks(request: Request, error: HTTPException) -> Response:
        path = request.url.path[:300]
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = (error.headers or {}).get("Allow", "")
            return answer(Unsupported(f"{request.method} is not supported here", headers=[("Allow", allowed)]))
        return answer(EndpointUnknown(f"there is nothing at this path; the registry is at {BASE_PATH}", detail=path))


class _Paths:
    """The registry's API below /v2/, everything else to the pages."""

    def __init__(self, registry: App, pages: App) -> None:
        self.registry = registry
        self.pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/v2":
            await respond(send, 301, [("Location", BASE_PATH), ("Content-Length", "0")])
        elif is_registry_path(scope["path"]):
            await self.registry(scope, receive, send)
        else:
            await asyncio.sleep(0)  # the framework wants a task (http1/cycle.py)
            await self.pages(scope, receive, send)


class _Lifespan:
    """The outermost layer: starts and ends what runs beside the requests, and lets nothing but HTTP pass."""

    def __init__(self, app: App, parts: Parts) -> None:
        self.app = app
        self.parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self.app(scope, receive, send)
            case "lifespan":
                await self._live(receive, send)
            case other:
                raise RuntimeError(f"{other} is not served")

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()  # startup
        fresh = asyncio.create_task(keep_fresh(self.parts.reloadables), name="keep fresh")
        await send({"type": "lifespan.startup.complete"})
        await receive()  # shutdown
        fresh.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await fresh
        for close in self.parts.closers:
            await close()
        await send({"type": "lifespan.shutdown.complete"})
