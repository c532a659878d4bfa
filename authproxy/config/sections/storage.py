"""`storage`: where content lies, CNCF Distribution's section."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from authproxy.config.document.messages import conflict
from authproxy.config.document.scalars import Boolean, Count, Duration, NonNegativeDuration, format_duration
from authproxy.config.document.schema import Section

# A shorter interval would do nothing but look.
MIN_INTERVAL = timedelta(seconds=1)


def _long_enough(value: timedelta) -> timedelta:
    if value < MIN_INTERVAL:
        raise ValueError(f"too short; allowed: {format_duration(MIN_INTERVAL)} or more")
    return value


class Filesystem(Section):
    """Content in a folder, in CNCF Distribution's layout."""

    rootdirectory: Path = Path("/var/lib/registry")
    """The folder above `docker/registry/v2`. Default `/var/lib/registry`."""

    maxthreads: Count = 16
    """How many reads, writes and digests run at once in a process. Default 16. Those for which the disk need not be
    waited for take none of them."""


class InMemory(Section):
    """Content in the memory of the process: all is gone when it ends. For tests; not with more than one worker."""


class Delete(Section):
    """Whether content may be deleted."""

    enabled: Boolean = False
    """Whether manifests, tags and blobs may be deleted through the API. Default `false`: such a request is 405."""


class UploadPurging(Section):
    """Removing uploads that were given up."""

    enabled: Boolean = True
    """Whether they are removed. Default `true`; not while `readonly` is on."""

    age: NonNegativeDuration = timedelta(hours=168)
    """How long ago an upload must have begun. Default `168h`."""

    interval: Annotated[Duration, AfterValidator(_long_enough)] = timedelta(hours=24)
    """How long to wait between two looks. Default `24h`."""

    dryrun: Boolean = False
    """Whether what would be removed is only logged. Default `false`."""


class ReadOnly(Section):
    """Maintenance without writes."""

    enabled: Boolean = False
    """Whether every write is refused with 405, while pulls go on. Default `false`."""


class Maintenance(Section):
    """Looking after the storage."""

    uploadpurging: UploadPurging = UploadPurging()

    readonly: ReadOnly = ReadOnly()


class Storage(Section):
    """Where content lies: `filesystem` or `inmemory`. Needed where our own registry serves.

    With `upstream`, or `upstreams` without `backend: core`, it is not used.
    """

    filesystem: Filesystem | None = None

    inmemory: InMemory | None = None

    delete: Delete = Delete()

    maintenance: Maintenance = Maintenance()

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.filesystem is not None and self.inmemory is not None:
            raise conflict("one driver only; remove the other", ("filesystem",), ("inmemory",))
        return self
