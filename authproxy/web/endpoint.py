"""A plain ASGI endpoint with its part of the OpenAPI document."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from authproxy.asgi import App

# An Operation Object (OpenAPI 3.1.0 §4.8.10) for each method, in lower case: a Path Item Object.
Operations: TypeAlias = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`app` answers every method at `path`; `operations` describe those that it allows."""

    path: str
    app: App
    operations: Operations
