"""The JSON Schema of a policy file (draft 2020-12), for completion and checks in editors.

Made from the models that read the file. It is slightly stricter: `no` and `12` in YAML are texts for us, but not
strings for an editor, which asks for quotes.
"""

import json

from authproxy.policy.file_schema import FileEntry

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def policy_schema() -> str:
    """The schema as JSON text."""
    schema = {"$schema": DIALECT} | FileEntry.model_json_schema() | {"title": "authproxy policy"}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
