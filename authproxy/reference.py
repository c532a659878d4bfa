"""Repository names, tags and references: the grammars of OCI Distribution 1.1, "Pulling manifests"."""

import re
from typing import NewType

from authproxy.digest import Digest, parse_digest
from authproxy.errors import NameInvalid, TagInvalid

Repository = NewType("Repository", str)
Tag = NewType("Tag", str)

MAX_REPOSITORY_LENGTH = 255

# [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


def parse_repository(text: str) -> Repository:
    """Read a repository name, `team/app`. Raises NameInvalid."""
    if not is_repository(text):
        raise NameInvalid(
            f"a repository name is lower-case path components, at most {MAX_REPOSITORY_LENGTH} characters",
            detail={"name": text[:300]},
        )
    return Repository(text)


def is_repository(text: str) -> bool:
    """Whether a text is a valid repository name."""
    return len(text) <= MAX_REPOSITORY_LENGTH and _REPOSITORY.fullmatch(text) is not None


def parse_tag(text: str) -> Tag:
    """Read a tag. Raises TagInvalid."""
    if _TAG.fullmatch(text) is None:
        raise TagInvalid(
            "a tag has 1 to 128 characters of a-z A-Z 0-9 _ . - and does not begin with . or -",
            detail={"tag": text[:200]},
        )
    return Tag(text)


def parse_reference(text: str) -> Tag | Digest:
    """Read a digest if the text has a colon, else a tag. Raises DigestInvalid, TagInvalid."""
    return parse_digest(text) if ":" in text else parse_tag(text)
