"""JSON Schemas for editors: one for each kind, and one for all of them."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from spaces.model.base import Metadata, Model
from spaces.model.kinds import SPECS
from spaces.names import API_VERSION, Kind

COMBINED = "stationkeeper.schema.json"
_DIALECT = "http://json-schema.org/draft-07/schema#"


class _Untitled(GenerateJsonSchema):
    """Generates schemas without titles, which would only repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return False for every field."""
        _ = schema
        return False

    def dict_schema(self, schema: Any) -> dict[str, Any]:
        """Forbid other keys where the keys have a pattern."""
        result: dict[str, Any] = super().dict_schema(schema)
        return {**result, "additionalProperties": False} if "patternProperties" in result else result


def file_name(kind: Kind) -> str:
    """Return the name of the file with the schema of one kind, such as stack.schema.json."""
    return f"{kind.lower()}.schema.json"


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return every schema by its file name; COMBINED accepts a document of any supported kind."""
    mode: JsonSchemaMode = "validation"
    models: list[type[Model]] = [Metadata, *SPECS.values()]
    references, whole = models_json_schema([(model, mode) for model in models], schema_generator=_Untitled)
    definitions: dict[str, Any] = whole["$defs"]
    documents = {
        kind: _document(kind, references[(model, mode)], definitions["Metadata"], model)
        for kind, model in SPECS.items()
    }
    shared = {name: schema for name, schema in definitions.items() if name != "Metadata"}
    schemas = {
        file_name(kind): {"$schema": _DIALECT, **document, "$defs": _needed(document, shared)}
        for kind, document in documents.items()
    }
    schemas[COMBINED] = {
        "$schema": _DIALECT,
        "title": "A document of Stationkeeper",
        "oneOf": list(documents.values()),
        "$defs": shared,
    }
    return schemas


def _document(kind: Kind, spec: Any, metadata: dict[str, Any], model: type[Model]) -> dict[str, Any]:
    left_out = {Kind.SPACE: {"space", "movedFrom"}, Kind.STACK: set[str]()}.get(kind, {"movedFrom"})
    properties = {key: value for key, value in metadata["properties"].items() if key not in left_out}
    needs_spec = any(field.is_required() for field in model.model_fields.values())
    return {
        "title": kind.value,
        "description": (model.__doc__ or "").strip(),
        "type": "object",
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": kind.value},
            "metadata": {**metadata, "properties": properties},
            "spec": spec,
        },
        "required": ["apiVersion", "kind", "metadata", *(["spec"] if needs_spec else [])],
        "additionalProperties": False,
    }


def _needed(schema: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the definitions that `schema` refers to, directly or through others."""
    needed: dict[str, Any] = {}
    todo = [schema]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            todo.extend(item.values())
            name = str(item.get("$ref", "")).removeprefix("#/$defs/")
            if name in definitions and name not in needed:
                needed[name] = definitions[name]
                todo.append(definitions[name])
        elif isinstance(item, list):
            todo.extend(item)
    return needed
