"""`WWW-Authenticate`: tells a client without sufficient credentials what to do (RFC 9110 §11.6.1).

Bearer as Docker token authentication has it, `error` by RFC 6750 §3.1. It is always sent with 401 and never with 403,
and it names the repository in the path. Where no credentials came, or useless ones, it names the source of a mount too,
for clients that ask for what a challenge says and no more (python-dxf). Not so with `insufficient_scope`: podman and
skopeo read the scope then, and cannot parse two. See docs/decisions/0041-name-the-source-of-a-mount.md.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from authproxy.access import Access, format_scopes
from authproxy.authorization import TOKEN_PATH, basic_challenge, quoted_string
from authproxy.client_view import ClientView

# None where no credentials were sent. containerd and BuildKit take the scope of a later challenge only with `error`.
BearerError: TypeAlias = Literal["invalid_token", "insufficient_scope"] | None

# RFC 6750 §3: printable ASCII without the quote and the backslash.
_NOT_IN_DESCRIPTION = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


class ChallengeMaker(Protocol):
    """Makes the header's value for one request."""

    def __call__(
        self, view: ClientView, needs: Sequence[Access], error: BearerError = None, description: str = ""
    ) -> str:
        """What to get, where, and, with an `error`, why the credentials sent are not enough."""


@dataclass(frozen=True, slots=True)
class BearerChallenge:
    """Get a token at `realm`, or, where it is None, at `path` on the very host that the client asked."""

    service: str
    realm: str | None = None
    path: str | None = None  # None: our own `/token`, below the prefix that the client asked below

    def __call__(
        self, view: ClientView, needs: Sequence[Access], error: BearerError = None, description: str = ""
    ) -> str:
        """`Bearer realm="https://HOST/token",service="…",scope="repository:a:pull,push",error="insufficient_scope"`.

        docker prints the description, and without it a stock sentence.
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
