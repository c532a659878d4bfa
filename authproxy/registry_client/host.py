"""Hosts of registries, as on a command line: `registry.example.org`, `localhost:5000`, `https://ghcr.io/`."""

from authproxy.oci.image_name import DOCKER_HUB, is_host, split_host
from authproxy.oci.spelling import plain

DOCKER_HUB_AUTHORITY = "registry-1.docker.io"


def parse_host(text: str) -> str:
    """Parse a host, with its port if given, as in names of images. Raises ValueError, with a message for users.

    Ignores a scheme and a slash at the end, since users copy addresses.
    """
    bare = plain(f"{text.strip().removesuffix('/')}/").lower().removesuffix("/").removesuffix("/v2").removesuffix("/v1")
    if not is_host(bare):
        raise ValueError(f"{text!r} is not a registry; write its host, with a port if any: registry.example.org")
    # Docker Hub has several names and one login. Any other host stays unchanged, even without a dot.
    return split_host(f"{bare}/x")[0] or bare


def parse_named_host(text: str) -> str:
    """Parse a host that names of images may begin with. Raises ValueError, with a message for users."""
    host = parse_host(text)
    if split_host(f"{host}/x")[0] is None:
        raise ValueError(f"{text!r} is not a registry for docker: a host has a dot or a port, or is localhost")
    return host


def authority_of(host: str) -> str:
    """The address of a registry: `host[:port]`."""
    return DOCKER_HUB_AUTHORITY if host == DOCKER_HUB else host
