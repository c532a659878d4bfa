"""The paths of everything that is stored: the tree that CNCF Distribution keeps, so that both can serve one folder.

    docker/registry/v2/
    ├── blobs/<algorithm>/<first two hex digits>/<hex>/data         content, each once for all repositories
    └── repositories/<name>/
        ├── _layers/<algorithm>/<hex>/link                          a blob that the repository holds
        ├── _manifests/
        │   ├── revisions/<algorithm>/<hex>/link                    a manifest that it holds
        │   └── tags/<tag>/
        │       ├── current/link                                    the digest that the tag points at
        │       └── index/<algorithm>/<hex>/link                    a digest that it has ever pointed at
        ├── _referrers/<algorithm>/<hex>/<algorithm>/<hex>/link     a manifest whose subject is the digest before it
        └── _uploads/<session>/{data, startedat}                    an upload that is under way

A link holds a digest as text, without a newline. Content is stored under its sha256 digest; the link of a sha512
digest holds the sha256 digest. Only we write `_referrers`: CNCF Distribution skips it, and its links hold more
(registry/referrers.py). No other module makes a StorePath, and every argument here is a parsed value: no client input
can lead out of the tree.
"""

import re
from typing import NewType
from uuid import UUID

from authproxy.digest import Digest
from authproxy.reference import Repository, Tag

# Relative to the driver's root, parts separated by "/": a path in a folder, a key in a bucket.
StorePath = NewType("StorePath", str)

ROOT = StorePath("docker/registry/v2")

# What we keep beside it: see storage/state_layout.py.
STATE = StorePath("authproxy/v1")

_REFERRER = re.compile(rf"{ROOT}/repositories/(.+)/_referrers/[a-z0-9]+/[0-9a-f]+/sha256/([0-9a-f]{{64}})/link")

# The files of an upload's session, below its folder.
UPLOAD_DATA = "data"
UPLOAD_STARTED = "startedat"

# The time when a session began: RFC 3339, in UTC.
STARTED_FORMAT = "%Y-%m-%dT%H:%M:%SZ"

# A repository exists where it has one of these folders: it holds blobs, or manifests.
LAYERS = "_layers"
MANIFESTS = "_manifests"
REVISIONS = "revisions"


def tree_of(path: StorePath) -> StorePath:
    """The tree that a path is in, ROOT or STATE: its folder stays, even if it is empty."""
    return STATE if path.startswith(f"{STATE}/") else ROOT


def walk_of(folder: StorePath) -> tuple[StorePath, str] | None:
    """Where the walk that lists a folder begins, and the folder of a repository that it is in ("": in none).

    None below `_manifests`: what is there says something by its path, wherever else it has a name.
    """
    parts = folder.split("/")
    inside = next((part for part in parts if part.startswith("_")), "")
    return None if inside == MANIFESTS else (StorePath("/".join(parts[:4])), inside)


def blob(digest: Digest) -> StorePath:
    """The content of a digest."""
    return StorePath(f"{blobs(digest.algorithm, digest.hex[:2])}/{digest.hex}/data")


def blob_shards(algorithm: str) -> StorePath:
    """The folder with a folder for each beginning of the hex digits of stored content."""
    return StorePath(f"{ROOT}/blobs/{algorithm}")


def blobs(algorithm: str, first_digits: str) -> StorePath:
    """The folder with a folder for each stored content whose hex digits begin with these two."""
    return StorePath(f"{blob_shards(algorithm)}/{first_digits}")


def repositories() -> StorePath:
    """The folder of all repositories. A name's parts are folders in folders."""
    return StorePath(f"{ROOT}/repositories")


def repository(name: Repository) -> StorePath:
    """The folder of one repository, and of those whose names continue after a slash."""
    return StorePath(f"{ROOT}/repositories/{name}")


def layers(name: Repository) -> StorePath:
    """The folder with a folder for each algorithm by whose digests this repository holds blobs."""
    return StorePath(f"{repository(name)}/{LAYERS}")


