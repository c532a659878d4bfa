"""Loads settings from a file, or a program's own values, and REGISTRY_* variables, with the source of every value."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from authproxy.config.deprecated import modernize
from authproxy.config.document.edit import from_values
from authproxy.config.document.messages import Fault, dotted, explain, faulty
from authproxy.config.document.schema import below, leaves, section_of
from authproxy.config.document.tree import Document, KeyPath, ListNode, MapNode, Place, Plain, TextNode, read_document
from authproxy.config.kubernetes_wrapper import check_not_wrapped
from authproxy.config.mode import Mode
from authproxy.config.overrides import apply_overrides
from authproxy.config.settings import Settings
from authproxy.config.unsupported import set_aside

DEFAULT = "default"

EXTENSION = "x-"

# A grace below which pushes over slow networks may be longer.
SHORT_GRACE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, with their sources, and warnings for the operator."""

    settings: Settings
    origin: str  # the file, or the name of the program's own values
    warnings: tuple[str, ...]
    sources: Mapping[str, str]  # key path of each value → "config.yml:12", "REGISTRY_HTTP_ADDR" or "default"


def load(path: Path, environ: Mapping[str, str]) -> Loaded:
    """Read a configuration file. Raises StartError with a line for each fault."""
    return _load(read_document(path), environ)


def load_values(values: Mapping[str, Any], origin: str, environ: Mapping[str, str]) -> Loaded:
    """Take a configuration as nested dictionaries instead of a file; variables apply to it too. Raises StartError."""
    return _load(Document(origin, from_values(dict(values), Place(origin))), environ)


def _load(document: Document, environ: Mapping[str, str]) -> Loaded:
    if isinstance(document.root, TextNode) and document.root.text is None:
        document = Document(document.name, MapNode({}, document.root.place))
    if isinstance(document.root, MapNode) and not document.root.entries.keys() & {"version", "storage", "http"}:
        check_not_wrapped(document.root, ("version",), document.name)
    document = without_extensions(document)
    document, unknown = apply_overrides(document, environ)
    document, old_names = modernize(document)
    document, faults, ignored = set_aside(document)
    settings = _validated(document, faults)
    return Loaded(
        settings,
        document.name,
        tuple(_warnings(document, settings, [*old_names, *ignored], unknown)),
        _sources(document, settings),
    )


def without_extensions(document: Document) -> Document:
    """The document without top-level keys that begin with `x-`, in which operators keep YAML anchors.

    CNCF Distribution ignores every key that it doesn't know; `x-` is the custom of Compose files.
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
        # Keys that were set aside look as if they were missing: beside such a fault, conflicts are not reported.
        raise faulty([*faults, *(fault for fault in found if not (faults and fault.is_conflict))]) from None
    if faults:
        raise faulty(faults)
    return settings


def _filled(value: Plain, annotation: Any) -> Plain:
    """The value without empty values, Go's zero values: an empty section has its defaults, anything else is absent.

    So `token:` with nothing below is a section that lacks its keys, never an absent one.
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


def _sources(document: Document, settings: Settings) -> dict[str, str]:
    found = list(leaves(settings))
    lengths = Counter(path[:-1] for path, _ in found if isinstance(path[-1], int))

    def written(path: KeyPath) -> KeyPath:
        """The list in place of its entry, if an entry of the document has become several."""
        entries = document.find(path[:-1])
        is_expanded = isinstance(entries, ListNode) and len(entries.items) != lengths[path[:-1]]
        return path[:-1] if isinstance(path[-1], int) and is_expanded else path

    return {dotted(path): _source(document, written(path), value) for path, value in found}


def _source(document: Document, path: KeyPath, value: Any) -> str:
    node = document.find(path)
    is_empty = isinstance(node, TextNode) and node.text in (None, "")
    # An empty section, `auth: none`, counts as written; an empty scalar counts as absent.
    return DEFAULT if node is None or (is_empty and value != {}) else str(document.place_of(path))


def _is_written(document: Document, *keys: str) -> bool:
    """Whether all of these sections are in the file itself; a variable may put a registry in front of another."""
    places = [document.place_of((key,)) for key in keys if document.find((key,)) is not None]
    return len(places) == len(keys) and all(place.line for place in places)


def _warnings(document: Document, settings: Settings, not_as_written: list[str], unknown: list[str]) -> list[str]:
    warnings: list[str] = []
    if not_as_written:
        warnings.append("\n  ".join([f"{document.name}: not in force as written here:", *not_as_written]))
    if unknown:
        warnings.append(f"unknown variables, without effect: {', '.join(unknown)}")
    if settings.http.debug.prometheus.enabled and settings.http.debug.addr is None:
        warnings.append(f"{document.name}: http.debug.prometheus: no metrics without http.debug.addr; set it")
    if settings.has_core and settings.storage is not None and not settings.storage.outlives_the_process:
        warnings.append(f"{document.name}: storage.{settings.storage.kind}: everything is lost when the server ends")
    if settings.has_core and settings.storage is not None and settings.storage.gc.grace < SHORT_GRACE:
        warnings.append(
            f"{document.place_of(('storage', 'gc', 'grace'))}: storage.gc.grace: once collection is enabled, a push"
            " that takes longer than this loses what it has uploaded; 24h is the default"
        )
    if not settings.has_core and settings.storage is not None and _is_written(document, "storage", "upstream"):
        warnings.append(
            f"{document.place_of(('storage',))}: storage: not used: the content is in the registry of upstream; remove"
            " one of them"
        )
    if settings.mode is Mode.OPEN and settings.auth is None:
        warnings.append(
            f"{document.name}: neither auth nor token: anyone may read, write and delete;"
            " add one of them, or auth: none if that is intended"
        )
    # With tokens of our own, the key ring's secret signs, which all nodes share; an open registry signs nothing.
    if settings.mode in (Mode.BASIC, Mode.VERIFY) and settings.http.secret is None:
        warnings.append(
            f"{document.name}: http.secret: missing, so each start makes one: a restart breaks off uploads, and so does"
            " a second node on the same storage; write a long random text, the same on every node"
        )
    if settings.mode is Mode.SILLY:
        warnings.append(
            f"{document.name}: auth.silly: ANYONE WITH ANY Authorization HEADER MAY READ, WRITE AND DELETE;"
            " use auth.htpasswd or token, or auth: none if that is intended"
        )
    return warnings
