"""Where the commands about the audit log find it: named by arguments, or in the configuration."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from authproxy.cli.errors import tell
from authproxy.cli.settings import find_loaded
from authproxy.errors import StartError

if TYPE_CHECKING:
    from authproxy.config.load import Loaded

Since: TypeAlias = Annotated[str | None, typer.Option(help="2026-01-02, 2026-01-02T03:04:05Z, or how long ago: 24h.")]
Until: TypeAlias = Annotated[str | None, typer.Option(help="The same for the end, which is not included.")]


def find_files(files: Sequence[Path] | None, config: Path | None) -> list[Path]:
    """The files that were named, or all of the log that the configuration keeps. Raises StartError."""
    return list(dict.fromkeys(files)) if files else list_log(find_log(config))


def find_log(config: Path | None) -> Path:
    """The first file of the log that the configuration keeps. Raises StartError."""
    return log_of(find_loaded(config))


def log_of(loaded: "Loaded") -> Path:
    """The same of a configuration that was read."""
    section = loaded.settings.audit
    if section is None or section.file is None:
        raise StartError(f"{loaded.origin}: keeps no audit log in a file; give the files of the log")
    return section.file.path


def list_log(first: Path) -> list[Path]:
    """All files of a log. Raises StartError where there are none."""
    from authproxy.audit.file import list_files

    found = list_files(first)
    if not found:
        raise StartError(f"{first}: there is no audit log yet")
    return found


def parse_option(text: str | None, now: float, option: str) -> str | None:
    """The value of `--since` or `--until` as lines have times."""
    from authproxy.audit.search import parse_moment

    if text is None:
        return None
    try:
        return parse_moment(text, now)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint=option) from None


@contextmanager
def telling_faults() -> Iterator[None]:
    """What cannot be read is said in a line, with exit code 2."""
    try:
        yield
    except BrokenPipeError:  # the reader closed the pipe: end without a message
        raise
    except OSError as exc:
        typer.echo(f"authproxy: {exc.filename}: cannot be read: {exc.strerror}", err=True)
        raise typer.Exit(2) from None
    except StartError as exc:
        tell(exc)
        raise typer.Exit(2) from None
