"""`storage`: where content is kept, CNCF Distribution's section."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self, get_args

from pydantic import AfterValidator, model_validator

from authproxy.clock import parse_window
from authproxy.config.document.messages import conflict
from authproxy.config.document.scalars import (
    Boolean,
    ByteCount,
    Count,
    Duration,
    Integer,
    NonNegativeDuration,
    format_duration,
)
from authproxy.config.document.schema import Section

if TYPE_CHECKING:
    from authproxy.config.settings import Settings

StorageKind = Literal["filesystem", "inmemory"]
STORAGE_KINDS: tuple[StorageKind, ...] = get_args(StorageKind)
# Drivers whose content only one process has, and only while it runs.
LOCAL_TO_A_PROCESS: tuple[StorageKind, ...] = ("inmemory",)

# With a shorter interval the server would do nothing but check.
MIN_INTERVAL = timedelta(seconds=1)


def _long_enough(value: timedelta) -> timedelta:
    if value < MIN_INTERVAL:
        raise ValueError(f"too short; allowed: {format_duration(MIN_INTERVAL)} or more")
    return value


def _percent(value: int) -> int:
    if not 0 <= value <= 100:  # noqa: PLR2004 - percent
        raise ValueError("not a part of a hundred; allowed: 0 to 100")
    return value


def _window(value: str | None) -> str | None:
    if value is not None:
        parse_window(value)
    return value


class Filesystem(Section):
    """Content in a folder, in CNCF Distribution's layout."""

    rootdirectory: Path = Path("/var/lib/registry")
    """The folder above `docker/registry/v2`. Default `/var/lib/registry`."""

    maxthreads: Count = 16
    """How many reads, writes and digests run at once in a process. Default 16. Those that need not wait for the disk do
    not count."""


class InMemory(Section):
    """Content in the memory of the process: it is lost when the process ends. For tests; only with one worker."""


class Delete(Section):
    """Whether content may be deleted."""

    enabled: Boolean = False
    """Whether manifests, tags and blobs may be deleted through the API. Default `false`: such a request gets a 405."""


class UploadPurging(Section):
    """Removal of abandoned uploads."""

    enabled: Boolean = True
    """Whether they are removed. Default `true`; not while `readonly` is on."""

    age: NonNegativeDuration = timedelta(hours=168)
    """How long ago an upload must have begun. Default `168h`."""

    interval: Annotated[Duration, AfterValidator(_long_enough)] = timedelta(hours=24)
    """The time between two runs. Default `24h`."""

    dryrun: Boolean = False
    """Whether uploads are only logged and not removed. Default `false`."""


class Scrub(Section):
    """Verification in the background: all content is read slowly and compared with its digests.

    What is damaged goes into quarantine, so that the next push repairs it. Not while `readonly` is on.
    """

    enabled: Boolean = False
    """Whether it runs. Default `false`: it keeps disks awake."""

    interval: Annotated[Duration, AfterValidator(_long_enough)] = timedelta(hours=720)
    """The time from the end of one run to the beginning of the next. Default `720h`."""

    rate: ByteCount = 10_000_000
    """How much is read in a second, of all processes together. Default `10MB`: about a day for 860 GB."""


class GarbageCollection(Section):
    """Removal of what nothing needs. It is off until `authproxy gc --enable`: then a job of the server collects."""

    interval: Annotated[Duration, AfterValidator(_long_enough)] = timedelta(hours=24)
    """The time from the end of one run to the beginning of the next. Default `24h`. Retention runs before each."""

    window: Annotated[str | None, AfterValidator(_window)] = None
    """When runs may begin, by the local time of the server: `02:00-05:00`. Default: at any time."""

    grace: Annotated[Duration, AfterValidator(_long_enough)] = timedelta(hours=24)
    """How long what nothing needs is kept before it goes. Default `24h`. It must be longer than any push takes, from
    its first request to its last: what a response says exists is kept as long."""

    trash: NonNegativeDuration = timedelta(hours=72)
    """How long what was deleted or collected can be restored with `authproxy undelete`. Default `72h`."""

    untagged: Literal["keep", "remove"] = "keep"
    """Whether manifests go that no tag leads to. Default `keep`. Images of an index, signatures and other referrers go
    with what they belong to, not before."""

    minfree: Annotated[Integer, AfterValidator(_percent)] = 0
    """How much of the file system should be free, in percent: below it the trash ends early, the oldest first. Default
    `0`: it never does."""

    pace: Annotated[Count, AfterValidator(_percent)] = 25
    """How much of the time the job works, in percent, so that requests keep theirs. Default `25`."""


class ReadOnly(Section):
    """Maintenance without writes."""

    enabled: Boolean = False
    """Whether every write gets a 405; pulls still work. Default `false`."""


class StorageMaintenance(Section):
    """Maintenance of the storage."""

    uploadpurging: UploadPurging = UploadPurging()

    readonly: ReadOnly = ReadOnly()


class Usage(Section):
    """What is recorded about the use of content, for `authproxy usage` and retention."""

    pulledby: Boolean = True
    """Whether the name of the last to pull a tag is stored with the time. Default `true`. Switched off, names that were
    stored before stay until the next pull."""

    interval: Annotated[Duration, AfterValidator(_long_enough)] = timedelta(minutes=1)
    """How long pulls are collected before they are written. Default `1m`. A longer interval spares SD cards. Nothing is
    written where nothing is pulled."""


class Storage(Section):
    """Where content is kept: `filesystem` or `inmemory`. Needed if our own registry serves.

    With `upstream`, or `upstreams` without `backend: core`, it is not used.
    """

    filesystem: Filesystem | None = None

    inmemory: InMemory | None = None

    delete: Delete = Delete()

    maintenance: StorageMaintenance = StorageMaintenance()

    usage: Usage = Usage()

    scrub: Scrub = Scrub()

    gc: GarbageCollection = GarbageCollection()

    @property
    def kind(self) -> StorageKind | None:
        """The configured driver, if any."""
        return next((kind for kind in STORAGE_KINDS if getattr(self, kind) is not None), None)

    @property
    def folders(self) -> dict[str, Path]:
        """The folders of the content on this machine, by the key that names each; empty for `inmemory`."""
        if self.filesystem is None:
            return {}
        return {"storage.filesystem.rootdirectory": self.filesystem.rootdirectory}

    @property
    def outlives_the_process(self) -> bool:
        """Whether content survives a restart of the server, and is the same for all its workers."""
        return self.kind not in LOCAL_TO_A_PROCESS

    @model_validator(mode="after")
    def _check_one_driver(self) -> Self:
        named = [(kind,) for kind in STORAGE_KINDS if getattr(self, kind) is not None]
        if len(named) > 1:
            raise conflict("one driver only; remove the other", *named)
        return self


def check_storage(settings: "Settings") -> None:
    """The core needs `storage` with a driver; memory excludes more than one worker."""
    if not settings.has_core:
        return
    storage = settings.storage
    if storage is None and settings.upstreams:
        core = next(place for place, entry in enumerate(settings.upstreams) if entry.backend)
        raise conflict("the core keeps its content in storage; write that section", ("upstreams", core, "backend"))
    if storage is None:
        raise conflict("neither is set; write one of them for the content", ("storage",), ("upstream",))
    if storage.kind is None:
        raise conflict("no driver is named; write filesystem: {rootdirectory: FOLDER}", ("storage",))
    if not storage.outlives_the_process and settings.http.workers > 1:
        raise conflict(
            "each worker would have a memory of its own; write workers: 1, or use storage.filesystem",
            ("storage", storage.kind),
            ("http", "workers"),
        )
