"""Progress of transfers: a bar for each blob on a terminal, and nothing elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from authproxy.digest import Digest
    from authproxy.images.transfer import BlobOutcome, Progress
    from authproxy.oci.manifest import Descriptor

SHOWN_HEX = 12


class Bars:
    """See Progress."""

    def __init__(self, rich: "RichProgress") -> None:
        self._rich = rich
        self._bars: dict[Digest, TaskID] = {}

    def begin(self, blob: "Descriptor") -> None:
        """See Progress."""
        self._remove(blob)
        self._bars[blob.digest] = self._rich.add_task(blob.digest.hex[:SHOWN_HEX], total=blob.size)

    def advance(self, blob: "Descriptor", count: int) -> None:
        """See Progress."""
        self._rich.advance(self._bars[blob.digest], count)

    def end(self, blob: "Descriptor", outcome: "BlobOutcome") -> None:  # noqa: ARG002 - the image's own line reports the outcome
        """See Progress."""
        self._remove(blob)

    def _remove(self, blob: "Descriptor") -> None:
        bar = self._bars.pop(blob.digest, None)
        if bar is not None:
            self._rich.remove_task(bar)


@contextmanager
def shown() -> Iterator["Progress"]:
    """Bars on standard error for the length of a block, if it is a terminal."""
    from authproxy.images.transfer import NoProgress

    if not sys.stderr.isatty():
        yield NoProgress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    # Lines on a standard output that is a file must not be drawn above the bars instead.
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()) as rich:
        yield Bars(rich)
