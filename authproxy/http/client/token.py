"""Bearer tokens from a registry's token server: the requests for them, and the parsing of its responses.

Docker token authentication; for identity tokens OAuth2's form (docs.docker.com, "Authenticate via OAuth2"). Whether
the server may receive a password is decided before: `challenge.may_send_password`. Redirects are not followed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from authproxy.access import Access, format_scopes
from authproxy.http.client.bounded_body import IDENTITY, read_answer
from authproxy.http.client.challenge import Challenge

CLIENT_ID = "authproxy"

# Docker token authentication: without `expires_in` a token is valid for a minute.
DEFAULT_LIFETIME_S = 60

# A longer `expires_in` is reduced to this.
MAX_LIFETIME_S = 24 * 60 * 60

# A token is used for this part of its lifetime: the registry verifies it a moment later, by another clock.
USED_FOR = 0.8

# A token is sent in a header; those for many repositories have some kilobytes.
MAX_ANSWER_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and for how many seconds from now it is valid. `identity` is the refresh token issued with it."""

    text: str = field(repr=False)
    lifetime_s: float
    identity: str = field(repr=False, default="")

    @property
    def fits_header(self) -> bool:
        """Whether it can be sent as `Authorization`."""
        return self.text.isascii() and self.text.isprintable()


def token_request(
    challenge: Challenge,
    needs: Sequence[Access],
    authorization: str | None = None,
    more: Sequence[tuple[str, str]] = (),
) -> httpx.Request:
    """GET a token with `authorization`, or anonymously. `more` is added to the query. Raises httpx.InvalidURL."""
    query = [*_service(challenge), *(("scope", scope) for scope in format_scopes(needs)), *more]
    url = httpx.URL(challenge.realm).copy_merge_params(httpx.QueryParams(tuple(query)))
    headers = {} if authorization is None else {"Authorization": authorization}
    return httpx.Request("GET", url, headers={**IDENTITY, **headers})


def refresh_request(challenge: Challenge, needs: Sequence[Access], identity_token: str) -> httpx.Request:
    """POST for a token with an identity token instead of a password. Raises httpx.InvalidURL."""
    form = dict(_service(challenge)) | {
        "grant_type": "refresh_token",
        "client_id": CLIENT_ID,
        "scope": " ".join(format_scopes(needs)),
        "refresh_token": identity_token,
    }
    return httpx.Request("POST", challenge.realm, headers=IDENTITY, data=form)


async def ask_token_server(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """Send a request of this module, and read the response. Raises httpx.HTTPError; BadBody past MAX_ANSWER_BYTES."""
    # Built again, with the client's own headers and settings.
    sent = client.build_request(
        request.method,
        request.url,
        headers=request.headers,
        content=request.content,
        extensions=request.extensions,
    )
    return await read_answer(await client.send(sent, stream=True, follow_redirects=False), MAX_ANSWER_BYTES)


def read_token(body: bytes) -> Token | None:
    """`token`, or OAuth2's `access_token`, with `expires_in` in seconds; None without a token.

    None also past MAX_ANSWER_BYTES.
    """
    answer = read_fields(body) if len(body) <= MAX_ANSWER_BYTES else {}
    match answer:
        case {"token": str(text)} if text:
            pass
        case {"access_token": str(text)} if text:
            pass
        case _:
            return None
    lifetime = answer.get("expires_in")
    if not isinstance(lifetime, int | float) or isinstance(lifetime, bool) or lifetime != lifetime:  # noqa: PLR0124 - NaN
        lifetime = DEFAULT_LIFETIME_S
    identity = answer.get("refresh_token")
    return Token(text, float(min(max(lifetime, 0), MAX_LIFETIME_S)), identity if isinstance(identity, str) else "")


def read_fields(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; an empty one if the body is anything else."""
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _service(challenge: Challenge) -> list[tuple[str, str]]:
    return [] if challenge.service is None else [("service", challenge.service)]
