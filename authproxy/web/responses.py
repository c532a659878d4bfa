"""Response Objects (OpenAPI 3.1.0 §4.8.17) that several operations have."""

from collections.abc import Mapping
from typing import Any, TypeAlias

Response: TypeAlias = dict[str, Any]

REQUEST_ID = {"X-Request-Id": {"description": "The request's name in the logs.", "schema": {"type": "string"}}}


def respond_with(description: str, *schemas: str, **headers: str) -> Response:
    """A response with a JSON body of one of the named schemas (none: no body).

    `headers`: their descriptions by name, with `_` for `-`. They are always there.
    """
    always = {
        name.replace("_", "-"): {"description": about, "required": True, "schema": {"type": "string"}}
        for name, about in headers.items()
    }
    response: Response = {"description": description, "headers": {**REQUEST_ID, **always}}
    if schemas:
        references = [{"$ref": f"#/components/schemas/{schema}"} for schema in schemas]
        schema = references[0] if len(references) == 1 else {"oneOf": references}
        response["content"] = {"application/json": {"schema": schema}}
    return response


def without_bodies(responses: Mapping[str, Response]) -> dict[str, Response]:
    """The same responses to HEAD."""
    return {
        status: {member: value for member, value in response.items() if member != "content"}
        for status, response in responses.items()
    }


OTHER_ERROR = respond_with("Any other error: the registry's list of errors, with its status.", "Errors")


def allow(methods: str, **headers: str) -> dict[str, Response]:
    """What OPTIONS is answered with."""
    return {"204": respond_with("No body.", Allow=methods, **headers), "default": OTHER_ERROR}
