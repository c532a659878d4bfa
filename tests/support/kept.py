"""The names that operators and clients build on, read from the code: what docs/reference/stability.md promises to keep.

    python -m tests.support.kept

writes those that are new into tests/kept.json. It never removes one: a name that is gone has to be retired first, which
`tests/house/test_kept.py` explains what to do.
"""

import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

import authproxy
from authproxy import errors
from authproxy.access import Access
from authproxy.audit.chain import _LINKS
from authproxy.audit.event import Event, EventKind, Verdict, to_fields
from authproxy.cli import app
from authproxy.cli.completion.tree import read_tree
from authproxy.config.document.messages import dotted
from authproxy.config.document.schema import below, fields_of, section_of
from authproxy.config.settings import Settings
from authproxy.edge import accesslog
from authproxy.metrics.families import FAMILIES
from authproxy.principal import Principal
from tests.support.binaries import ROOT

RECORD = ROOT / "tests/kept.json"
PACKAGE = Path(authproxy.__file__).parent
OPENAPI = ROOT / "docs/reference/openapi.json"

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
NOT_FIELDS = {"exc_info", None}  # how a traceback is asked for; `**about`
VARIABLE = re.compile(r"AUTHPROXY_[A-Z_]+|REGISTRY_CONFIGURATION_PATH")


def names() -> dict[str, list[str]]:
    """All of them, by kind."""
    events, fields = _log_lines()
    found = {
        "configuration key": _keys(Settings, ()),
        "environment variable": _variables(),
        "command": _commands(),
        "exit code": _exit_codes(),
        "metric": (f"{family.name}{{{','.join(family.labels)}}}" for family in FAMILIES.values()),
        "log event": events,
        "log field": fields,
        "audit kind": (kind.value for kind in EventKind),
        "audit field": _audit_fields(),
        "error code": _error_codes(),
        "path": (f"{method.upper()} {path}" for path, methods in _paths().items() for method in methods),
    }
    return {kind: sorted(set(every)) for kind, every in found.items()}


def recorded() -> dict[str, Any]:
    """What tests/kept.json says: `kept` by kind, and `retired`."""
    record: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return record


def with_new(record: dict[str, Any], found: dict[str, list[str]]) -> dict[str, Any]:
    """The record with the names that it lacks."""
    kept = {kind: sorted({*record["kept"].get(kind, []), *every}) for kind, every in found.items()}
    return {**record, "kept": kept}


def _keys(section: Any, path: tuple[Any, ...]) -> Iterator[str]:
    for key, field in fields_of(section).items():
        here = (*path, key)
        yield dotted(here)
        if inner := section_of(field.annotation):
            yield from _keys(inner, here)
        if item := section_of(below(field.annotation, 0)):
            yield from _keys(item, (*here, "N"))


def _commands() -> Iterator[str]:
    for command in read_tree(typer.main.get_command(app)).every():
        yield f"authproxy{command.at}"
        for option in command.options:
            yield from (f"authproxy{command.at} {name}" for name in option.names)


def _variables() -> Iterator[str]:
    for tree in _modules().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and VARIABLE.fullmatch(node.value):
                yield node.value


def _exit_codes() -> Iterator[str]:
    """The numbers in `typer.Exit(…)`, and those that the names there have in their module."""
    for file, tree in _modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "Exit":
                for part in (inner for argument in node.args for inner in ast.walk(argument)):
                    if isinstance(part, ast.Constant):
                        yield from _numbers(part.value)
                    elif isinstance(part, ast.Name) and part.id.isupper():
                        module = file.relative_to(PACKAGE.parent).with_suffix("").parts
                        yield from _numbers(getattr(import_module(".".join(module)), part.id))


def _numbers(value: object) -> Iterator[str]:
    for one in value.values() if isinstance(value, dict) else [value]:
        if isinstance(one, int) and not isinstance(one, bool):
            yield str(int(one))


def _log_lines() -> tuple[list[str], list[str]]:
    """Events, and "event: field", of each call of a logger or an alarm whose event is written there."""
    fields: defaultdict[str, set[str]] = defaultdict(set)
    for tree in _modules().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and _logs(node.func):
                for event in _texts(node.args[0]):
                    fields[event] |= {word.arg for word in node.keywords if word.arg} - NOT_FIELDS
    fields[accesslog.EVENT] |= {*accesslog.TEXTS, *accesslog.NUMBERS}
    return [*fields], [f"{event}: {field}" for event, every in fields.items() for field in every]


def _logs(function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return function.id == "sound"
    if not isinstance(function, ast.Attribute):
        return False
    owner = function.value
    if function.attr == "sound":
        return True
    return function.attr in LEVELS and "log" in ast.unparse(owner).lower()


def _texts(event: ast.expr) -> Iterator[str]:
    """The text of a literal, and both of `a if … else b`."""
    if isinstance(event, ast.IfExp):
        yield from (*_texts(event.body), *_texts(event.orelse))
    elif isinstance(event, ast.Constant) and isinstance(event.value, str):
        yield event.value


def _audit_fields() -> Iterator[str]:
    access = Access("repository", "a", "pull")
    full = Event(
        EventKind.TOKEN_ISSUED,
        Principal("a", frozenset({"g"}), claims={"c": "d"}, source="s", is_robot=True),
        *("c", "https", "r"),
        (access,),
        (access,),
        *("j", 1),
        (Verdict(access, allowed=True, rule="r", reason="r", tag="t"),),
        *("r", "GET", "/"),
    )
    fields = to_fields(full)
    yield from (*fields, *_LINKS, "time")
    yield from (f"decisions.{name}" for one in fields["decisions"] for name in one)


def _error_codes() -> Iterator[str]:
    for one in vars(errors).values():
        if isinstance(one, type) and issubclass(one, errors.RegistryError):
            yield f"{one.code} {one.status}"


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = json.loads(OPENAPI.read_text(encoding="utf-8"))["paths"]
    return paths


@cache
def _modules() -> dict[Path, ast.Module]:
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(PACKAGE.rglob("*.py"))}


def main() -> None:
    """Add what is new."""
    record = recorded() if RECORD.exists() else {"kept": {}, "retired": []}
    RECORD.write_text(json.dumps(with_new(record, names()), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
