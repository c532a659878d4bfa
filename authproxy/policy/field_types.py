"""The field types of policy files: names, flags, lists, single lines of text."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from authproxy.config.document.scalars import format_duration, parse_duration
from authproxy.policy.glob import Glob
from authproxy.policy.tags import TagGlob

# Docker token authentication, "Token Response Fields": clients treat shorter lifetimes as one minute.
MIN_LIFETIME = timedelta(minutes=1)

Item = TypeVar("Item", bound=Sequence[Any] | Mapping[str, Any])


class Entry(BaseModel):
    """A section of a policy file. An unknown key is refused: a typo must never become a rule."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def not_empty(values: Item) -> Item:
    """Refuse an empty list: it could mean all or none."""
    if not values:
        raise ValueError("an empty list; allowed: at least one entry")
    return values


def _only_true(value: object) -> object:
    # `signed-in: false` could be read as "only anonymous callers", which it does not mean.
    if value != "true":
        raise ValueError("this can only be true; allowed: true, or leave the key out")
    return True


def one_line(value: str) -> str:
    """Refuse text that is not a single line in a log."""
    if not value or value != value.strip() or not value.isprintable():
        raise ValueError("this must be one line of text; allowed: printable characters, without spaces around them")
    return value


def _exact_name(value: str) -> str:
    # Patterns are not supported here: the rule would silently match nobody.
    if any(c in "*{}" for c in value):
        raise ValueError(f'"{value}" looks like a pattern; allowed: exact names (`everyone: true` for all)')
    return one_line(value)


def _joined_lines(value: str) -> str:
    joined = " ".join(value.split())
    if not joined.isprintable():
        raise ValueError("this contains control characters; allowed: text")
    return joined


def one_text(value: object) -> str:
    """Refuse anything but one value."""
    if not isinstance(value, str):
        raise ValueError("expected one value, not keys, a list or nothing")  # noqa: TRY004  pydantic's contract
    return value


def _parsed_glob(value: object) -> Glob:
    return Glob.parse(one_text(value))


def _parsed_tag_glob(value: object) -> TagGlob:
    return TagGlob.parse(one_text(value))


def _lifetime(value: object) -> timedelta:
    lifetime = parse_duration(one_text(value))
    if lifetime < MIN_LIFETIME:
        raise ValueError(f"too short; allowed: {format_duration(MIN_LIFETIME)} or more")
    if lifetime % timedelta(seconds=1):
        raise ValueError("not whole seconds; allowed: a duration such as 15m")
    return lifetime


Lifetime: TypeAlias = Annotated[timedelta, PlainValidator(_lifetime, json_schema_input_type=str)]
Flag: TypeAlias = Annotated[bool, BeforeValidator(_only_true, json_schema_input_type=Literal[True])]
Line: TypeAlias = Annotated[str, AfterValidator(one_line)]
Prose: TypeAlias = Annotated[str, AfterValidator(_joined_lines)]
Name: TypeAlias = Annotated[str, AfterValidator(_exact_name)]
AtLeastOne = Field(json_schema_extra={"minItems": 1})
Names: TypeAlias = Annotated[tuple[Name, ...], AfterValidator(not_empty), AtLeastOne]
Globs: TypeAlias = Annotated[
    tuple[Annotated[Glob, PlainValidator(_parsed_glob, json_schema_input_type=str)], ...],
    AfterValidator(not_empty),
    AtLeastOne,
]
TagGlobs: TypeAlias = Annotated[
    tuple[Annotated[TagGlob, PlainValidator(_parsed_tag_glob, json_schema_input_type=str)], ...],
    AfterValidator(not_empty),
    AtLeastOne,
]
