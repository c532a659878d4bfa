"""A registry as it is named on a command line: `registry.example.org`, `localhost:5000`, `https://ghcr.io/`."""

import re

from authproxy.remote.name import DOCKER_HUB, split_host

DOCKER_HUB_AUTHORITY = "registry-1.docker.io"

# RFC 1123's names and addresses, IPv6 in brackets, with a port or without.
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(:[0-9]{1,5})?")


def parse_host(text: str) -> str:
    """The host, with its port where one was given: as names of images have it. Raises ValueError, with the sentence.

    A scheme and a slash at the end are taken off, since people copy addresses.
    """
    bare = re.sub(r"^https?://", "", text).removesuffix("/").removesuffix("/v2")
    if _HOST.fullmatch(bare) is None:
        raise ValueError(f"{text!r} is no registry; write its host, and a port where it has one: registry.example.org")
    # Docker Hub has several names and one login. Any other host stays as it is, also one without a dot.
    return split_host(f"{bare}/x")[0] or bare


def authority_of(host: str) -> str:
    """Where a registry answers: `host[:port]`."""
    return DOCKER_HUB_AUTHORITY if host == DOCKER_HUB else host
