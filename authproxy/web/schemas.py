"""JSON Schemas (2020-12) of what is served, and the ways to authenticate, by the names that the document refers to."""

from typing import Any

from authproxy.token.jwk import ALGORITHMS

_TEXT = {"type": "string"}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    """An object of these members and no others."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": False,
        **members,
    }


def _about(description: str, **schema: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **schema}


_TOKEN = {
    "token": _about("The access token, a JWT."),
    "access_token": _about("The same."),
    "expires_in": {"type": "integer", "minimum": 1, "description": "For how many seconds it is valid."},
    "issued_at": _about("When it was issued (RFC 3339).", format="date-time"),
}
_REFRESH_TOKEN = {"refresh_token": _about("Only if it was asked for, and never for anonymous callers.")}
_SCOPE = {"scope": _about("What was granted: scopes with spaces between, empty if nothing was.")}
_ERRORS = {
    "errors": {
        "type": "array",
        "minItems": 1,
        "items": _object(
            {"code": _about("Of the OCI Distribution specification, or of CNCF Distribution."), "message": _TEXT},
            {"detail": {"description": "More about the error: any JSON."}},
        ),
    }
}
_KEY = {
    "use": {"const": "sig"},
    "kid": _about("The key's name, in the header of each token that it signs."),
    "alg": {"enum": list(ALGORITHMS)},
}
_CERTIFICATES = {"x5c": {"type": "array", "items": _TEXT, "description": "Its certificates (RFC 7517 §4.7)."}}

SCHEMAS: dict[str, Any] = {
    "TokenResponse": _object(_TOKEN, _REFRESH_TOKEN),
    "OAuthTokenResponse": _object({**_TOKEN, **_SCOPE}, _REFRESH_TOKEN),
    "PasswordGrant": {
        "type": "object",
        "required": ["grant_type", "username", "password"],
        "properties": {"grant_type": {"const": "password"}, "username": _TEXT, "password": _TEXT},
    },
    "RefreshTokenGrant": {
        "type": "object",
        "required": ["grant_type", "refresh_token"],
        "properties": {"grant_type": {"const": "refresh_token"}, "refresh_token": _TEXT},
    },
    "TokenForm": {
        "type": "object",
        "oneOf": [
            {"$ref": "#/components/schemas/PasswordGrant"},
            {"$ref": "#/components/schemas/RefreshTokenGrant"},
        ],
        "properties": {
            "scope": _about("What is wanted: `repository:team/app:pull,push`; several with spaces between."),
            "service": _about("For whom the token is: `token.service`. Absent or empty: the same."),
            "access_type": _about("`offline`: a refresh token too."),
            "client_id": _about("Ignored."),
        },
    },
    "Errors": _object(_ERRORS),
    "TokenErrors": _object(
        {
            "error": {"enum": ["invalid_request", "unsupported_grant_type", "invalid_grant"]},
            "error_description": _TEXT,
            **_ERRORS,
        },
        {"details": _about("Of a refused login: the description once more, for the Docker daemon.")},
    ),
    "KeySet": _object(
        {
            "keys": {
                "type": "array",
                "items": {
                    "oneOf": [
                        _object({"kty": {"const": "EC"}, "crv": _TEXT, "x": _TEXT, "y": _TEXT, **_KEY}, _CERTIFICATES),
                        _object({"kty": {"const": "RSA"}, "n": _TEXT, "e": _TEXT, **_KEY}, _CERTIFICATES),
                        _object({"kty": {"const": "OKP"}, "crv": _TEXT, "x": _TEXT, **_KEY}, _CERTIFICATES),
                    ]
                },
            }
        }
    ),
    "Configuration": _object(
        {
            "issuer": _about("`iss` of every token."),
            "jwks_uri": _about("Where the key set is, on the host that was asked.", format="uri"),
            "token_endpoint": _about("`token.realm`, or `/token` on the host that was asked.", format="uri"),
            "grant_types_supported": {"type": "array", "items": {"enum": ["password", "refresh_token"]}},
            "subject_types_supported": {"type": "array", "items": {"const": "public"}},
            "id_token_signing_alg_values_supported": {
                "type": "array",
                "items": {"enum": list(ALGORITHMS)},
                "description": "The algorithms of the key set.",
            },
            "claims_supported": {"type": "array", "items": _TEXT},
        }
    ),
}

SECURITY_SCHEMES: dict[str, Any] = {
    "basic": {"type": "http", "scheme": "basic", "description": "User name and password; both empty: anonymous."}
}
