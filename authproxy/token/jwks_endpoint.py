"""Discovery for verifiers and clients: the key set, and where it is.

    /.well-known/jwks.json              the public keys (RFC 7517 §5)
    /.well-known/openid-configuration   their URL, and the algorithms (OpenID Connect Discovery 1.0 §3)

The second one has only members that are true of us: we are no OpenID provider, but libraries that verify a provider's
tokens find issuer, key set and algorithms there. For verifiers that compare the issuer with the URL of this document,
`token.issuer` must be the URL of this host.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from authproxy.asgi import CLIENT_VIEW, Receive, Scope, Send, find_header, respond
from authproxy.authorization import TOKEN_PATH
from authproxy.client_view import ClientView
from authproxy.errors import Unsupported
from authproxy.token.keyring import JWKS_MAX_AGE_S

JWKS_PATH = "/.well-known/jwks.json"
CONFIGURATION_PATH = "/.well-known/openid-configuration"

PASSWORD, REFRESH_TOKEN = "password", "refresh_token"  # RFC 6749 §4.3 and §6
CLAIMS = ("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "access")


class PublicKeys(Protocol):
    """The public part of the ring."""

    def jwks(self) -> dict[str, Any]:
        """The public keys that verify, as a key set."""

    def settled_s(self) -> float:
        """Seconds until the next change that is already set: a key begins to sign, or is retired."""


@dataclass(frozen=True, slots=True)
class Issued:
    """The issuer of our tokens, and the URL (None: `/token` on the requested host) and grant types for getting them."""

    issuer: str
    realm: str | None = None
    gives_refresh: bool = True


def jwks_endpoint(keys: PublicKeys) -> "DocumentEndpoint":
    """`JWKS_PATH`: the same for every client."""
    return DocumentEndpoint(lambda _scope: keys.jwks(), keys)


def configuration_endpoint(keys: PublicKeys, issued: Issued) -> "DocumentEndpoint":
    """`CONFIGURATION_PATH`, with URLs on the host of the request."""
    return DocumentEndpoint(lambda scope: describe(scope[CLIENT_VIEW], issued, keys.jwks()), keys)


def describe(view: ClientView, issued: Issued, jwks: Mapping[str, Any]) -> dict[str, Any]:
    """Members of OpenID Connect Discovery and RFC 8414 §2, without those that would be empty (§3.2)."""
    base = view.base_url + view.prefix
    return {
        "issuer": issued.issuer,
        "jwks_uri": base + JWKS_PATH,
        "token_endpoint": issued.realm or base + TOKEN_PATH,
        "grant_types_supported": [PASSWORD, *([REFRESH_TOKEN] if issued.gives_refresh else ())],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": sorted({key["alg"] for key in jwks["keys"]}),
        "claims_supported": CLAIMS,
    }


class DocumentEndpoint:
    """A public JSON document that may be cached for a while, and revalidated by its ETag."""

    ALLOWED: ClassVar = "GET, HEAD, OPTIONS"

    def __init__(self, content: Callable[[Scope], Mapping[str, Any]], keys: PublicKeys) -> None:
        self.content = content
        self.keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        del receive
        match scope["method"]:
            case "GET" | "HEAD" as method:
                await self._answer(scope, send, has_body=method == "GET")
            case "OPTIONS":
                await respond(send, 204, [("Allow", self.ALLOWED)])
            case other:
                raise Unsupported(f"{other} is not supported here", headers=[("Allow", self.ALLOWED)])

    async def _answer(self, scope: Scope, send: Send, *, has_body: bool) -> None:
        body = json.dumps(self.content(scope), separators=(",", ":"), ensure_ascii=False).encode()
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        # A cached copy must not outlive the moment at which another key signs or one is retired.
        max_age_s = int(min(JWKS_MAX_AGE_S, self.keys.settled_s()))
        headers = [("Cache-Control", f"public, max-age={max_age_s}"), ("ETag", tag)]
        if is_named(find_header(scope["headers"], b"if-none-match"), tag):
            await respond(send, 304, headers)
            return
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers]
        await respond(send, 200, headers, body if has_body else b"")


def is_named(none_match: str | None, tag: str) -> bool:
    """Whether `If-None-Match` has this tag (RFC 9110 §13.1.2: compared weakly), or is `*`."""
    candidates = [candidate.strip().removeprefix("W/") for candidate in (none_match or "").split(",")]
    return tag in candidates or "*" in candidates
