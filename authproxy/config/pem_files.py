"""Checks that the files of keys and certificates in a configuration have the right content."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from authproxy.config.document.schema import leaves
from authproxy.config.settings import Settings
from authproxy.files.pem import MAX_BYTES, PemContent, find_fault

# By the first and the last part of a key path: `upstreams.0.ca` is ("upstreams", "ca").
_WANTED = {
    ("auth", "rootcertbundle"): PemContent.CERTIFICATES,
    ("auth", "jwks"): PemContent.KEY_SET,
    ("http", "certificate"): PemContent.CERTIFICATES,
    ("http", "key"): PemContent.PRIVATE_KEY,
    ("upstream", "ca"): PemContent.CERTIFICATES,
    ("upstream", "certificate"): PemContent.CERTIFICATES,
    ("upstream", "key"): PemContent.PRIVATE_KEY,
    ("upstreams", "ca"): PemContent.CERTIFICATES,
    ("upstreams", "certificate"): PemContent.CERTIFICATES,
    ("upstreams", "key"): PemContent.PRIVATE_KEY,
}


class FileFault(NamedTuple):
    """A file that can't be used."""

    key: str  # auth.token.rootcertbundle
    path: Path
    what: str  # the end of a sentence that begins with the path
    is_missing: bool  # or unreadable: on another machine it may exist


def find_file_faults(settings: Settings) -> Iterator[FileFault]:
    """Every file of keys or certificates that is missing, or has other content."""
    for key_path, value in leaves(settings):
        wanted = _WANTED.get((str(key_path[0]), str(key_path[-1])))
        if wanted is None or not isinstance(value, Path):
            continue
        key = ".".join(map(str, key_path))
        try:
            with value.open("rb") as file:
                content = file.read(MAX_BYTES)
        except OSError as exc:
            yield FileFault(key, value, f"cannot be read here: {exc.strerror}", is_missing=True)
            continue
        if (what := find_fault(content, wanted)) is not None:
            yield FileFault(key, value, what, is_missing=False)
