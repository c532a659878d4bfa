"""Patterns of names of images, as people write them in a shell."""

from fnmatch import fnmatchcase

from authproxy.oci.image_name import split_host

_WILD = "*?["


def is_pattern(text: str) -> bool:
    """Whether a text means more than one name. The brackets of an IPv6 host are none of a pattern."""
    return any(char in split_host(text)[1] for char in _WILD)


def means(pattern: str, name: str) -> bool:
    """Whether a pattern means a name with a tag.

    `*`, `?` and `[…]` match slashes too; a pattern without a tag means every tag.
    """
    return fnmatchcase(name, pattern) or fnmatchcase(name.rpartition(":")[0], pattern)
