"""The credentials that our configuration presents to an upstream, made as the proxy makes them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from authproxy.access import Access
from authproxy.clock import Clock
from authproxy.config.mode import Mode
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.tokens.examine import Ours, signing_now
from authproxy.doctor.upstream.proxy_requests import CredentialSource
from authproxy.doctor.upstream.site import Site
from authproxy.errors import StartError
from authproxy.http.client.tls import TlsFiles, open_tls
from authproxy.proxy.bearer import Bearer, TokenServer
from authproxy.proxy.credentials import FixedBasic


@dataclass(frozen=True, slots=True)
class OurTokens:
    """A token for each request, with its access, for a minute. `ours` can sign: `signing_now` is not None."""

    ours: Ours
    now: Clock

    async def authorization(self, needs: Sequence[Access]) -> bytes:
        """The value of `Authorization`."""
        return f"Bearer {signing_now(self.ours, self.now(), needs)}".encode()


def needs_our_keys(site: Site, mode: Mode) -> bool:
    """Whether the upstream gets tokens that our keys sign. `mode` says which credentials clients send."""
    authorization = site.section.authorization
    return authorization == "mint" or (authorization == "pass" and mode is Mode.ISSUE)


def open_presents(site: Site, ours: Ours | None) -> CredentialSource | Finding | None:
    """The credentials of requests; None if there are none, or only a client has them. A finding if they are missing.

    `ours` is set if our keys are needed.
    """
    section = site.section
    try:
        match section.authorization:
            case "basic":
                return _login(site)
            case "bearer":
                files = TlsFiles(section.ca, section.certificate, section.key, section.servername)
                tls = open_tls(site.addresses[0].scheme, files)
                name, login = section.servername, _login(site)
                server = TokenServer(site.addresses, tls=tls, server_name=name, login=login, allowed=section.realms)
                return Bearer(server.fetch, time.monotonic)
            case _:
                return None if ours is None else _our_tokens(site, ours)
    except StartError as exc:
        fix = f"{site.place('passwordfile')}: a file that the account of authproxy may read"
        return Finding(Level.FAILED, "auth", str(exc), fix)


def _login(site: Site) -> FixedBasic | None:
    section = site.section
    if section.username is None or section.passwordfile is None:
        return None
    return FixedBasic(section.username, section.passwordfile)


def _our_tokens(site: Site, ours: Ours) -> OurTokens | Finding:
    if not ours.can_sign(time.time()):
        what = "it gets our tokens, and none can be made: the key that signs has no certificate yet"
        return Finding(Level.UNKNOWN, "auth", what, "the next start of authproxy issues it")
    service = site.section.service  # of `mint`
    return OurTokens(ours if service is None else replace(ours, service=service), time.time)
