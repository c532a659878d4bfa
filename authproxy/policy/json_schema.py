"""The JSON Schema of a policy file (draft 2020-12), for completion and checks in editors.

Made from the models that read the file. It is slightly stricter: `no` and `12` in YAML are texts for us, but not
strings for an editor, which asks for quotes.
"""

import json
from typing import TYPE_CHECKING

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema

from authproxy.config.document.docstrings import field_docstrings
from authproxy.policy.file_schema import FileEntry

if TYPE_CHECKING:
    from pydantic import BaseModel

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def policy_schema() -> str:
    """The schema as JSON text."""
    schema = (
        {"$schema": DIALECT}
        | FileEntry.model_json_schema(schema_generator=_WithDescriptions)
        | {"title": "authproxy policy"}
    )
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


class _WithDescriptions(GenerateJsonSchema):
    """Describes each key by the docstring below its field."""

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        """See GenerateJsonSchema."""
        made = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        for name, text in field_docstrings(model).items():
            made["properties"][model.model_fields[name].alias or name]["description"] = text
        return made
