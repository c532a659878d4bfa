"""Authentication and authorization by mode: the layers before the backend and the endpoints; keys, users, policies."""

import hmac
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

from authproxy.asgi import App
from authproxy.audit.event import Record
from authproxy.config.mode import Mode
from authproxy.config.sections.auth import Auth, AuthHtpasswd, AuthSilly, AuthToken
from authproxy.config.sections.identities import HtpasswdSource, Identity, UsersSource
from authproxy.config.sections.storage import UploadPurging
from authproxy.config.sections.token import Token
from authproxy.config.settings import Settings
from authproxy.edge.audit import AuditRefusals
from authproxy.edge.authorize import Authorize, BasicAccess, ParseRoute, TokenVerifier, Users
from authproxy.edge.challenge import BasicChallenge, BearerChallenge, ChallengeMaker
from authproxy.edge.signed_sessions import SessionSigner, SignSessions
from authproxy.edge.silly_auth import AcceptAnything
from authproxy.edge.tag_rules import EnforceTagRules
from authproxy.errors import StartError
from authproxy.identity.directory import Directory
from authproxy.identity.file_source import htpasswd_source, users_source
from authproxy.identity.htpasswd import provision_htpasswd
from authproxy.identity.passwords import Passwords
from authproxy.identity.source import LocalUsers
from authproxy.metrics.logins import CountedLogins
from authproxy.policy.policies import Policies
from authproxy.token.audit import TokenAudit
from authproxy.token.foreign import ForeignKeys
from authproxy.token.grant import TokenService
from authproxy.token.issuer import Issuer
from authproxy.token.jose_header import HeaderStyle
from authproxy.token.jwks_endpoint import Issued
from authproxy.token.keyring import KeyRing
from authproxy.token.misplaced_refresh_token import RefuseMisplacedRefreshTokens
from authproxy.token.refresh import RefreshTokens
from authproxy.token.revocations import NobodyRevoked, RevocationFolder, Revocations
from authproxy.token.stored_revocations import EitherRevokes, StoredRevocations
from authproxy.token.verifier import foreign_verifier, own_verifier
from authproxy.web.discovery import discovery_endpoints
from authproxy.web.endpoint import Endpoint
from authproxy.web.token import token_endpoints
from authproxy.wiring.audit import make_audit
from authproxy.wiring.lifespan import Parts
from authproxy.wiring.policy import EveryUserEverything, PolicyEvaluator, PolicyPermissions, PolicyReasons
from authproxy.wiring.state import REVOCATIONS, make_revocation_store, open_state

Layer: TypeAlias = Callable[[App], App]

# A push may take this long, in seconds, however soon uploads are purged: a slow line needs an hour for a layer.
LEAST_SESSION_S = 3600


class AuthWiring(NamedTuple):
    """The layers before the backend, outermost first, and the endpoints beside it."""

    layers: list[Layer]
    endpoints: Sequence[Endpoint] = ()


def make_auth(settings: Settings, parts: Parts, fallback_secret: bytes) -> AuthWiring:
    """The layers and endpoints of the mode. Only a server that issues tokens has endpoints."""
    if settings.audit is None:
        return _by_mode(settings, parts, fallback_secret, None)
    record = make_audit(settings.audit, parts)
    wiring = _by_mode(settings, parts, fallback_secret, record)
    return wiring._replace(layers=[partial(AuditRefusals, record=record), *wiring.layers])


def _by_mode(settings: Settings, parts: Parts, fallback_secret: bytes, record: Record | None) -> AuthWiring:
    match settings:
        case Settings(mode=Mode.OPEN):
            return AuthWiring([ParseRoute])
        case Settings(mode=Mode.SILLY, auth=Auth(silly=AuthSilly() as silly)):
            return AuthWiring([partial(AcceptAnything, challenge=BearerChallenge(silly.service, silly.realm))])
        case Settings(mode=Mode.BASIC, auth=Auth(htpasswd=AuthHtpasswd() as htpasswd)):
            provision_htpasswd(htpasswd.path)
            policies = _policies(settings, parts)
            granting = EveryUserEverything() if policies is None else PolicyEvaluator(policies)
            basic = BasicAccess(_directory(settings, parts, key=fallback_secret), granting)
            challenge = BasicChallenge(htpasswd.realm)
            layers = _authorizing(settings, fallback_secret, challenge=challenge, basic=basic, policies=policies)
            return AuthWiring(layers)
        case Settings(mode=Mode.VERIFY, auth=Auth(token=AuthToken() as token)):
            keys = ForeignKeys(rootcertbundle=token.rootcertbundle, jwks=token.jwks, algorithms=token.signingalgorithms)
            parts.reloadables.append(keys)
            layers = _authorizing(
                settings,
                fallback_secret,
                challenge=_foreign_challenge(token),
                verifier=foreign_verifier(keys, issuer=token.issuer, service=token.service),
            )
            return AuthWiring(layers)
        case Settings(mode=Mode.ISSUE, token=Token() as token):
            keyring = KeyRing.open(token.keys, algorithm=token.algorithm, style=_header_style(token))
            parts.reloadables.append(keyring)
            refresh = RefreshTokens(keyring.secret("refresh tokens"), issuer=token.issuer, service=token.service)
            directory = _directory(settings, parts, key=keyring.secret("stamps"), refresh=refresh)
            policies = _policies(settings, parts)
            assert policies is not None  # `check_token` requires policies
            evaluator, revocations = PolicyEvaluator(policies), _revocations(settings, token, keyring, parts)
            service = _token_service(token, keyring, directory, evaluator, refresh, revocations)
            endpoints = [
                *token_endpoints(service, TokenAudit(record) if record is not None else None),
                *discovery_endpoints(keyring, Issued(token.issuer, token.realm, token.refresh)),
            ]
            layers = _authorizing(
                settings,
                keyring.secret("sessions"),
                challenge=BearerChallenge(token.service, token.realm),
                verifier=own_verifier(keyring, issuer=token.issuer, service=token.service, revocations=revocations),
                basic=BasicAccess(directory, evaluator),
                reasons=PolicyReasons(directory, policies),
                users=directory,
                policies=policies,
            )
            return AuthWiring(layers, endpoints)
        case _:
            raise AssertionError(f"a mode without its section: {settings.mode}")


