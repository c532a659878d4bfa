"""Looks up key paths in a pydantic model, with its sections, lists and free maps, and lists its values by key path."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from authproxy.config.document.docstrings import field_docstrings
from authproxy.config.document.tree import KeyPath


class Section(BaseModel):
    """Keys that belong together. Frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The model in an annotation, or None: `Tls | None` is Tls."""
    bare = _bare(annotation)
    return bare if isinstance(bare, type) and issubclass(bare, BaseModel) else None


def below(annotation: Any, step: str | int) -> Any:
    """The annotation of the value at a key or an index, or None if none is allowed."""
    bare = _bare(annotation)
    if section := section_of(bare):
        field = fields_of(section).get(str(step))
        return None if field is None else field.annotation
    arguments, origin = get_args(bare), get_origin(bare)
    if origin in (Union, UnionType):  # of a list and keys, the one that has such a step
        return next(filter(None, (below(kind, step) for kind in arguments)), None)
    if isinstance(origin, type) and arguments:
        if issubclass(origin, Mapping) and isinstance(step, str):
            return arguments[1]
        if issubclass(origin, Sequence) and isinstance(step, int):
            return arguments[0]
    return None


def is_scalar(annotation: Any) -> bool:
    """Whether the annotation is one value, as far as the model says: no section, list or map."""
    bare = _bare(annotation)
    kinds = get_args(bare) if get_origin(bare) in (Union, UnionType) else (bare,)
    return not any(section_of(kind) or isinstance(get_origin(_bare(kind)), type) for kind in kinds)


def is_path(annotation: Any) -> bool:
    """Whether the annotation is the path of a file or folder, and nothing else."""
    return _bare(annotation) is Path


def at(model: type[BaseModel], path: Sequence[str | int]) -> Any:
    """The annotation at a key path, or None if the model has no such path."""
    annotation: Any = model
    for step in path:
        annotation = below(annotation, step)
        if annotation is None:
            return None
    return annotation


def describe(model: type[BaseModel], path: Sequence[str | int]) -> str:
    """The docstring below the field at a key path; empty if there is none, or the path ends in a list or a free map."""
    section = section_of(at(model, path[:-1])) if path else None
    if section is None:
        return ""
    names = (name for name, field in section.model_fields.items() if (field.alias or name) == path[-1])
    return field_docstrings(section).get(next(names, ""), "")


def fields_of(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a section by their keys in a file: a field whose key is a Python keyword has an alias."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def leaves(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every value of a validated model with its key path; an empty section, list or map counts as one.

    Absent optional sections are left out, so that the result describes the same model.
    """
    children: list[tuple[str | int, Any]]
    match value:
        case BaseModel():
            children = [
                (field.alias or name, getattr(value, name))
                for name, field in type(value).model_fields.items()
                if getattr(value, name) is not None or section_of(field.annotation) is None
            ]
        case dict():
            children = list(value.items())
        case tuple() | list():
            children = list(enumerate(value))
        case _:
            yield path, value
            return
    if not children:
        yield path, () if isinstance(value, tuple | list) else {}
    for step, child in children:
        yield from leaves(child, (*path, step))


def _bare(annotation: Any) -> Any:
    """The annotation without `Annotated` and `| None`; a union of several kinds is unchanged."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
        return _bare(kinds[0]) if len(kinds) == 1 else annotation
    return annotation
