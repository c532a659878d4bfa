"""Rewrite `Location` and `Link` of the upstream into addresses on the host that the client requested.

Clients follow these addresses with their token, and newer ones refuse another private host: an address of the upstream
itself must never reach them. Foreign addresses (a storage service's signed URL) are passed on unchanged.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urljoin

from authproxy.client_view import ClientView
from authproxy.http.client.address import Address, split_authority

# RFC 3986 §4.2, §4.3: a URL, or a network-path reference, which has the scheme of the request.
_WITH_AUTHORITY = re.compile(r"(?:(https?):)?//([^/?#]*)(.*)", re.IGNORECASE)
_OTHER_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

# RFC 8288 §3: a link value is <URI reference> and parameters. Registries have no <…> in quoted parameters.
_LINK_TARGET = re.compile(r"<([^<>]*)>")


@dataclass(frozen=True, slots=True)
class Relocation:
    """Rewrites the addresses in the response to one request. `target` is the request target sent to the upstream.

    Rewritten are those with the upstream's own authority, or the client's (the upstream receives it in `Host`, so it
    answers with it, perhaps with the wrong scheme). Path and query stay byte for byte, without the upstream's prefix.
    `others` are the upstream's further addresses: one of several machines may name another.
    """

    target: str
    address: Address
    view: ClientView
    others: tuple[Address, ...] = ()

    def relocate(self, value: str) -> str:
        """Rewrite one address, absolute or relative, for the client."""
        if match := _WITH_AUTHORITY.fullmatch(value):
            if not self._is_ours(match[2], (match[1] or self.address.scheme).lower()):
                return value
            path = match[3] if match[3].startswith("/") else f"/{match[3]}"
        elif not value or _OTHER_SCHEME.match(value):
            return value
        else:
            path = value if value.startswith("/") else urljoin(self.target, value)
            if not path.startswith("/"):  # urljoin reads " a:" as an address of its own
                return value
        return self.view.location(self.address.strip_prefix(path))

    def relocate_links(self, value: str) -> str:
        """Rewrite every `<…>` of a `Link`; its parameters stay."""
        return replace_targets(value, self.relocate)

    def _is_ours(self, authority: str, scheme: str) -> bool:
        if (
            any(address.is_at(authority, scheme) for address in (self.address, *self.others))
            or authority.lower() == self.view.authority.lower()
        ):
            return True
        asked = split_authority(self.view.authority, self.view.scheme)
        return asked is not None and split_authority(authority, scheme) == asked


def replace_targets(links: str, replace: Callable[[str], str]) -> str:
    """Replace each address of a `Link` header; its parameters stay."""
    return _LINK_TARGET.sub(lambda match: f"<{replace(match[1])}>", links)
