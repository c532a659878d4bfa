"""`WWW-Authenticate`: tells a client without sufficient credentials what to do (RFC 9110 §11.6.1).

Bearer by Docker token authentication, `error` by RFC 6750 §3.1. It is always sent with 401, never with 403, and names
the repository in the path. If there are no credentials, or invalid ones, it also names the source of a mount, for
clients that request only the scopes of a challenge (python-dxf). With `insufficient_scope` it does not: podman and
skopeo then read the scope, and cannot parse two. See docs/decisions/0041-name-the-source-of-a-mount.md.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from authproxy.access import Access, format_scopes
from authproxy.authorization import TOKEN_PATH, basic_challenge, quoted_string
from authproxy.client_view import ClientView

# None if no credentials were sent. containerd and BuildKit use the scope of a later challenge only if it has `error`.
BearerError: TypeAlias = Literal["invalid_token", "insufficient_scope"] | None

# RFC 6750 §3: printable ASCII without the quote and the backslash.
_NOT_IN_DESCRIPTION = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


class ChallengeMaker(Protocol):
    """Makes the header's value for one request."""

    def __call__(
        self, view: ClientView, needs: Sequence[Access], error: BearerError = None, description: str = ""
    ) -> str:
        """The challenge: what to get, where, and, with an `error`, why the sent credentials are not enough."""


@dataclass(frozen=True, slots=True)
class BearerChallenge:
    """Get a token at `realm`, or, without one, at `path` on the host of the request."""

    service: str
    realm: str | None = None
    path: str | None = None  # None: our own `/token`, below the prefix of the request

    def __call__(
        self, view: ClientView, needs: Sequence[Access], error: BearerError = None, description: str = ""
    ) -> str:
        """`Bearer realm="https://HOST/token",service="…",scope="repository:a:pull,push",error="insufficient_scope"`.

        docker prints the description; without it, a stock sentence.
        """
        realm = self.realm or view.base_url + (self.path or view.prefix + TOKEN_PATH)
        fields = {"realm": realm, "service": self.service}
        if scopes := format_scopes(needs):
            fields["scope"] = " ".join(scopes)
        if error:
            fields["error"] = error
            if description:
                fields["error_description"] = _NOT_IN_DESCRIPTION.sub("?", description)
        return "Bearer " + ",".join(f"{name}={quoted_string(value)}" for name, value in fields.items())


@dataclass(frozen=True, slots=True)
class BasicChallenge:
    """Send a name and a password with every request."""

    realm: str

    def __call__(
        self, view: ClientView, needs: Sequence[Access], error: BearerError = None, description: str = ""
    ) -> str:
        """`Basic realm="…"`: the same for every request."""
        del view, needs, error, description
        return basic_challenge(self.realm)
