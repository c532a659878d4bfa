"""The paths of our own state, in the storage beside the content: CNCF Distribution skips what is beside `docker/`.

    authproxy/v1/
    ├── deletions/<name>/_deletions                   the deletions under way in a repository: registry/deletions.py
    ├── trash/<name>/_deleted/<id>                    what was deleted, so that it can be restored
    ├── history/<name>/_pushes/<2 hex digits>/<push>  each push, by the digest of its manifest: registry/history.py
    ├── gc/                                           the garbage collector's: registry/gc_marks.py
    │   ├── state, enabled, tick
    │   └── <epoch>/{condemned/<2 hex digits>, revived/<mark>, deleting/<batch>}
    ├── quarantine/<algorithm>/<hex>                  content that was found damaged: registry/quarantine.py
    ├── scrub                                         how far the scrub is: maintenance/verify/scrub.py
    ├── pulls/                                        when manifests were pulled: registry/pull_times.py
    │   ├── _began, _merged                           since when, and how far they are merged
    │   ├── _writers/<process>                        a process that records pulls and has not ended properly
    │   ├── _segments/<segment>                       the pulls of one process in one minute
    │   └── <name>/_pulls/{all, <2 hex digits>}       the last pull of each manifest and tag
    ├── retention/clock                               the last look at the clock: maintenance/retention/steady_clock.py
    ├── tokens/<ring>/{revocations, shards/<digest>}  revoked tokens, by key ring: token/revocation_store.py
    └── jobs/<name>/{lease, last}                     who runs a job, and how it ended: maintenance/jobs.py

What is said of several repositories repeats their tree: a name's parts are folders in folders, and a folder that begins
with "_" ends the name. Every argument is a parsed value, as in storage/layout.py.
"""

from authproxy.digest import Digest
from authproxy.reference import Repository
from authproxy.storage.layout import STATE, StorePath

# The length of an epoch's name: hexadecimal digits.
EPOCH_DIGITS = 16

# What follows if an operator removes a damaged record. Those that are not here are worth more than their removal.
_IF_REMOVED = {
    "deletions/": "deletions that are under way stop",
    "trash/": "what it holds can't be restored then",
    "gc/state": "what nothing needs is then condemned again, with a new grace",
    "gc/enabled": "collection is off then, until `authproxy gc --enable`",
    "gc/tick": "what waits for its grace then waits longer",
    "quarantine/": "`authproxy verify` finds the damage again",
    "scrub": "the verification in the background then begins again",
    "retention/clock": "retention then waits for a day",
    "jobs/": "nothing is lost",
}


def if_removed(path: StorePath) -> str | None:
    """What follows if a damaged record is removed, as a clause. None: only a backup helps, or it heals itself."""
    name = path.removeprefix(f"{STATE}/")
    return next((what for prefix, what in _IF_REMOVED.items() if name.startswith(prefix)), None)


def deletions(name: Repository) -> StorePath:
    """The record of the deletions that are under way in a repository."""
    return StorePath(f"{STATE}/deletions/{name}/_deletions")


def trash() -> StorePath:
    """The folder of all trash. Below it the names of repositories are folders in folders."""
    return StorePath(f"{STATE}/trash")


def trash_below(prefix: str) -> StorePath:
    """The folder of the trash of repositories whose names begin so: "" or names of folders, each with a slash."""
    return StorePath(f"{trash()}/{prefix}".rstrip("/"))


def trash_of(name: Repository) -> StorePath:
    """The folder with a record for each deletion in a repository."""
    return StorePath(f"{trash()}/{name}/_deleted")


def trash_record(name: Repository, deletion: str) -> StorePath:
    """The record of one deletion."""
    return StorePath(f"{trash_of(name)}/{deletion}")


def history() -> StorePath:
    """The folder of all histories. Below it the names of repositories are folders in folders."""
    return StorePath(f"{STATE}/history")


def history_below(prefix: str) -> StorePath:
    """The folder of the histories of repositories whose names begin so: "" or names of folders, each with a slash."""
    return StorePath(f"{history()}/{prefix}".rstrip("/"))


def pushes_of(name: Repository) -> StorePath:
    """The folder of all pushes to a repository, by the first two hex digits of their manifests."""
    return StorePath(f"{history()}/{name}/_pushes")


def pushes(name: Repository, first_digits: str) -> StorePath:
    """The folder of the pushes to a repository of manifests whose hex digits begin with these two."""
    return StorePath(f"{pushes_of(name)}/{first_digits}")


def push(name: Repository, first_digits: str, entry: str) -> StorePath:
    """One push: see registry/history.py for the name of its entry."""
    return StorePath(f"{pushes(name, first_digits)}/{entry}")


