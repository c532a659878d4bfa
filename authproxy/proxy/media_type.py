"""The `Content-Type` of requests to an upstream: never one that the upstream could read as a form.

Go's FormValue prefers the fields of a form in the body to those of the query, and CNCF Distribution reads `mount`,
`from` and `digest` with it: such a body would ask for something else than the edge has allowed. Each parser has its own
rules for forms (Go trims and lowers by Unicode), so only types that all read alike pass.
"""

import re

from authproxy.asgi import Headers
from authproxy.errors import ManifestInvalid
from authproxy.oci.media_types import OCI_IMAGE
from authproxy.route import Kind, Route

# The type of every body but a manifest; CNCF Distribution accepts a chunk of a blob with this type or none.
BYTES = b"application/octet-stream"

# RFC 9110 §5.6.2, §5.6.4, §8.3.1, only ASCII. Possessive: a long value that does not match costs one pass.
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED = rb'"(?:[\t !#-\[\]-~]|\\[\t -~])*+"'
_MEDIA_TYPE = re.compile(
    rb"(%(token)b)/(%(token)b)(?:[ \t]*+;[ \t]*+(?:%(token)b=(?:%(token)b|%(quoted)b))?+)*+[ \t]*+"
    % {b"token": _TOKEN, b"quoted": _QUOTED}
)

# HTML's, and an older name that some servers still accept.
_FORMS = (b"x-www-form-urlencoded", b"x-url-encoded")


def sent_type(route: Route, headers: Headers, *, has_body: bool) -> Headers:
    """The `Content-Type` for the upstream, as one pair or none. The route decides, not the client's header.

    A manifest keeps its own; every other body is bytes. Raises ManifestInvalid if a manifest's is not a media type, or
    is a form's.
    """
    if route.kind is Kind.MANIFEST and route.method == "PUT":
        return _of_manifest([value for name, value in headers if name == b"content-type"])
    if has_body or route.method in ("POST", "PATCH", "PUT"):
        return [(b"content-type", BYTES)]
    return []


def _of_manifest(values: list[bytes]) -> Headers:
    if not values:
        return []
    match = _MEDIA_TYPE.fullmatch(values[0]) if len(values) == 1 else None
    if match is None or match[1].lower() == b"multipart" or match[2].lower() in _FORMS:
        raise ManifestInvalid(
            f"the Content-Type is not the media type of a manifest; send the manifest's own, for example {OCI_IMAGE}",
            detail={"Content-Type": b", ".join(values).decode("latin-1")[:300]},
        )
    return [(b"content-type", values[0])]
