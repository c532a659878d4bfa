"""Maps of HTTP headers: each name with the list of its values, `X-Content-Type-Options: [nosniff]`."""

import re
from collections.abc import Mapping
from typing import Annotated, TypeAlias, TypeVar

from pydantic import AfterValidator, SecretStr

Value = TypeVar("Value", str, SecretStr)

# RFC 9110 §5.1 and §5.5: a token, and a value without control characters.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def _checked(headers: Mapping[str, tuple[Value, ...]]) -> Mapping[str, tuple[Value, ...]]:
    for name, values in headers.items():
        _checked_name(name)
        if not all(_VALUE.fullmatch(_text(value)) for value in values):
            raise ValueError(f"a value of {name} has characters that no header may hold")
    return headers


def _text(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _checked_name(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not the name of a header")
    return name


HeaderName: TypeAlias = Annotated[str, AfterValidator(_checked_name)]

Headers: TypeAlias = Annotated[dict[str, tuple[str, ...]], AfterValidator(_checked)]

# For headers that we send elsewhere: they may hold credentials.
SecretHeaders: TypeAlias = Annotated[dict[str, tuple[SecretStr, ...]], AfterValidator(_checked)]
