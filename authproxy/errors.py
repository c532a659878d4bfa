"""Errors that somebody outside sees. A handler raises one; `edge/errors.py` alone writes the answer.

StartError                        one line to the operator, exit code 1
RegistryError                     code                        status
├── BlobUnknown                   BLOB_UNKNOWN                404
├── BlobUploadInvalid             BLOB_UPLOAD_INVALID         400
├── BlobUploadUnknown             BLOB_UPLOAD_UNKNOWN         404
├── ContentTooLarge               SIZE_INVALID                413
├── Denied                        DENIED                      403  whatever the token says
├── DigestInvalid                 DIGEST_INVALID              400
├── EndpointUnknown               UNSUPPORTED                 404  no such path under /v2/
├── ForwardedInvalid              UNSUPPORTED                 400
├── GatewayFailed                 UNAVAILABLE                 502
├── GatewayTimedOut               UNAVAILABLE                 504
├── InternalFault                 UNKNOWN                     500
├── ManifestBlobUnknown           MANIFEST_BLOB_UNKNOWN       404
├── ManifestInvalid               MANIFEST_INVALID            400
├── ManifestUnknown               MANIFEST_UNKNOWN            404
├── NameInvalid                   NAME_INVALID                400
├── NameUnknown                   NAME_UNKNOWN                404
├── PaginationNumberInvalid       PAGINATION_NUMBER_INVALID   400
├── PreconditionFailed            UNSUPPORTED                 412
├── QueryTooLong                  UNSUPPORTED                 414
├── RangeInvalid                  RANGE_INVALID               416
├── RequestTimedOut               UNAVAILABLE                 408
├── SizeInvalid                   SIZE_INVALID                400
├── TagInvalid                    TAG_INVALID                 400
├── TooManyRequests               TOOMANYREQUESTS             429
├── Unauthorized                  UNAUTHORIZED                401  never 403: clients fetch a token only on 401
├── Unavailable                   UNAVAILABLE                 503
├── Unsupported                   UNSUPPORTED                 405
└── TokenError                    OAuth2's words beside the registry's (RFC 6749 §5.2)
    ├── CredentialsRefused        UNAUTHORIZED                401  invalid_grant
    ├── GrantTypeUnsupported      UNSUPPORTED                 400  unsupported_grant_type
    └── TokenRequestInvalid       UNSUPPORTED                 400  invalid_request

Codes and statuses: OCI Distribution 1.1, "Error Codes"; RANGE_INVALID, TAG_INVALID, PAGINATION_NUMBER_INVALID,
UNAVAILABLE and UNKNOWN are CNCF Distribution's.
"""

from collections.abc import Sequence
from typing import Any, ClassVar


class StartError(Exception):
    """Something the operator has to mend first: one sentence that names the place and the fix. No traceback."""


class RegistryError(Exception):
    """An answer of the protocol: `{"errors": [{"code", "message", "detail"}]}` with a status.

    `detail` is JSON that the client sees: no secrets, no paths of this machine. `headers` go out with the answer.
    """

    code: ClassVar[str] = "UNKNOWN"
    status: ClassVar[int] = 500
    message: ClassVar[str] = "internal error"

    def __init__(self, message: str = "", *, detail: Any = None, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message or self.message)
        self.detail = detail
        self.headers = tuple(headers)


class BlobUnknown(RegistryError):
    """The repository does not hold this blob."""

    code, status, message = "BLOB_UNKNOWN", 404, "blob unknown to this repository"


class BlobUploadInvalid(RegistryError):
    """An upload session of somebody else, or an address that was made up."""

    code, status, message = "BLOB_UPLOAD_INVALID", 400, "the upload session is not yours"


class BlobUploadUnknown(RegistryError):
    """No such upload session: finished, cancelled, purged, or never begun."""

    code, status, message = "BLOB_UPLOAD_UNKNOWN", 404, "upload session unknown to this repository"


class ContentTooLarge(RegistryError):
    """A body over the limit that the message names."""

    code, status, message = "SIZE_INVALID", 413, "the body is too large"


class Denied(RegistryError):
    """Refused to this caller whatever the token says: a better token would not help."""

    code, status, message = "DENIED", 403, "access to the resource is denied"


class DigestInvalid(RegistryError):
    """A digest that is malformed, unsupported, or not that of the content."""

    code, status, message = "DIGEST_INVALID", 400, "the digest does not match the content"


class EndpointUnknown(RegistryError):
    """A path under /v2/ that no specification knows."""

    code, status, message = "UNSUPPORTED", 404, "there is no such endpoint"


