"""`/token` as an endpoint of the web application, with its part of the OpenAPI document."""

from collections.abc import Mapping
from typing import Any

from authproxy.authorization import TOKEN_PATH
from authproxy.token.audit import TokenAudit
from authproxy.token.endpoint import MAX_FORM_BYTES, TokenEndpoint
from authproxy.token.grant import TokenService
from authproxy.token.request import FORM
from authproxy.web.endpoint import Endpoint, Operations
from authproxy.web.responses import OTHER_ERROR, allow, respond_with, without_bodies


def token_endpoints(service: TokenService, audit: TokenAudit | None = None) -> list[Endpoint]:
    """`/token`. `audit` records every answer."""
    return [Endpoint(TOKEN_PATH, TokenEndpoint(service, audit), OPERATIONS[TOKEN_PATH])]


def _responses(schema: str) -> dict[str, Any]:
    return {
        "200": respond_with(
            "A token for what the policies grant of the wish, which may be nothing: its `access` claim says.",
            schema,
            Cache_Control="`no-store`",
            Pragma="`no-cache`",
        ),
        "400": respond_with(
            "A field is missing or malformed, for another service, or over a limit; or a proxy's headers are wrong.",
            "TokenErrors",
            "Errors",
        ),
        "401": respond_with(
            "A wrong password, an unknown user, or a refresh token that is no longer valid.",
            "TokenErrors",
            WWW_Authenticate="A Basic challenge.",
        ),
        "429": respond_with(
            "Too many passwords are being checked, or the user's tokens were revoked a moment ago.",
            "Errors",
            Retry_After="When to come back, in seconds.",
        ),
        "default": OTHER_ERROR,
    }


def _parameter(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema or {"type": "string"}}


_GET = {
    "summary": "Get a token with user name and password, or anonymously",
    "description": "Docker's token authentication.",
    "security": [{}, {"basic": []}],
    "parameters": [
        _parameter("service", "For whom the token is: `token.service`. Absent or empty: the same."),
        _parameter(
            "scope",
            "What is wanted: `repository:team/app:pull,push`. Repeated, or several in one value with spaces between.",
            type="array",
            items={"type": "string"},
        ),
        _parameter("offline_token", "`true`: a refresh token too."),
        _parameter("account", "Must be the user of the credentials if both are sent."),
        _parameter("client_id", "Ignored."),
    ],
}

OPERATIONS: Mapping[str, Operations] = {
    TOKEN_PATH: {
        "get": {"operationId": "getToken", **_GET, "responses": _responses("TokenResponse")},
        "head": {"operationId": "headToken", **_GET, "responses": without_bodies(_responses("TokenResponse"))},
        "post": {
            "operationId": "postToken",
            "summary": "Get a token with a password or a refresh token",
            "description": "OAuth2's form of Docker's token authentication (RFC 6749 §4.3 and §6).",
            "security": [],
            "requestBody": {
                "required": True,
                "description": f"At most {MAX_FORM_BYTES} bytes.",
                "content": {FORM: {"schema": {"$ref": "#/components/schemas/TokenForm"}}},
            },
            "responses": _responses("OAuthTokenResponse"),
        },
        "options": {
            "operationId": "optionsToken",
            "summary": "The methods that are allowed",
            "security": [],
            "responses": allow(f"`{TokenEndpoint.ALLOWED}`", Cache_Control="`no-store`"),
        },
    }
}