def _foreign_challenge(token: AuthToken) -> BearerChallenge:
    if token.autoredirect:
        return BearerChallenge(token.service, path=token.autoredirectpath)
    return BearerChallenge(token.service, token.realm)


def _token_service(
    token: Token,
    keyring: KeyRing,
    directory: CountedLogins,
    evaluator: PolicyEvaluator,
    refresh: RefreshTokens,
    revocations: Revocations,
) -> TokenService:
    return TokenService(
        service=token.service,
        identities=directory,
        policies=evaluator,
        issuer=Issuer(
            keyring, token.issuer, token.service, int(token.lifetime.total_seconds()), style=_header_style(token)
        ),
        refresh=refresh,
        revocations=revocations,
        gives_refresh=token.refresh,
        is_at_registry=token.realm is None,
    )


def _header_style(token: Token) -> HeaderStyle:
    return HeaderStyle(token.kid, token.x5c)


def _revocations(settings: Settings, token: Token, keyring: KeyRing, parts: Parts) -> Revocations:
    files = None if token.state is None else RevocationFolder(token.state)
    if files is not None:
        parts.reloadables.append(files)
    driver = open_state(settings, for_writing=False)
    if driver is None:
        return files or NobodyRevoked()
    parts.closers.append(driver.close)
    stored = StoredRevocations(make_revocation_store(settings, token, keyring.secret(REVOCATIONS), driver), files=files)
    parts.reloadables.append(stored)
    return stored if files is None else EitherRevokes(files, stored)


def _directory(settings: Settings, parts: Parts, *, key: bytes, refresh: RefreshTokens | None = None) -> CountedLogins:
    passwords = Passwords()
    parts.closers.append(passwords.close)
    local = [_local_users(identity, passwords, key, parts) for identity in settings.sources]
    directory = Directory(local, passwords=passwords, key=key)
    parts.reloadables.append(directory)
    return CountedLogins(
        directory if refresh is None else RefuseMisplacedRefreshTokens(directory, refresh), parts.metrics
    )


def _local_users(identity: Identity, passwords: Passwords, key: bytes, parts: Parts) -> LocalUsers:
    match identity:
        case Identity(htpasswd=HtpasswdSource(path=path)):
            return htpasswd_source(path, passwords=passwords, key=key, once=parts.once)
        case Identity(users=UsersSource(path=path)):
            return users_source(path, passwords=passwords, key=key, once=parts.once)
        case _:
            raise AssertionError(f"an identity source of no kind: {identity}")


def _policies(settings: Settings, parts: Parts) -> Policies | None:
    if settings.policies is None:
        return None
    if not settings.policies.path.exists():
        raise StartError(f"policies.path: there is no {settings.policies.path}; make it: a file or folder with rules")
    policies = Policies(settings.policies.path)
    parts.reloadables.append(policies)
    return policies


def _authorizing(
    settings: Settings,
    secret: bytes,
    *,
    challenge: ChallengeMaker,
    verifier: TokenVerifier | None = None,
    basic: BasicAccess | None = None,
    reasons: PolicyReasons | None = None,
    users: Users | None = None,
    policies: Policies | None = None,
) -> list[Layer]:
    """The layers that authorize requests, with sessions signed by `http.secret`, or by `secret` if that is not set."""
    if settings.http.secret is not None:
        secret = hmac.digest(settings.http.secret.get_secret_value().encode(), b"authproxy upload sessions", "sha256")
    signer = SessionSigner(secret)
    return [
        partial(
            Authorize,
            challenge=challenge,
            sessions=signer,
            verifier=verifier,
            basic=basic,
            reasons=reasons,
            users=users,
        ),
        *([] if policies is None else [partial(EnforceTagRules, find=PolicyPermissions(policies))]),
        partial(SignSessions, signer=signer, lifetime_s=_session_lifetime_s(settings), now=time.time),
    ]


def _session_lifetime_s(settings: Settings) -> int:
    """As long as the storage keeps an abandoned upload; for another registry, CNCF Distribution's default."""
    row = settings.storage.maintenance.uploadpurging if settings.storage is not None else UploadPurging()
    return max(int(row.age.total_seconds()), LEAST_SESSION_S)
