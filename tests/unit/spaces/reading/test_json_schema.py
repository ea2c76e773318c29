"""The editor's schemas say what the models say."""

import json
import re

import pytest
from pydantic import BaseModel

from spaces.model.kinds import SPECS
from spaces.model.tools import TOOLS
from spaces.names import API_VERSION, Kind
from spaces.reading.json_schema import COMBINED, file_name, json_schemas

SCHEMAS = json_schemas()


def nodes(schema):
    todo = [schema]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            yield item
            todo.extend(item.values())
        elif isinstance(item, list):
            todo.extend(item)


def test_there_is_one_per_kind_and_one_for_all():
    assert set(SCHEMAS) == {
        "space.schema.json",
        "stack.schema.json",
        "context.schema.json",
        "repository.schema.json",
        "notifier.schema.json",
        "workerpool.schema.json",
        "policy.schema.json",
        "role.schema.json",
        "rolebinding.schema.json",
        "user.schema.json",
        "group.schema.json",
        "apikey.schema.json",
        "blueprint.schema.json",
        "blueprintinstance.schema.json",
        "cloudintegration.schema.json",
        COMBINED,
    }


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_whole(name):
    schema = SCHEMAS[name]
    assert json.loads(json.dumps(schema)) == schema
    references = {node["$ref"] for node in nodes(schema) if isinstance(node.get("$ref"), str)}
    assert references == {f"#/$defs/{each}" for each in schema["$defs"]} or name == COMBINED
    assert all(each.removeprefix("#/$defs/") in schema["$defs"] for each in references)
    for node in nodes(schema):
        for pattern in [node.get("pattern"), *node.get("patternProperties", {})]:
            # What is no text is the property of that name.
            assert not isinstance(pattern, str) or re.compile(pattern)


@pytest.mark.parametrize("kind", SPECS)
def test_a_kind_has_the_keys_of_its_model(kind):
    schema = SCHEMAS[file_name(kind)]
    model: type[BaseModel] = SPECS[kind]
    spec = schema["$defs"][model.__name__]
    assert set(spec["properties"]) == {field.alias for field in model.model_fields.values()}
    assert set(spec.get("required", [])) == {
        field.alias for field in model.model_fields.values() if field.is_required()
    }
    assert spec["additionalProperties"] is False
    assert all("description" in each for each in spec["properties"].values())
    assert schema["properties"]["apiVersion"] == {"const": API_VERSION}
    assert schema["properties"]["kind"] == {"const": kind}
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        (Kind.SPACE, {"name", "labels", "description"}),
        (Kind.STACK, {"name", "space", "labels", "description", "movedFrom"}),
        (Kind.CONTEXT, {"name", "space", "labels", "description"}),
    ],
)
def test_metadata_offers_what_the_kind_takes(kind, keys):
    metadata = SCHEMAS[file_name(kind)]["properties"]["metadata"]
    assert set(metadata["properties"]) == keys
    assert metadata["required"] == ["name"]


@pytest.mark.parametrize(
    ("kind", "needed"), [(Kind.SPACE, False), (Kind.CONTEXT, False), (Kind.STACK, True), (Kind.REPOSITORY, True)]
)
def test_spec_is_required_where_it_must_say_something(kind, needed):
    assert ("spec" in SCHEMAS[file_name(kind)]["required"]) is needed


def test_the_combined_schema_tells_kinds_apart():
    assert [each["properties"]["kind"]["const"] for each in SCHEMAS[COMBINED]["oneOf"]] == list(SPECS)


def test_only_what_is_built_is_offered():
    definitions = SCHEMAS[file_name(Kind.STACK)]["$defs"]
    properties = definitions["StackSpec"]["properties"]
    assert set(definitions["ToolName"]["enum"]) == set(TOOLS) <= set(properties)
    assert definitions["OnDelete"]["enum"] == ["retain", "destroy"]
    assert definitions["Hooks"]["properties"]["before"]["propertyNames"]["enum"] == ["init", "plan", "apply", "destroy"]
    assert {each["type"] for each in definitions["ContextUse"]["anyOf"]} == {"string", "object"}
    assert properties["env"]["additionalProperties"] is False
