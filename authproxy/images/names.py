"""Names of images on a command line: patterns as in a shell, and what an image is called at its destination."""

from fnmatch import fnmatchcase

from authproxy.images.archive.archive import ArchivedImage
from authproxy.oci.image_name import DEFAULT_TAG, DOCKER_HUB, OFFICIAL, split_host

_WILD = "*?["


def is_pattern(text: str) -> bool:
    """Whether a text means more than one name. The brackets of an IPv6 host are none of a pattern."""
    return any(char in split_host(text)[1] for char in _WILD)


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern means a name with a tag.

    `*`, `?` and `[…]` match slashes too; a pattern without a tag means every tag.
    """
    return fnmatchcase(name, pattern) or fnmatchcase(name.rpartition(":")[0], pattern)


def name_below(name: str, place: str) -> str:
    """The name below a place, `host[:port][/prefix]`: a registry in the name is replaced, and a tag is always there.

    `docker.io/library/app`, and `app`, are `place/app:latest`; `ghcr.io/team/app:v1` is `place/team/app:v1`.
    """
    host, rest = split_host(name)
    if host == DOCKER_HUB:
        rest = rest.removeprefix(OFFICIAL)
    tagged = rest.partition("@")[0]
    if ":" not in tagged.rpartition("/")[2]:
        tagged = f"{tagged}:{DEFAULT_TAG}"
    return f"{place.rstrip('/')}/{tagged}"


def is_prefix(destination: str) -> bool:
    """Whether a destination is where names go below: a registry alone, or what ends with a slash."""
    return destination.endswith("/") or "/" not in destination


def names_below(image: ArchivedImage, place: str) -> tuple[str, ...]:
    """What an image is called below a place, each name once. Empty where the archive gives no repository."""
    return tuple(dict.fromkeys(name_below(name, place) for name in image.names))


def name_in_repository(image: ArchivedImage, destination: str) -> str:
    """What an image is called in one repository, `host/repository[:tag]`.

    Without a tag there it keeps its own, where it has just one, and is `latest` otherwise.
    """
    if ":" in destination.rpartition("/")[2]:
        return destination
    tags = {name_below(name, "").rpartition(":")[2] for name in image.names} | set(image.tags)
    return f"{destination}:{tags.pop() if len(tags) == 1 else DEFAULT_TAG}"