class ForwardedInvalid(RegistryError):
    """What a trusted proxy says about a request cannot be read, or contradicts itself."""

    code, status, message = "UNSUPPORTED", 400, "the forwarded headers contradict each other"


class GatewayFailed(RegistryError):
    """The upstream registry cannot be reached, or broke off before it answered."""

    code, status, message = "UNAVAILABLE", 502, "the upstream registry did not answer"


class GatewayTimedOut(RegistryError):
    """The upstream registry took longer than we wait."""

    code, status, message = "UNAVAILABLE", 504, "the upstream registry took too long to answer"


class InternalFault(RegistryError):
    """A fault of ours; the log has the cause."""


class ManifestBlobUnknown(RegistryError):
    """A manifest names content that the repository lacks."""

    code, status, message = "MANIFEST_BLOB_UNKNOWN", 404, "the manifest names content that this repository lacks"


class ManifestInvalid(RegistryError):
    """A body that is not a manifest or index as the specifications define them."""

    code, status, message = "MANIFEST_INVALID", 400, "the manifest is invalid"


class ManifestUnknown(RegistryError):
    """The repository holds no manifest under this tag or digest."""

    code, status, message = "MANIFEST_UNKNOWN", 404, "manifest unknown"


class NameInvalid(RegistryError):
    """Not a repository name."""

    code, status, message = "NAME_INVALID", 400, "invalid repository name"


class NameUnknown(RegistryError):
    """A repository that the registry does not have."""

    code, status, message = "NAME_UNKNOWN", 404, "repository name not known to registry"


class PaginationNumberInvalid(RegistryError):
    """`n` is no number, negative, or over the limit."""

    code, status, message = "PAGINATION_NUMBER_INVALID", 400, "invalid number of results requested"


class PreconditionFailed(RegistryError):
    """`If-Match` names other content than there is (RFC 9110 §13.1.1)."""

    code, status, message = "UNSUPPORTED", 412, "the content is not what If-Match names"


class QueryTooLong(RegistryError):
    """A query of more fields than we read: more tags for one manifest, for instance, than can be set at once."""

    code, status, message = "UNSUPPORTED", 414, "the query has too many fields"


class RangeInvalid(RegistryError):
    """A chunk out of order, or a range outside the blob. An upload session lives on."""

    code, status, message = "RANGE_INVALID", 416, "the range is not satisfiable"


class RequestTimedOut(RegistryError):
    """The client has begun a request and left the rest of it to be waited for. An upload session lives on."""

    code, status, message = "UNAVAILABLE", 408, "the rest of the request did not come"


class SizeInvalid(RegistryError):
    """A length that is not that of the body."""

    code, status, message = "SIZE_INVALID", 400, "the length does not match the content"


class TagInvalid(RegistryError):
    """Neither a tag nor a digest."""

    code, status, message = "TAG_INVALID", 400, "invalid tag"


class TooManyRequests(RegistryError):
    """Come back later; `Retry-After` says when."""

    code, status, message = "TOOMANYREQUESTS", 429, "too many requests"

    def __init__(self, message: str = "", *, retry_after_s: int = 1, detail: Any = None) -> None:
        super().__init__(message, detail=detail, headers=[("Retry-After", str(retry_after_s))])


class Unauthorized(RegistryError):
    """No credentials, or not enough: `challenge`, the `WWW-Authenticate`, says how to get better ones."""

    code, status, message = "UNAUTHORIZED", 401, "authentication required"

    def __init__(self, message: str = "", *, challenge: str, detail: Any = None) -> None:
        super().__init__(message, detail=detail, headers=[("WWW-Authenticate", challenge)])


class Unavailable(RegistryError):
    """The registry cannot do this now."""

    code, status, message = "UNAVAILABLE", 503, "service unavailable"


class Unsupported(RegistryError):
    """A method or an operation that is not offered here."""

    code, status, message = "UNSUPPORTED", 405, "the operation is unsupported"


class TokenError(RegistryError):
    """An error of `/token`: OAuth2's `error` and `error_description` stand beside the registry's `errors` list."""

    error: ClassVar[str] = "invalid_request"


class CredentialsRefused(TokenError):
    """A wrong password, an unknown user or a dead refresh token: from outside they are one and the same."""

    code, status, message = "UNAUTHORIZED", 401, "incorrect username or password"
    error = "invalid_grant"


class GrantTypeUnsupported(TokenError):
    """A `grant_type` other than `password` and `refresh_token`."""

    code, status, message = "UNSUPPORTED", 400, "unsupported grant_type"
    error = "unsupported_grant_type"


class TokenRequestInvalid(TokenError):
    """A malformed request for a token; the message says which field."""

    code, status, message = "UNSUPPORTED", 400, "malformed token request"
