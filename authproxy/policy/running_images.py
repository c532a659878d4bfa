"""The images that run, from a file: what `keep: {images: FILE}` in a policy file names.

    registry.example.org/team/app:v1        names of images, as runtimes write them, with white space or commas between
    {"items": [{"spec": …}]}                JSON as of `kubectl get pods -A -o json`: each `image` and `imageID` in it
    ["registry.example.org/team/app:v1"]    or a list of names

A file that could be older than what runs, or not whole, raises RunningImagesUnusable: retention then does not run.
"""

import json
import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from authproxy.digest import Digest, parse_digest
from authproxy.errors import DigestInvalid
from authproxy.oci.image_name import OFFICIAL, parse_image_name
from authproxy.reference import Tag

# What runs changes every hour; a file that is older than this was written by something that has stopped.
MAX_AGE = timedelta(days=1)
# A file from the future: its clock or ours is wrong.
MAX_AHEAD = timedelta(minutes=5)
# 20,000 pods, as `kubectl -o json` writes them, are about 200 MB.
MAX_BYTES = 512 * 1024 * 1024

# The runtime before an image's id: `docker-pullable://registry.example.org/app@sha256:…`.
_RUNTIME = re.compile(r"[a-z][a-z0-9+.-]*://")


class RunningImagesUnusable(Exception):
    """The file does not say what runs; the text names it and the fix."""


class RunningImage(NamedTuple):
    """A tag that runs."""

    host: str
    repository: str
    tag: str


@dataclass(frozen=True, slots=True)
class RunningImages:
    """What runs: tags by their names, and digests, whichever registry they are named with.

    A node that has the same manifest from two registries reports either name, so the name with a digest says nothing.
    """

    tags: frozenset[RunningImage]
    digests: frozenset[Digest]

    def include(self, repository: str, tag: Tag | None, digests: Collection[Digest], hosts: Collection[str]) -> bool:
        """Whether this tag of a repository runs, or one of these digests. No `hosts`: names of every registry count."""
        if not self.digests.isdisjoint(digests):
            return True
        if tag is None:
            return False
        if not hosts:
            return RunningImage("", repository, tag) in self.tags
        return any(RunningImage(host, repository, tag) in self.tags for host in hosts)

    def has_host(self, hosts: Collection[str]) -> bool:
        """Whether any name is of one of these registries."""
        return any(one.host in hosts for one in self.tags)


def read_running_images(path: Path, *, now: datetime) -> RunningImages:
    """Read a file. Raises RunningImagesUnusable."""
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise RunningImagesUnusable(f"{path}: is not a file; write what runs to a file")
            _check_age(path, datetime.fromtimestamp(status.st_mtime, now.tzinfo), now)
            content = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise RunningImagesUnusable(f"{path}: cannot be read: {exc.strerror}") from exc
    if len(content) > MAX_BYTES:
        raise RunningImagesUnusable(f"{path}: is longer than {MAX_BYTES} bytes; write the names of images alone")
    try:
        return parse_running_images(content.decode())
    except UnicodeDecodeError:
        raise RunningImagesUnusable(f"{path}: is not UTF-8; write the names of images, or JSON") from None
    except RunningImagesUnusable as exc:
        raise RunningImagesUnusable(f"{path}: {exc}") from None


def _open_at_once(path: str, flags: int) -> int:
    # Not blocked by a pipe that nothing may ever be written to.
    return os.open(path, flags | os.O_NONBLOCK)


def parse_running_images(text: str) -> RunningImages:
    """What a file says. Raises RunningImagesUnusable without the file's name."""
    is_json = text.lstrip()[:1] in ("{", "[")
    tags: set[RunningImage] = set()
    digests: set[Digest] = set()
    for place, name in _names_in_json(text) if is_json else _names_in_lines(text):
        try:
            _add(name, tags, digests)
        except ValueError:
            # A pod may name an image that none can have; it does not run.
            if not is_json:
                raise RunningImagesUnusable(
                    f"{place}: {name[:100]!r} is not the name of an image; write names of images alone, or JSON"
                ) from None
    if not tags and not digests:
        raise RunningImagesUnusable("names no image; if nothing runs, remove the item that reads it")
    return RunningImages(frozenset(tags), frozenset(digests))


def _check_age(path: Path, modified: datetime, now: datetime) -> None:
    if now - modified > MAX_AGE:
        raise RunningImagesUnusable(
            f"{path}: was written at {modified:%Y-%m-%dT%H:%M:%SZ}, more than a day ago; write it again, at least daily"
        )
    if modified - now > MAX_AHEAD:
        raise RunningImagesUnusable(
            f"{path}: was written at {modified:%Y-%m-%dT%H:%M:%SZ}, which is later than now; correct the clocks"
        )


def _names_in_lines(text: str) -> Iterator[tuple[str, str]]:
    if text.strip() and not text.endswith("\n"):
        # The last name could be cut.
        raise RunningImagesUnusable("does not end with a line end, so it may not be whole; write one at its end")
    for number, line in enumerate(text.splitlines(), 1):
        yield from ((f"line {number}", name) for name in line.replace(",", " ").split())


def _names_in_json(text: str) -> Iterator[tuple[str, str]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise RunningImagesUnusable("is not whole JSON; write it again") from None
    if isinstance(found, list):
        yield from (("", one) for one in found if isinstance(one, str) and one)
    # By a list instead of recursion: nested as deep as JSON may be.
    waiting: list[Any] = [found]
    while waiting:
        match waiting.pop():
            case dict() as entries:
                for key, value in entries.items():
                    if key in ("image", "imageID", "Image") and isinstance(value, str):
                        yield from [("", value)] if value else ()
                    else:
                        waiting.append(value)
            case list() as items:
                waiting.extend(items)


def _add(name: str, tags: set[RunningImage], digests: set[Digest]) -> None:
    """Add what a name names. Raises ValueError for one that is not an image's."""
    name = _RUNTIME.sub("", name, count=1) if _RUNTIME.match(name) else name
    if name.startswith(("sha256:", "sha512:")):
        try:
            digests.add(parse_digest(name))
        except DigestInvalid as exc:
            raise ValueError(str(exc)) from None
        return
    image = parse_image_name(name)
    if image.digest is not None:
        digests.add(image.digest)
    if image.tag is not None:
        # `app` means docker.io/library/app for docker, and whichever mirror or default registry for others.
        for repository in {image.repository, image.repository.removeprefix(OFFICIAL)}:
            tags.add(RunningImage(image.host, repository, image.tag))
            tags.add(RunningImage("", repository, image.tag))
