"""Names of images on a command line: patterns as in a shell, and names at a destination."""

from fnmatch import fnmatchcase

from authproxy.images.archive.archive import ArchivedImage
from authproxy.oci.image_name import DEFAULT_TAG, DOCKER_HUB, OFFICIAL, split_host

_WILD = "*?["


def is_pattern(text: str) -> bool:
    """Whether a text is a pattern. Brackets around an IPv6 host do not count."""
    return any(char in split_host(text)[1] for char in _WILD)


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern matches a name with a tag.

    `*`, `?` and `[…]` match slashes too; a pattern without a tag matches every tag.
    """
    return fnmatchcase(name, pattern) or fnmatchcase(name.rpartition(":")[0], pattern)


def name_below(name: str, prefix: str) -> str:
    """The name below a prefix, `host[:port][/prefix]`: without the name's own registry, always with a tag.

    `docker.io/library/app` and `app` become `prefix/app:latest`; `ghcr.io/team/app:v1` becomes `prefix/team/app:v1`.
    """
    host, rest = split_host(name)
    if host == DOCKER_HUB:
        rest = rest.removeprefix(OFFICIAL)
    tagged = rest.partition("@")[0]
    if ":" not in tagged.rpartition("/")[2]:
        tagged = f"{tagged}:{DEFAULT_TAG}"
    return f"{prefix.rstrip('/')}/{tagged}"


def is_prefix(destination: str) -> bool:
    """Whether images keep their names below a destination: it is a registry, or ends with a slash."""
    return destination.endswith("/") or "/" not in destination


def names_below(image: ArchivedImage, prefix: str) -> tuple[str, ...]:
    """The names of an image below a prefix, each once. Empty if the archive gives no repository."""
    return tuple(dict.fromkeys(name_below(name, prefix) for name in image.names))


def name_in_repository(image: ArchivedImage, destination: str) -> str:
    """The name of an image in one repository, `host/repository[:tag]`.

    Without a tag there, the image keeps its own tag if it has exactly one, and gets `latest` otherwise.
    """
    if ":" in destination.rpartition("/")[2]:
        return destination
    tags = {name_below(name, "").rpartition(":")[2] for name in image.names} | set(image.tags)
    return f"{destination}:{tags.pop() if len(tags) == 1 else DEFAULT_TAG}"
