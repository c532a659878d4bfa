"""The JSON Schema of a policy file (draft 2020-12), by which editors complete and check what is written.

Made from the same models that read the file. It is a little stricter than they are: in YAML `no` and `12` are texts for
us, and no strings for an editor, which asks for quotes.
"""

import json

from authproxy.policy.file_schema import FileEntry

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def policy_schema() -> str:
    """The schema as JSON text."""
    schema = {"$schema": DIALECT} | FileEntry.model_json_schema() | {"title": "authproxy policy"}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
