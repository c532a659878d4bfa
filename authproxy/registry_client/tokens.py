"""Authorization by what a registry's challenge asks for: Basic, or tokens from its realm, each used until it ends.

Docker token authentication; OAuth2's form for identity tokens (docs, "Authenticate via OAuth2").
"""

import asyncio
import base64
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from authproxy.access import Access, format_scopes
from authproxy.clock import Clock
from authproxy.http.client.bounded_body import BadBody, read_body
from authproxy.http.client.challenge import parse_challenge
from authproxy.registry_client.docker_config import Login
from authproxy.registry_client.errors import RemoteError, refused
from authproxy.registry_client.retry import persist

CLIENT_ID = "authproxy"

# Docker token authentication: without `expires_in` a token is good for a minute.
DEFAULT_LIFETIME_S = 60
MAX_LIFETIME_S = 24 * 60 * 60

# Tokens are headers; those of registries that name many repositories take some kilobytes.
MAX_ANSWER_BYTES = 1 << 20

# A token is used for so much of its life: what is sent now is verified a moment later, by another clock.
USED_FOR = 0.8


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    until: float


class Authorizer:
    """The `Authorization` for requests to one registry, learned from its challenges."""

    def __init__(self, host: str, login: Login | None, client: httpx.AsyncClient, now: Clock) -> None:
        self._host = host
        self._login = login
        self._client = client
        self._now = now
        self.wants_identity = False  # to be told an identity token too, with a token for the login's password
        self.identity_token = ""  # what was told then
        self._basic: str | None = None  # what needs no token server: a password, or the registry's own token
        self._tokens: dict[tuple[Access, ...], _Token] = {}
        self._fetching: defaultdict[tuple[Access, ...], asyncio.Lock] = defaultdict(asyncio.Lock)

    def find(self, needs: Sequence[Access]) -> str | None:
        """The header's value for what was authorized before. None where nothing is known to fit."""
        token = self._tokens.get(tuple(needs))
        return f"Bearer {token.text}" if token is not None and self._now() < token.until else self._basic

    async def answer(
        self, challenges: Sequence[str], needs: Sequence[Access], refused: str | None = None
    ) -> str | None:
        """The header's value that answers a 401. None where there is nothing to answer with. Raises RemoteError.

        `refused` is the one that was sent. Requests that are refused at the same time are answered by one new token.
        """
        challenge = parse_challenge(challenges)
        if self._login is not None and self._login.registry_token:  # it is used as it stands, and never renewed
            self._basic = None if refused else f"Bearer {self._login.registry_token}"
            return self._basic
        if challenge is None:
            is_basic = any(value.lower().startswith("basic") for value in challenges)
            if not is_basic or self._login is None or self._login.identity_token:
                return None
            self._basic = format_basic(self._login.user, self._login.password)
            return self._basic
        async with self._fetching[tuple(needs)]:
            known = self.find(needs)
            if known is not None and known not in (refused, self._basic):
                return known
            token = await self._fetch(challenge.realm, challenge.service, needs)
            self._tokens[tuple(needs)] = token
            return f"Bearer {token.text}"

    async def _fetch(self, realm: str, service: str | None, needs: Sequence[Access]) -> _Token:
        if self._login is not None and not may_tell(realm, self._host):
            raise RemoteError(
                f"{self._host} sends us for a token to {realm[:200]!r}, which is not its own: the password stays here"
            )
        scopes = format_scopes(needs)
        fields = {} if service is None else {"service": service}
        what = f"a token from {realm}"
        try:
            if self._login is not None and self._login.identity_token:
                form = fields | {"grant_type": "refresh_token", "client_id": CLIENT_ID, "scope": " ".join(scopes)}
                form["refresh_token"] = self._login.identity_token
                request = self._client.build_request("POST", realm, data=form)
            else:
                query = [*fields.items(), *(("scope", scope) for scope in scopes)]
                headers = {}
                if self._login is not None:
                    query.append(("account", self._login.user))
                    if self.wants_identity:
                        query += [("client_id", CLIENT_ID), ("offline_token", "true")]
                    headers["Authorization"] = format_basic(self._login.user, self._login.password)
                url = httpx.URL(realm).copy_merge_params(httpx.QueryParams(tuple(query)))
                request = self._client.build_request("GET", url, headers=headers)
            answer = await persist(lambda: self._send(request))
        except BadBody as error:
            raise RemoteError(f"{what} is not to be had: it answers with {error}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RemoteError(f"{what} is not to be had: {str(error) or type(error).__name__}") from error
        if answer.status_code != httpx.codes.OK:
            raise refused(answer, what)
        return self._read(answer, what)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        answer = await self._client.send(request, stream=True)
        content = await read_body(answer, MAX_ANSWER_BYTES)
        kept = {name: answer.headers[name] for name in ("retry-after",) if name in answer.headers}
        return httpx.Response(answer.status_code, content=content, headers=kept, request=request)

    def _read(self, answer: httpx.Response, what: str) -> _Token:
        try:
            body: Any = answer.json()
        except (ValueError, RecursionError):
            body = None
        match body:
            case {"token": str(text)} | {"access_token": str(text)} if text.isascii() and text.isprintable():
                lifetime = body.get("expires_in")
                if self.wants_identity and isinstance(identity := body.get("refresh_token"), str):
                    self.identity_token = identity
                seconds = lifetime if isinstance(lifetime, int | float) else DEFAULT_LIFETIME_S
                return _Token(text, self._now() + USED_FOR * min(max(DEFAULT_LIFETIME_S, seconds), MAX_LIFETIME_S))
            case _:
                raise RemoteError(f"{what} is not to be had: the answer has none")


def format_basic(user: str, password: str) -> str:
    """The header's value for a name and a password: RFC 7617."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def may_tell(realm: str, host: str) -> bool:
    """Whether a realm is the registry's own: its host, below it (auth.docker.io), or beside it (gitlab.example.org).

    Never one that is spoken to without TLS, but on the registry's own host, which may itself be. A registry that names
    a realm of somebody else would have our password sent there (CVE-2020-15157 and its kin).
    """
    try:
        parts, own = urlsplit(realm), urlsplit(f"//{host}").hostname or ""
        theirs = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme not in {"http", "https"} or not theirs or "@" in parts.netloc:
        return False
    if theirs == own:
        return True
    places = {own, _domain(own)} - {""} if _is_name(own) else set()
    return parts.scheme == "https" and any(theirs == place or theirs.endswith(f".{place}") for place in places)


def _is_name(host: str) -> bool:
    """Whether what ends in this host is below it: of `10.0.0.1`, `::1` and `localhost` nothing is."""
    return "." in host and ":" not in host and not host.rpartition(".")[2].isdigit()


def _domain(host: str) -> str:
    """What a host is directly below, where that belongs to one owner as far as one can tell; else "".

    `.org` belongs to nobody, and `.co.uk` neither; which suffixes are so, only a list that changes could tell.
    """
    first, *rest = host.partition(".")[2].split(".")
    is_suffix = not rest or (len(rest) == 1 and len(rest[0]) == COUNTRY_LETTERS and len(first) <= MAX_SUFFIX_LETTERS)
    return "" if is_suffix else ".".join([first, *rest])


# `co.uk`, `com.au`, `or.jp`, `gov.br`: what a country's names are below.
COUNTRY_LETTERS = 2
MAX_SUFFIX_LETTERS = 3
