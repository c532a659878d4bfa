import json

from typer.testing import CliRunner

from authproxy.cli.policy.app import app
from authproxy.policy.file_schema import FileEntry
from authproxy.policy.json_schema import policy_schema
from tests.support.binaries import ROOT

PUBLISHED = ROOT / "docs/reference/policy.schema.json"


def test_the_published_schema_is_current() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == policy_schema(), "authproxy policy schema > the file writes it anew"


def test_the_command_prints_it() -> None:
    result = CliRunner().invoke(app, ["schema"])
    assert (result.exit_code, result.output) == (0, policy_schema())


def test_it_knows_every_key_and_no_other() -> None:
    schema = json.loads(policy_schema())
    assert set(schema["properties"]) == {field.alias or name for name, field in FileEntry.model_fields.items()}
    for entry in [schema, *schema["$defs"].values()]:
        assert entry["additionalProperties"] is False
        assert all("description" in field for field in entry["properties"].values())
    assert {"users", "groups", "claims", "signed-in"} <= set(schema["$defs"]["SubjectsEntry"]["properties"])


def test_it_says_what_the_types_alone_do_not() -> None:
    schema = json.loads(policy_schema())
    rule = schema["$defs"]["RuleEntry"]
    assert schema["properties"]["version"]["enum"] == [1, "1"]
    assert rule["oneOf"] == [{"required": ["allow"]}, {"required": ["deny"]}]
    assert rule["properties"]["allow"]["minItems"] == 1
    assert schema["$defs"]["ResourcesEntry"]["properties"]["repositories"]["items"] == {"type": "string"}
