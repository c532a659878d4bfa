"""The files of keys and certificates that a configuration names: does each hold what is wanted there."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from authproxy.config.document.schema import leaves
from authproxy.config.settings import Settings
from authproxy.files.pem import MAX_BYTES, Wanted, find_fault

# By the first and the last word of a key: `upstreams.0.ca` is of the section `upstreams`.
_WANTED = {
    ("auth", "rootcertbundle"): Wanted.CERTIFICATES,
    ("auth", "jwks"): Wanted.KEY_SET,
    ("http", "certificate"): Wanted.CERTIFICATES,
    ("http", "key"): Wanted.PRIVATE_KEY,
    ("upstream", "ca"): Wanted.CERTIFICATES,
    ("upstream", "certificate"): Wanted.CERTIFICATES,
    ("upstream", "key"): Wanted.PRIVATE_KEY,
    ("upstreams", "ca"): Wanted.CERTIFICATES,
    ("upstreams", "certificate"): Wanted.CERTIFICATES,
    ("upstreams", "key"): Wanted.PRIVATE_KEY,
}


class FileFault(NamedTuple):
    """A file that can't be used."""

    key: str  # auth.token.rootcertbundle
    path: Path
    what: str  # the end of a sentence that begins with the path
    is_missing: bool  # or may not be read: on another machine it may be there


def find_file_faults(settings: Settings) -> Iterator[FileFault]:
    """Every file of keys or certificates that is missing, or holds something else."""
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
