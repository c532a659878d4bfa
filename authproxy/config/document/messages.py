"""A document → a pydantic model, and every fault as one message: `file:line: key.path: what is wrong; allowed: …`."""

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from authproxy.config.document.schema import at, describe, fields_of, section_of
from authproxy.config.document.tree import Document, DocumentError, KeyPath, Place

Model = TypeVar("Model", bound=BaseModel)

# `addr::5000`: a key and its value, which YAML takes for one text.
_GLUED = re.compile(r"[\w.-]+:[^\s/]")
# Text that needs no quotes in a YAML list.
_PLAIN = re.compile(r"[\w./][\w./-]*(?::\w[\w./-]*)*")

_CONFLICT = "conflict"  # the type of the errors that `conflict` makes

_KEYS, _LIST, _TEXT = "keys below it", "a list", "one value"
_WANTED = {
    "model_type": _KEYS,
    "model_attributes_type": _KEYS,
    "dict_type": _KEYS,
    "mapping_type": _KEYS,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "string_type": _TEXT,
    "path_type": _TEXT,
}


class Fault(NamedTuple):
    """One fault, and where it is."""

    place: Place
    sentence: str  # begins with the place, or the places
    is_conflict: bool = False  # between keys that are each right by themselves


def validate_document(document: Document, model: type[Model]) -> Model:
    """The model that the document describes. Raises DocumentError with a line for each fault."""
    try:
        return model.model_validate(document.to_plain())
    except ValidationError as exc:
        raise faulty(explain(exc, document, model)) from None


# Of a longer description only the first sentence is shown.
_LONGEST_ABOUT = 200


def explain(error: ValidationError, document: Document, model: type[BaseModel]) -> list[Fault]:
    """One message for each fault that pydantic found."""
    return [_fault(detail, document, model) for detail in error.errors(include_url=False)]


def faulty(faults: Iterable[Fault]) -> DocumentError:
    """The error of a document with these faults: one line for each, sorted by place, without duplicates."""
    return DocumentError("\n".join(dict.fromkeys(fault.sentence for fault in sorted(faults))))


def conflict(sentence: str, *keys: KeyPath) -> PydanticCustomError:
    """For validators over a whole model: an error that belongs to several keys, each shown with its place."""
    return PydanticCustomError(_CONFLICT, "{sentence}", {"sentence": sentence, "keys": keys})


def unknown_key(path: KeyPath, place: Place, allowed: Iterable[str]) -> Fault:
    """The fault of an unknown key, with the keys that are allowed in its place."""
    known = list(allowed)
    typed = str(path[-1]).lower()
    close = difflib.get_close_matches(typed, known, n=5)
    # Few mistype the beginning of a word: adress is addr, not headers.
    close.sort(key=lambda key: key[:2] != typed[:2])
    meant = f' (did you mean "{close[0]}"?)' if close else ""
    return Fault(place, f"{place}: {dotted(path)}: unknown key{meant}; allowed: {', '.join(known)}")


def dotted(path: Sequence[str | int]) -> str:
    """A key path in the form of messages: `identities.0.htpasswd.path`."""
    return ".".join(map(str, path))


def _fault(detail: ErrorDetails, document: Document, model: type[BaseModel]) -> Fault:
    path = detail["loc"]
    if detail["type"] == _CONFLICT:
        # A section's own validator names keys relative to the section.
        keys = [path + key for key in detail["ctx"]["keys"]]
        places = [document.place_of(key) for key in keys]
        where = " and ".join(dict.fromkeys(map(str, places)))
        sentence = f"{where}: {', '.join(map(dotted, keys))}: {detail['ctx']['sentence']}"
        return Fault(places[0], sentence, is_conflict=True)
    place = document.place_of(path)
    if detail["type"] == "extra_forbidden":
        section = section_of(at(model, path[:-1]))
        return unknown_key(path, place, fields_of(section) if section else ())
    subject = f"{dotted(path)}: " if path else ""
    return Fault(place, f"{place}: {subject}{_what_is_wrong(detail, model)}{_how_to_write(detail, place, model)}")


def _how_to_write(detail: ErrorDetails, place: Place, model: type[BaseModel]) -> str:
    """How to write the line, if one value is given instead of a list or keys; empty if that is unknown."""
    value = detail["input"]
    if not isinstance(value, str):
        return ""
    wanted = _WANTED.get(detail["type"])
    if wanted == _LIST or (detail["type"] == "value_error" and "expected a list," in str(detail["ctx"]["error"])):
        listed = as_list(value, at(model, detail["loc"]))
        return f"; write {place}='{listed}'" if not place.line else f"; write {detail['loc'][-1]}: {listed}"
    if wanted == _KEYS and _GLUED.match(value):
        return "; a key's colon needs a space after it"
    return ""


def as_list(value: str, annotation: object) -> str:
    """The list that a text probably means, as YAML: `["*"]`. A possible secret is not shown."""
    if "Secret" in repr(annotation):
        return "[…]"
    items = [item.strip() for item in value.split(",")]
    return f"[{', '.join(item if _PLAIN.fullmatch(item) else json.dumps(item) for item in items)}]"


def _what_is_wrong(detail: ErrorDetails, model: type[BaseModel]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        about = describe(model, detail["loc"]).partition("\n\n")[0].replace("\n", " ")
        if len(about) > _LONGEST_ABOUT:
            about = f"{about.partition('. ')[0]}."
        return f"missing, and it has no default. {about}".rstrip()
    if kind in ("literal_error", "enum"):
        return f"unknown value; allowed: {context['expected']}"
    if kind == "value_error":
        return str(context["error"])
    if wanted := _WANTED.get(kind):
        return f"expected {wanted}, not {_kind_of(detail['input'])}"
    return detail["msg"]


def _kind_of(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case dict():
            return "keys"
        case list():
            return _LIST
        case _:
            return _TEXT
