"""Errors that clients and operators see. A handler raises one; only `edge/errors.py` writes the response.

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
└── TokenError                    with OAuth2's fields too (RFC 6749 §5.2)
    ├── CredentialsRefused        UNAUTHORIZED                401  invalid_grant
    ├── GrantTypeUnsupported      UNSUPPORTED                 400  unsupported_grant_type
    └── TokenRequestInvalid       UNSUPPORTED                 400  invalid_request

Codes and statuses: OCI Distribution 1.1, "Error Codes"; RANGE_INVALID, TAG_INVALID, PAGINATION_NUMBER_INVALID,
UNAVAILABLE and UNKNOWN are CNCF Distribution's.
"""

from collections.abc import Sequence
from typing import Any, ClassVar


class StartError(Exception):
    """A fault that the operator must fix: one sentence with the place and the fix. No traceback."""


class RegistryError(Exception):
    """An error response of the protocol: `{"errors": [{"code", "message", "detail"}]}` with a status.

    `detail` is JSON that the client sees: no secrets, no paths of this machine. `headers` are added to the response.
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
    """An upload session of another caller, or a forged address of one."""

    code, status, message = "BLOB_UPLOAD_INVALID", 400, "the upload session is not yours"


class BlobUploadUnknown(RegistryError):
    """No such upload session: finished, cancelled, purged or never started."""

    code, status, message = "BLOB_UPLOAD_UNKNOWN", 404, "upload session unknown to this repository"


class ContentTooLarge(RegistryError):
    """A body over the limit in the message."""

    code, status, message = "SIZE_INVALID", 413, "the body is too large"


class Denied(RegistryError):
    """Refused to this caller by a rule: a better token would not help."""

    code, status, message = "DENIED", 403, "access to the resource is denied"


class DigestInvalid(RegistryError):
    """A digest that is malformed, unsupported, or not that of the content."""

    code, status, message = "DIGEST_INVALID", 400, "the digest does not match the content"


class EndpointUnknown(RegistryError):
    """A path under /v2/ that is in no specification."""

    code, status, message = "UNSUPPORTED", 404, "there is no such endpoint"


class ForwardedInvalid(RegistryError):
    """The forwarded headers of a trusted proxy are malformed or contradict each other."""

    code, status, message = "UNSUPPORTED", 400, "the forwarded headers contradict each other"


class GatewayFailed(RegistryError):
    """The upstream registry is unreachable, or closed the connection before its response."""

    code, status, message = "UNAVAILABLE", 502, "the upstream registry did not answer"


class GatewayTimedOut(RegistryError):
    """The upstream registry exceeded our timeout."""

    code, status, message = "UNAVAILABLE", 504, "the upstream registry took too long to answer"


class InternalFault(RegistryError):
    """A fault of ours; the log has the cause."""


class ManifestBlobUnknown(RegistryError):
    """A manifest refers to content that the repository does not have."""

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
    """The registry does not have this repository."""

    code, status, message = "NAME_UNKNOWN", 404, "repository name not known to registry"


class PaginationNumberInvalid(RegistryError):
    """`n` is not a number, negative, or over the limit."""

    code, status, message = "PAGINATION_NUMBER_INVALID", 400, "invalid number of results requested"


class PreconditionFailed(RegistryError):
    """`If-Match` does not match the current content (RFC 9110 §13.1.1)."""

    code, status, message = "UNSUPPORTED", 412, "the content is not what If-Match names"


class QueryTooLong(RegistryError):
    """A query with too many fields: for instance, more tags for one manifest than can be set at once."""

    code, status, message = "UNSUPPORTED", 414, "the query has too many fields"


class RangeInvalid(RegistryError):
    """A chunk out of order, or a range outside the blob. The upload session stays open."""

    code, status, message = "RANGE_INVALID", 416, "the range is not satisfiable"


class RequestTimedOut(RegistryError):
    """The client did not send the rest of its request in time. The upload session stays open."""

    code, status, message = "UNAVAILABLE", 408, "the rest of the request did not arrive"


class SizeInvalid(RegistryError):
    """A length that does not match the body."""

    code, status, message = "SIZE_INVALID", 400, "the length does not match the content"


class TagInvalid(RegistryError):
    """Neither a tag nor a digest."""

    code, status, message = "TAG_INVALID", 400, "invalid tag"


class TooManyRequests(RegistryError):
    """Too many requests for now; `Retry-After` says when to try again."""

    code, status, message = "TOOMANYREQUESTS", 429, "too many requests"

    def __init__(self, message: str = "", *, retry_after_s: int = 1, detail: Any = None) -> None:
        super().__init__(message, detail=detail, headers=[("Retry-After", str(retry_after_s))])


class Unauthorized(RegistryError):
    """Missing or insufficient credentials. `challenge`, the `WWW-Authenticate`, says how to get better ones."""

    code, status, message = "UNAUTHORIZED", 401, "authentication required"

    def __init__(self, message: str = "", *, challenge: str, detail: Any = None) -> None:
        super().__init__(message, detail=detail, headers=[("WWW-Authenticate", challenge)])


class Unavailable(RegistryError):
    """The registry cannot do this at the moment."""

    code, status, message = "UNAVAILABLE", 503, "service unavailable"


class Unsupported(RegistryError):
    """A method or operation that is not supported here."""

    code, status, message = "UNSUPPORTED", 405, "the operation is unsupported"


class TokenError(RegistryError):
    """An error of `/token`: OAuth2's `error` and `error_description` next to the registry's `errors` list."""

    error: ClassVar[str] = "invalid_request"


class CredentialsRefused(TokenError):
    """A wrong password, an unknown user or an invalid refresh token: clients cannot tell which."""

    code, status, message = "UNAUTHORIZED", 401, "incorrect username or password"
    error = "invalid_grant"


class GrantTypeUnsupported(TokenError):
    """A `grant_type` other than `password` and `refresh_token`."""

    code, status, message = "UNSUPPORTED", 400, "unsupported grant_type"
    error = "unsupported_grant_type"


class TokenRequestInvalid(TokenError):
    """A malformed token request; the message names the field."""

    code, status, message = "UNSUPPORTED", 400, "malformed token request"