def layer_links(name: Repository, algorithm: str) -> StorePath:
    """The folder with a folder for each blob that this repository holds by a digest of this algorithm."""
    return StorePath(f"{repository(name)}/{LAYERS}/{algorithm}")


def layer_link(name: Repository, digest: Digest) -> StorePath:
    """The link by which this repository holds this blob."""
    return StorePath(f"{layer_links(name, digest.algorithm)}/{digest.hex}/link")


def manifests(name: Repository) -> StorePath:
    """The folder of a repository's manifests and tags."""
    return StorePath(f"{repository(name)}/{MANIFESTS}")


def revision_algorithms(name: Repository) -> StorePath:
    """The folder with a folder for each algorithm by whose digests this repository holds manifests."""
    return StorePath(f"{manifests(name)}/{REVISIONS}")


def revisions(name: Repository, algorithm: str) -> StorePath:
    """The folder with a folder for each manifest that this repository holds by a digest of this algorithm."""
    return StorePath(f"{revision_algorithms(name)}/{algorithm}")


def revision_link(name: Repository, digest: Digest) -> StorePath:
    """The link by which this repository holds this manifest."""
    return StorePath(f"{revisions(name, digest.algorithm)}/{digest.hex}/link")


def tags(name: Repository) -> StorePath:
    """The folder with a folder for each tag."""
    return StorePath(f"{manifests(name)}/tags")


def tag_current(name: Repository, tag: Tag) -> StorePath:
    """The link from a tag to the digest of its manifest. A tag exists where this does."""
    return StorePath(f"{tags(name)}/{tag}/current/link")


def tag_index(name: Repository, tag: Tag) -> StorePath:
    """The folder of all digests that a tag has had."""
    return StorePath(f"{tags(name)}/{tag}/index")


def tag_index_links(name: Repository, tag: Tag, algorithm: str) -> StorePath:
    """The folder of all digests of one algorithm that a tag has had."""
    return StorePath(f"{tag_index(name, tag)}/{algorithm}")


def tag_index_link(name: Repository, tag: Tag, digest: Digest) -> StorePath:
    """The entry for one digest that a tag has had."""
    return StorePath(f"{tag_index_links(name, tag, digest.algorithm)}/{digest.hex}/link")


def subjects(name: Repository, algorithm: str) -> StorePath:
    """The folder with a folder for each manifest that was named as a subject by a digest of this algorithm."""
    return StorePath(f"{repository(name)}/_referrers/{algorithm}")


def referrers(name: Repository, subject: Digest, algorithm: str) -> StorePath:
    """The folder of the manifests with this subject whose own digests are of one algorithm."""
    return StorePath(f"{subjects(name, subject.algorithm)}/{subject.hex}/{algorithm}")


def referrer_link(name: Repository, subject: Digest, referrer: Digest) -> StorePath:
    """The link that records that this manifest was pushed with this subject."""
    return StorePath(f"{referrers(name, subject, referrer.algorithm)}/{referrer.hex}/link")


def find_referrer(path: StorePath) -> tuple[Repository, Digest] | None:
    """The repository and the referrer of a path that `referrer_link` made. None for others."""
    match = _REFERRER.fullmatch(path)
    return None if match is None else (Repository(match[1]), Digest("sha256", match[2]))


def uploads(name: Repository) -> StorePath:
    """The folder with a folder for each upload's session."""
    return StorePath(f"{repository(name)}/_uploads")


def upload(name: Repository, session: UUID) -> StorePath:
    """The folder of an upload's session, by which drivers identify it."""
    return StorePath(f"{uploads(name)}/{session}")


def upload_started(name: Repository, session: UUID) -> StorePath:
    """The file with the time when a session began: see STARTED_FORMAT."""
    return StorePath(f"{upload(name, session)}/{UPLOAD_STARTED}")
