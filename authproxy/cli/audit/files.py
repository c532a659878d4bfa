"""Where the commands about the audit log find it: said by arguments, by a configuration, or the default."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from authproxy.cli.audited import DEFAULT_LOG
from authproxy.cli.errors import tell
from authproxy.errors import StartError

Since: TypeAlias = Annotated[str | None, typer.Option(help="2026-01-02, 2026-01-02T03:04:05Z, or how long ago: 24h.")]
Until: TypeAlias = Annotated[str | None, typer.Option(help="The same for the end, which is not included.")]


def find_files(files: Sequence[Path] | None, config: Path | None) -> list[Path]:
    """The files that were named, or all of the log that a configuration, or the default, keeps. Raises StartError."""
    from authproxy.audit.file import list_files
    from authproxy.config.load import load

    if files:
        return list(dict.fromkeys(files))
    if config is None and DEFAULT_LOG.exists():
        return list_files(DEFAULT_LOG)
    loaded = load(config, os.environ)
    section = loaded.settings.audit
    if section is None or section.file is None:
        raise StartError(f"{loaded.origin}: keeps no audit log in a file; give the files of the log")
    found = list_files(section.file.path)
    if not found:
        raise StartError(f"{section.file.path}: there is no audit log yet")
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
