"""The OpenAPI document of the web application.

`python -m authproxy.web.openapi > docs/reference/openapi.json` writes the published one: all endpoints there are.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from fastapi.openapi.models import OpenAPI
from fastapi.openapi.utils import get_openapi

from authproxy.web.discovery import OPERATIONS as DISCOVERY
from authproxy.web.endpoint import Operations
from authproxy.web.schemas import SCHEMAS, SECURITY_SCHEMES
from authproxy.web.token import OPERATIONS as TOKEN

TITLE = "authproxy"
# Of the interface, not of the program.
VERSION = "1"
DESCRIPTION = (
    "What authproxy serves beside the registry's API, where its configuration has `token`: access tokens, the keys that"
    " verify them, and where both are. Below /v2/ is the API of the OCI Distribution specification 1.1."
)


def make_document(paths: Mapping[str, Operations]) -> dict[str, Any]:
    """The document of these operations by path. Raises pydantic's ValidationError if it is not OpenAPI 3.1.0."""
    document = get_openapi(title=TITLE, version=VERSION, description=DESCRIPTION, routes=())
    document["paths"] = {path: dict(operations) for path, operations in paths.items()}
    document["components"] = {"schemas": SCHEMAS, "securitySchemes": SECURITY_SCHEMES}
    OpenAPI.model_validate(document)
    return document


def published() -> str:
    """The document of every endpoint, as docs/reference/openapi.json has it."""
    return json.dumps(make_document({**TOKEN, **DISCOVERY}), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(published())
