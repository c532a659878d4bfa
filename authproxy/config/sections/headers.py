"""Maps of HTTP headers: each name with the list of its values, `X-Content-Type-Options: [nosniff]`."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import AfterValidator, PlainValidator, SecretStr

Value = TypeVar("Value", str, SecretStr)

# RFC 9110 §5.1 and §5.5: a token, and a value without control characters.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PATH = re.compile(r"/[^\x00-\x20?#%\x7f]*")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def _checked(headers: Mapping[str, tuple[Value, ...]]) -> Mapping[str, tuple[Value, ...]]:
    for name, values in headers.items():
        _checked_name(name)
        if not all(_VALUE.fullmatch(_text(value)) for value in values):
            raise ValueError(f"a value of {name} has characters that are not allowed in a header")
    return headers


def _text(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _checked_name(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not the name of a header")
    return name


HeaderName: TypeAlias = Annotated[str, AfterValidator(_checked_name)]

Values: TypeAlias = tuple[str, ...]


def _read_entry(value: Any) -> Values | dict[str, Values]:
    """The values of a header, or the headers below a path."""
    if isinstance(value, dict):
        return {str(name): _read_values(values) for name, values in value.items()}
    return _read_values(value)


def _read_values(value: Any) -> Values:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise ValueError("expected a list, such as [nosniff]")
    return tuple(value)


def _checked_by_path(entries: dict[str, Values | dict[str, Values]]) -> dict[str, Values | dict[str, Values]]:
    for key, entry in entries.items():
        if not key.startswith("/"):
            if isinstance(entry, dict):
                raise ValueError(f"{key} has headers below it, so it must be a path; write /{key}")
            _checked({key: entry})
        elif _PATH.fullmatch(key) is None:
            raise ValueError(f"{key!r} is not a path; allowed: a path as in a request, without query and escapes")
        elif not isinstance(entry, dict):
            raise ValueError(f"{key} is a path; write the headers of its responses below it")
        else:
            _checked(entry)
    return entries


# Headers by their names, and below a path the headers of its responses.
HeadersByPath: TypeAlias = Annotated[
    dict[str, Annotated[Values | dict[str, Values], PlainValidator(_read_entry)]], AfterValidator(_checked_by_path)
]

# For headers that we send to other servers: they may have credentials.
SecretHeaders: TypeAlias = Annotated[dict[str, tuple[SecretStr, ...]], AfterValidator(_checked)]
