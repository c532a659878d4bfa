"""Names of images as docker reads them: `[host[:port]/]repository[:tag][@digest]`.

Source: https://pkg.go.dev/github.com/distribution/reference, "Grammar" and its familiar names.
"""

import re
from dataclasses import dataclass

from authproxy.digest import Digest, parse_digest
from authproxy.errors import RegistryError
from authproxy.oci.spelling import plain
from authproxy.reference import Repository, Tag, parse_repository, parse_tag

DOCKER_HUB = "docker.io"
HUB_NAMES = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
OFFICIAL = "library/"

# The grammar's `domain`: a name, an IPv4 address or an IPv6 one in brackets, and a port.
_HOST = re.compile(
    r"(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*"
    r"|\[[a-fA-F0-9:]+\])(?::[0-9]{1,5})?"
)
MAX_PORT = 65535

DEFAULT_TAG = "latest"


@dataclass(frozen=True, slots=True)
class ImageName:
    """A complete name, with a tag, a digest or both."""

    host: str  # with the port, if one was given; docker.io for Docker Hub
    repository: Repository
    tag: Tag | None
    digest: Digest | None = None

    def __str__(self) -> str:
        tag = "" if self.tag is None else f":{self.tag}"
        digest = "" if self.digest is None else f"@{self.digest}"
        return f"{self.host}/{self.repository}{tag}{digest}"

    @property
    def reference(self) -> str:
        """The reference to request from a registry: the digest, if one was given."""
        return str(self.digest or self.tag)

    @property
    def familiar(self) -> str:
        """The name as docker prints it: without Docker Hub's host and `library/`, and without a digest after a tag."""
        place = f"{self.host}/{self.repository}"
        if self.host == DOCKER_HUB:
            place = self.repository.removeprefix(OFFICIAL)
        return f"{place}:{self.tag}" if self.tag is not None else f"{place}@{self.digest}"


def split_host(name: str) -> tuple[str | None, str]:
    """The registry of a name, if it contains one, and the rest.

    The first of several parts is a host if it has a dot or a port, or is localhost.
    """
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return (DOCKER_HUB if first in HUB_NAMES else first), rest
    return None, name


def is_host(text: str) -> bool:
    """Whether a text is a host name or an IP address, with or without a port."""
    port = text.rpartition(":")[2]
    return _HOST.fullmatch(text) is not None and not (port.isdigit() and int(port) > MAX_PORT)


def parse_image_name(text: str) -> ImageName:
    """Parse a name in any spelling, with docker's defaults. Raises ValueError with the message."""
    text = plain(text)
    host, rest = split_host(text)
    host = host or DOCKER_HUB
    if not is_host(host):
        raise ValueError(f"{text!r} is not an image name: {host!r} is not a host")
    if host != DOCKER_HUB and not rest:
        raise ValueError(f"{text!r} is not an image name: it is a registry; write {text}REPOSITORY:TAG")
    rest, at, digest = rest.partition("@")
    path, colon, tag = rest.rpartition(":")
    if not colon:
        path, tag = rest, ""
    if host == DOCKER_HUB and "/" not in path:
        path = OFFICIAL + path
    try:
        return ImageName(
            host,
            parse_repository(path),
            parse_tag(tag) if colon else None if at else Tag(DEFAULT_TAG),
            parse_digest(digest) if at else None,
        )
    except RegistryError as error:
        raise ValueError(f"{text!r} is not an image name: {error}") from None
