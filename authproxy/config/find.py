"""Which configuration a command reads: one rule for all of them. It loads nothing that reads the file.

1. the file that is named, as an argument or with --config
2. the file that REGISTRY_CONFIGURATION_PATH names
3. the embedded default, where `authproxy serve --embedded` has been started: in AUTHPROXY_HOME, or else this folder
4. /etc/distribution/config.yml, /etc/docker/registry/config.yml: those of CNCF Distribution's images
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from authproxy.config import places as looked_for
from authproxy.config.places import CONFIGURATION_PATH, EMBEDDED, HOME, find_place
from authproxy.errors import StartError
from authproxy.program import command

USUAL_PLACES = tuple(map(Path, looked_for.USUAL_PLACES))
EMBEDDED_DEFAULT = "embedded default"


class NoConfiguration(StartError):
    """No configuration is named, and none is in any of the places."""


@dataclass(frozen=True, slots=True)
class Found:
    """The configuration to read: a file, or the embedded default in a folder."""

    file: Path | None
    home: Path  # where the embedded default keeps its files: relative to this folder, or absolute

    def __str__(self) -> str:
        return f"{EMBEDDED_DEFAULT} in {self.home.absolute()}" if self.file is None else str(self.file)


def embedded(environ: Mapping[str, str]) -> Found:
    """The embedded default, whether or not it has been started."""
    return Found(None, find_home(environ))


def find_home(environ: Mapping[str, str]) -> Path:
    """The folder of the embedded default: AUTHPROXY_HOME, or else the current folder."""
    return Path(environ.get(HOME) or "")


def find_configuration(
    named: Path | None, environ: Mapping[str, str], usual_places: Sequence[Path] | None = None
) -> Found:
    """The configuration that a command reads. Raises NoConfiguration."""
    home, places = find_home(environ), USUAL_PLACES if usual_places is None else usual_places
    with _seen(home):
        place = find_place(None if named is None else str(named), environ, tuple(map(str, places)))
    if place is not None:
        return Found(None if place == EMBEDDED else Path(place), home)
    raise NoConfiguration(
        f"no configuration: {CONFIGURATION_PATH} is not set, there is no {home.absolute() / 'data/htpasswd'}"
        f" (`authproxy serve --embedded` creates it){f', and no {_or(places)}' if places else ''}; go to the folder"
        " where the server runs, or name its configuration: --config FILE"
    )


def find_to_serve(named: Path | None, environ: Mapping[str, str], usual_places: Sequence[Path] | None = None) -> Found:
    """The configuration that `serve` reads without --embedded. Raises NoConfiguration.

    The rule is the same, but to serve a folder is asked for: a server opens a port, and takes users from there.
    """
    home, places = find_home(environ), USUAL_PLACES if usual_places is None else usual_places
    if (file := named or _by_variable(environ)) is not None:
        return Found(file, home)
    usual, is_embedded = _usual(places), was_started(home)
    if usual is not None and is_embedded:
        raise StartError(
            f"two configurations: {usual}, and the embedded default in {home.absolute()}, which other commands read"
            f" here; say which to serve: `{command('serve --embedded')}` or `{command(f'serve {usual}')}`"
        )
    if usual is not None:
        return Found(usual, home)
    if is_embedded:
        raise NoConfiguration(
            f"no configuration: there is no {_or(places)}; the embedded default was started in"
            f" {home.absolute()}: `{command('serve --embedded')}` serves it"
        )
    raise NoConfiguration(
        f"no configuration: name a file, set {CONFIGURATION_PATH}, or create {_or(places)}; `serve --embedded`"
        " needs none"
    )


def was_started(home: Path) -> bool:
    """Whether the embedded default has been started in this folder. Raises StartError where that cannot be seen."""
    with _seen(home):
        return looked_for.was_started(str(home))


@contextmanager
def _seen(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StartError(
            f"{home.absolute() / 'data/htpasswd'}: cannot be read: {exc.strerror}; run this as its owner, or name a"
            " configuration: --config FILE"
        ) from exc


def _by_variable(environ: Mapping[str, str]) -> Path | None:
    named = environ.get(CONFIGURATION_PATH)
    return Path(named) if named else None


def _usual(places: Sequence[Path]) -> Path | None:
    return next((place for place in places if place.is_file()), None)


def _or(places: Sequence[Path]) -> str:
    return " or ".join(map(str, places))
