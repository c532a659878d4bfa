"""A registry as it is named on a command line: `registry.example.org`, `localhost:5000`, `https://ghcr.io/`."""

from authproxy.oci.image_name import DOCKER_HUB, is_host, split_host
from authproxy.oci.spelling import plain

DOCKER_HUB_AUTHORITY = "registry-1.docker.io"


def parse_host(text: str) -> str:
    """The host, with its port where one was given: as names of images have it. Raises ValueError, with the sentence.

    A scheme and a slash at the end are taken off, since people copy addresses.
    """
    bare = plain(f"{text.strip().removesuffix('/')}/").lower().removesuffix("/").removesuffix("/v2").removesuffix("/v1")
    if not is_host(bare):
        raise ValueError(f"{text!r} is no registry; write its host, and a port where it has one: registry.example.org")
    # Docker Hub has several names and one login. Any other host stays as it is, also one without a dot.
    return split_host(f"{bare}/x")[0] or bare


def parse_named_host(text: str) -> str:
    """The host of a registry that names of images may begin with. Raises ValueError, with the sentence."""
    host = parse_host(text)
    if split_host(f"{host}/x")[0] is None:
        raise ValueError(f"{text!r} is no registry to docker: that has a dot or a port, or is localhost")
    return host


def authority_of(host: str) -> str:
    """Where a registry answers: `host[:port]`."""
    return DOCKER_HUB_AUTHORITY if host == DOCKER_HUB else host