def gc() -> StorePath:
    """The folder of the collector's records and epochs."""
    return StorePath(f"{STATE}/gc")


def is_epoch(name: str) -> bool:
    """Whether a name in that folder is an epoch's: hexadecimal digits, which no record's name has alone."""
    return len(name) == EPOCH_DIGITS and not set(name) - set("0123456789abcdef")


def gc_state() -> StorePath:
    """The record of what the garbage collector has condemned, and what it deletes."""
    return StorePath(f"{STATE}/gc/state")


def gc_enabled() -> StorePath:
    """The record that says since when every writer of this storage honours the collector's marks."""
    return StorePath(f"{STATE}/gc/enabled")


def gc_tick() -> StorePath:
    """The record that counts the time of a grace."""
    return StorePath(f"{STATE}/gc/tick")


def gc_epoch(epoch: str) -> StorePath:
    """The folder of one epoch: it is removed as a whole."""
    return StorePath(f"{STATE}/gc/{epoch}")


def gc_lists(epoch: str) -> StorePath:
    """The folder of the parts of an epoch's list."""
    return StorePath(f"{gc_epoch(epoch)}/condemned")


def gc_condemned(epoch: str, shard: str) -> StorePath:
    """A sorted part of the list of what an epoch has condemned."""
    return StorePath(f"{gc_lists(epoch)}/{shard}")


def gc_revived(epoch: str) -> StorePath:
    """The folder with a mark for each that was promised again."""
    return StorePath(f"{gc_epoch(epoch)}/revived")


def gc_revived_mark(epoch: str, mark: str) -> StorePath:
    """The mark of one that was promised again."""
    return StorePath(f"{gc_revived(epoch)}/{mark}")


def gc_deleting(epoch: str, batch: str) -> StorePath:
    """The list of what is deleted together."""
    return StorePath(f"{gc_epoch(epoch)}/deleting/{batch}")


def quarantine(algorithm: str) -> StorePath:
    """The folder with a record for each stored content of this algorithm that was found damaged."""
    return StorePath(f"{STATE}/quarantine/{algorithm}")


def quarantined(digest: Digest) -> StorePath:
    """The record of one damaged content."""
    return StorePath(f"{quarantine(digest.algorithm)}/{digest.hex}")


def scrub() -> StorePath:
    """The record of how far the verification in the background is."""
    return StorePath(f"{STATE}/scrub")


def pulls() -> StorePath:
    """The folder of pull times."""
    return StorePath(f"{STATE}/pulls")


def retention_clock() -> StorePath:
    """The record of the last look at a clock, before images are removed by their age."""
    return StorePath(f"{STATE}/retention/clock")


def pulls_began() -> StorePath:
    """The record that says when the first pull could have been recorded."""
    return StorePath(f"{pulls()}/_began")


def pulls_merged() -> StorePath:
    """The record of the latest times of all that was merged."""
    return StorePath(f"{pulls()}/_merged")


def pull_writers() -> StorePath:
    """The folder with a record for each process that records pulls, until it has written all of them."""
    return StorePath(f"{pulls()}/_writers")


def pull_writer(process: str) -> StorePath:
    """The record of one process that records pulls."""
    return StorePath(f"{pull_writers()}/{process}")


def pull_segments() -> StorePath:
    """The folder of the segments that are not merged yet."""
    return StorePath(f"{pulls()}/_segments")


def pull_segment(segment: str) -> StorePath:
    """The pulls of one process in one minute."""
    return StorePath(f"{pull_segments()}/{segment}")


def pulls_of(name: Repository) -> StorePath:
    """The folder of the last pulls from a repository."""
    return StorePath(f"{pulls()}/{name}/_pulls")


def pull_shard(name: Repository, shard: str) -> StorePath:
    """The last pulls of a repository's manifests whose hex digits begin with these two; "all": of all of them."""
    return StorePath(f"{pulls_of(name)}/{shard}")


def revocations(ring: str) -> StorePath:
    """The record of revoked tokens that a key ring has issued."""
    return StorePath(f"{STATE}/tokens/{ring}/revocations")


def revocation_shard(ring: str, digest: str) -> StorePath:
    """A part of a long list of revoked tokens, by its SHA-256."""
    return StorePath(f"{STATE}/tokens/{ring}/shards/{digest}")


def job_lease(job: str) -> StorePath:
    """The record of the node that runs a job at the moment."""
    return StorePath(f"{STATE}/jobs/{job}/lease")


def job_last(job: str) -> StorePath:
    """The record of how a job ended last."""
    return StorePath(f"{STATE}/jobs/{job}/last")
