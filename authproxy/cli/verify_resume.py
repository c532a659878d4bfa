"""The file of `verify --resume`: how far an interrupted run is."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from authproxy.errors import StartError

if TYPE_CHECKING:
    from authproxy.maintenance.verify.position import Position
    from authproxy.maintenance.verify.sample import Sample


class ProgressFile:
    """The file of --resume, opened as the account that runs the command; without one nothing is kept."""

    def __init__(self, path: Path | None, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def load(self, sample: "Sample | None") -> "Position":
        """The position of an interrupted run, or a new one. Raises StartError."""
        from authproxy.maintenance.verify.position import Position, PositionInvalid

        new = Position("" if sample is None else sample.seed, "" if sample is None else str(sample))
        if self.path is None or not (content := os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)):
            return new
        try:
            found = Position.from_json(json.loads(content))
        except (PositionInvalid, ValueError) as error:
            why = str(error) if isinstance(error, PositionInvalid) else "it is not what a verification has saved"
            raise StartError(f"--resume {self.path}: {why}; remove it to begin again") from None
        if found.sample != new.sample or (sample is not None and found.seed != sample.seed):
            raise StartError(
                f"--resume {self.path}: the run before had {_sample_words(found)}; repeat that, or remove the file"
            )
        return found

    def save(self, position: "Position") -> None:
        """Replace the content, in place: the account may not be allowed to replace the file."""
        if self.path is None:
            return
        content = json.dumps(position.to_json()).encode()
        try:
            os.pwrite(self._descriptor, content, 0)
            os.ftruncate(self._descriptor, len(content))
        except OSError as error:  # a full disk: the run goes on
            typer.echo(f"authproxy: warning: the progress is not kept: {self.path}: {error.strerror}", err=True)

    def remove(self) -> None:
        """The run is complete: empty, the file is that of a run which has not begun."""
        if self.path is not None:
            os.ftruncate(self._descriptor, 0)


def _sample_words(position: "Position") -> str:
    return f"--sample {position.sample} --seed {position.seed}" if position.sample else "no --sample"


@contextmanager
def opened_progress_file(path: Path | None) -> Iterator[ProgressFile]:
    """Open the file for the length of a block, and make it where there is none. Raises StartError."""
    if path is None:
        yield ProgressFile(None, -1)
        return
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StartError(f"--resume {path}: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise StartError(f"--resume {path}: it is not a file; name one, or a new one")
        yield ProgressFile(path, descriptor)
    finally:
        os.close(descriptor)
