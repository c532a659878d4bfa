"""From a file, or a program's own values, and REGISTRY_* variables to settings; every value remembers its source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from authproxy.config.deprecated import modernize
from authproxy.config.document.edit import from_values
from authproxy.config.document.messages import Fault, dotted, explain, faulty
from authproxy.config.document.schema import below, leaves, section_of
from authproxy.config.document.tree import Document, KeyPath, MapNode, Place, Plain, TextNode, read_document
from authproxy.config.kubernetes_wrapper import check_not_wrapped
from authproxy.config.mode import Mode
from authproxy.config.overrides import CONFIGURATION_PATH, apply_overrides
from authproxy.config.settings import Settings
from authproxy.config.unsupported import set_aside
from authproxy.errors import StartError

# Where the images of CNCF Distribution 3.x and 2.8 keep theirs.
USUAL_PLACES = (Path("/etc/distribution/config.yml"), Path("/etc/docker/registry/config.yml"))

DEFAULT = "default"

EXTENSION = "x-"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and what an operator should know about how they came about."""

    settings: Settings
    origin: str  # the file that was read, or the name of the values that were handed in
    warnings: tuple[str, ...]
    sources: Mapping[str, str]  # key path of each value → "config.yml:12", "REGISTRY_HTTP_ADDR" or "default"


def load(path: Path | None, environ: Mapping[str, str], *, usual_places: Sequence[Path] = USUAL_PLACES) -> Loaded:
    """Read a configuration file; without a path the one of REGISTRY_CONFIGURATION_PATH, or the first usual place.

    Raises StartError with a line for each fault.
    """
    return _load(read_document(path or find_file(environ, usual_places)), environ)


def load_values(values: Mapping[str, Any], origin: str, environ: Mapping[str, str]) -> Loaded:
    """Take a configuration as nested dictionaries instead of a file; variables apply to it too. Raises StartError."""
    return _load(Document(origin, from_values(dict(values), Place(origin))), environ)


def find_file(environ: Mapping[str, str], usual_places: Sequence[Path] = USUAL_PLACES) -> Path:
    """The configuration file to take where none was named. Raises StartError where there is none."""
    if named := environ.get(CONFIGURATION_PATH):
        return Path(named)
    for place in usual_places:
        if place.is_file():
            return place
    searched = ", ".join(map(str, usual_places))
    raise StartError(
        f"no configuration: name a file, set {CONFIGURATION_PATH}, or put one in one of {searched};"
        " --embedded needs none"
    )


def _load(document: Document, environ: Mapping[str, str]) -> Loaded:
    if isinstance(document.root, TextNode) and document.root.text is None:
        document = Document(document.name, MapNode({}, document.root.place))
    if isinstance(document.root, MapNode) and not document.root.entries.keys() & {"version", "storage", "http"}:
        check_not_wrapped(document.root, ("version",), document.name)
    document = without_extensions(document)
    document, unknown = apply_overrides(document, environ)
    document, old_names = modernize(document)
    document, faults, passed_over = set_aside(document)
    settings = _validated(document, faults)
    return Loaded(
        settings,
        document.name,
        tuple(_warnings(document, settings, [*old_names, *passed_over], unknown)),
        {dotted(path): _source(document, path, value) for path, value in leaves(settings)},
    )


def without_extensions(document: Document) -> Document:
    """The document without its top-level keys that begin with `x-`, where operators keep YAML anchors.

    CNCF Distribution passes over every key that it doesn't know; Compose files made this one a custom.
    """
    if not isinstance(document.root, MapNode):
        return document
    entries = {key: entry for key, entry in document.root.entries.items() if not key.startswith(EXTENSION)}
    return Document(document.name, MapNode(entries, document.root.place))


def _validated(document: Document, faults: Sequence[Fault]) -> Settings:
    try:
        settings = Settings.model_validate(_filled(document.to_plain(), Settings))
    except ValidationError as exc:
        found = explain(exc, document, Settings)
        # What was set aside would look as if it were missing: only what is wrong by itself comes beside such a fault.
        raise faulty([*faults, *(fault for fault in found if not (faults and fault.is_conflict))]) from None
    if faults:
        raise faulty(faults)
    return settings


def _filled(value: Plain, annotation: Any) -> Plain:
    """An empty value is Go's zero value: for a section all its defaults, for anything else as if it were not there.

    So `token:` with nothing below is a section that lacks its keys, and never one that is not there.
    """
    section = section_of(annotation)
    if isinstance(value, list):
        return [_filled(item, below(annotation, 0)) for item in value]
    if not isinstance(value, dict):
        return {} if section and value is None else value
    filled: dict[str, Plain] = {}
    for key, child in value.items():
        kind = below(annotation, key)
        if child in (None, "") and section and kind is not None and section_of(kind) is None:
            continue
        filled[key] = _filled(child, kind)
    return filled


def _source(document: Document, path: KeyPath, value: Any) -> str:
    node = document.find(path)
    is_empty = isinstance(node, TextNode) and node.text in (None, "")
    # An empty section, `auth: none`, is something that was written; an empty scalar is as if it were not.
    return DEFAULT if node is None or (is_empty and value != {}) else str(document.place_of(path))


def _warnings(document: Document, settings: Settings, not_as_written: list[str], unknown: list[str]) -> list[str]:
    warnings: list[str] = []
    if not_as_written:
        warnings.append("\n  ".join([f"{document.name}: not in force as written here:", *not_as_written]))
    if unknown:
        warnings.append(f"no such key, so without effect: {', '.join(unknown)}")
    if settings.http.debug.prometheus.enabled and settings.http.debug.addr is None:
        warnings.append(f"{document.name}: http.debug.prometheus: no metrics without http.debug.addr; write one")
    if settings.has_core and settings.storage is not None and not settings.storage.outlives_the_process:
        warnings.append(f"{document.name}: storage.{settings.storage.kind}: everything is lost when the server ends")
    if settings.mode is Mode.OPEN and settings.auth is None:
        warnings.append(
            f"{document.name}: neither auth nor token: anybody may read, write and delete;"
            " add one of them, or auth: none where that is meant"
        )
    # Where we issue tokens the key ring's secret signs, which all nodes share; an open registry signs nothing.
    if settings.mode in (Mode.BASIC, Mode.VERIFY) and settings.http.secret is None:
        warnings.append(
            f"{document.name}: http.secret: missing, so each start makes one: a restart breaks uploads off, and so does"
            " a second node over the same storage; write a long random text, the same on every node"
        )
    if settings.mode is Mode.SILLY:
        warnings.append(
            f"{document.name}: auth.silly: ANYBODY MAY READ, WRITE AND DELETE who sends any Authorization header;"
            " use auth.htpasswd or token, or auth: none where that is meant"
        )
    return warnings
