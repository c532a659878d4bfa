"""The key set and where it is, as endpoints of the web application, with their part of the OpenAPI document."""

from collections.abc import Mapping

from authproxy.token.jwks_endpoint import (
    CONFIGURATION_PATH,
    JWKS_PATH,
    DocumentEndpoint,
    Issued,
    PublicKeys,
    configuration_endpoint,
    jwks_endpoint,
)
from authproxy.web.endpoint import Endpoint, Operations
from authproxy.web.responses import OTHER_ERROR, allow, respond_with, without_bodies


def discovery_endpoints(keys: PublicKeys, issued: Issued) -> list[Endpoint]:
    """Both documents."""
    return [
        Endpoint(JWKS_PATH, jwks_endpoint(keys), OPERATIONS[JWKS_PATH]),
        Endpoint(CONFIGURATION_PATH, configuration_endpoint(keys, issued), OPERATIONS[CONFIGURATION_PATH]),
    ]


def _operations(name: str, summary: str, description: str, schema: str) -> Operations:
    caching = {"Cache_Control": "`public`, and for how many seconds it may be kept.", "ETag": "The content's tag."}
    responses = {
        "200": respond_with(description, schema, **caching),
        "304": respond_with("`If-None-Match` has the content's tag.", **caching),
        "default": OTHER_ERROR,
    }
    shared = {
        "summary": summary,
        "security": [],
        "parameters": [
            {
                "name": "If-None-Match",
                "in": "header",
                "description": "Tags of the contents that the client has kept, or `*`.",
                "schema": {"type": "string"},
            }
        ],
    }
    return {
        "get": {"operationId": f"get{name}", **shared, "responses": responses},
        "head": {"operationId": f"head{name}", **shared, "responses": without_bodies(responses)},
        "options": {
            "operationId": f"options{name}",
            "summary": "The methods that are allowed",
            "security": [],
            "responses": allow(f"`{DocumentEndpoint.ALLOWED}`"),
        },
    }


OPERATIONS: Mapping[str, Operations] = {
    JWKS_PATH: _operations(
        "KeySet",
        "The public keys that verify tokens (RFC 7517)",
        "Every key whose tokens are valid, and those that will sign soon.",
        "KeySet",
    ),
    CONFIGURATION_PATH: _operations(
        "Configuration",
        "Where the key set is (OpenID Connect Discovery)",
        "Issuer, key set, token endpoint and algorithms.",
        "Configuration",
    ),
}
