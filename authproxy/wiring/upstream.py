"""The section `upstream` → the backend that is another registry, and the tokens that we mint for it."""

import time
from collections.abc import Sequence
from functools import partial

from authproxy.access import Access
from authproxy.config.sections.token import Token as TokenSection
from authproxy.config.sections.upstream import Upstream as Section
from authproxy.config.sections.upstream import UpstreamHealth
from authproxy.errors import StartError
from authproxy.http.client.address import parse_addresses
from authproxy.http.client.tls import TlsFiles, open_tls
from authproxy.http.client.token import Token
from authproxy.metrics.families import UPSTREAM_FAILURES, UPSTREAM_IN_FLIGHT, UPSTREAM_UP
from authproxy.metrics.metrics import Metrics
from authproxy.principal import Principal
from authproxy.proxy.balancer import HealthCheck
from authproxy.proxy.bearer import Bearer, TokenServer, minted_bearer
from authproxy.proxy.credentials import Credentials, FixedBasic
from authproxy.proxy.upstream import Upstream
from authproxy.token.issuer import Issuer
from authproxy.token.jose_header import HeaderStyle
from authproxy.token.keyring import KeyRing
from authproxy.wiring.lifespan import Parts

# The subject of the tokens that we mint for an upstream. Our log and audit name the caller, by the request's id.
SUBJECT = "authproxy"


def make_upstream(section: Section, parts: Parts, token: TokenSection | None) -> Upstream:
    """The upstream of a section; it is closed with `parts`. `token` has the keys for minted tokens.

    Raises StartError if one of its files cannot be used.
    """
    upstream = Upstream(
        section.urls,
        pass_authorization=section.authorization == "pass",
        credentials=_make_credentials(section, parts, token),
        follows_redirects=section.redirect == "follow",
        storages=section.redirecthosts,
        tls=_tls_files(section),
    )
    parts.closers.append(upstream.aclose)
    _watch(upstream, parts.metrics)
    if section.health is not None:
        name = f"health of upstream {len(parts.runners)}: {', '.join(section.urls)}"
        parts.runners[name] = partial(upstream.watch_health, _health_check(section.health))
    return upstream


def _watch(upstream: Upstream, metrics: Metrics) -> None:
    """Add its addresses to the metrics."""
    metrics.watch(UPSTREAM_UP, lambda: {(state.url,): state.is_up for state in upstream.states()})
    metrics.watch(UPSTREAM_IN_FLIGHT, lambda: {(state.url,): state.in_flight for state in upstream.states()})
    metrics.watch(UPSTREAM_FAILURES, lambda: {(state.url,): state.failed for state in upstream.states()})


def _make_credentials(section: Section, parts: Parts, token: TokenSection | None) -> Credentials | None:
    login = None
    if section.username is not None and section.passwordfile is not None:
        login = FixedBasic(section.username, section.passwordfile)
        parts.reloadables.append(login)
    match section.authorization:
        case "basic":
            return login
        case "bearer":
            addresses = parse_addresses(section.urls)
            tls = open_tls(addresses[0].scheme, _tls_files(section))
            server = TokenServer(
                addresses, tls=tls, server_name=section.servername, login=login, allowed=section.realms
            )
            return Bearer(server.fetch, time.monotonic)
        case "mint":
            if token is None:
                raise StartError("upstream.authorization: mint signs with token.keys; write token, or another value")
            minter = RingMinter.open(token, str(section.service))
            parts.reloadables.append(minter.keyring)
            return minted_bearer(minter, time.monotonic)
        case _:
            return None


def _tls_files(section: Section) -> TlsFiles:
    return TlsFiles(section.ca, section.certificate, section.key, section.servername)


def _health_check(row: UpstreamHealth) -> HealthCheck:
    return HealthCheck(row.path, row.interval.total_seconds(), row.timeout.total_seconds(), row.threshold)


class RingMinter:
    """Issues tokens of our own key ring to a registry behind us: see `proxy.bearer.Minter`."""

    def __init__(self, keyring: KeyRing, issuer: Issuer) -> None:
        self.keyring = keyring
        self._issuer = issuer

    @classmethod
    def open(cls, section: TokenSection, service: str) -> "RingMinter":
        """With the keys, the issuer, the lifetime and the header of our own tokens, for another audience.

        Raises StartError if the keys cannot be used.
        """
        style = HeaderStyle(section.kid, section.x5c)
        keyring = KeyRing.open(section.keys, algorithm=section.algorithm, style=style)
        lifetime_s = int(section.lifetime.total_seconds())
        return cls(keyring, Issuer(keyring, section.issuer, service, lifetime_s, style=style))

    def mint(self, needs: Sequence[Access]) -> Token:
        """See Minter. Raises Unavailable if no key signs."""
        issued = self._issuer.issue(Principal(SUBJECT), needs)
        return Token(issued.token, issued.expires_in)
