"""What a stack says about the stacks that it needs: which of their outputs it takes, and as which variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from spaces.model.base import EnvName, Model, OutputName, Problem, QualifiedName, list_at, mapping_at
from spaces.variables import Variable
from spaces.variables import variable as kind_of


class Dependency(Model):
    """A stack that has to be in sync first; a bare name means that no output of it is used."""

    stack: QualifiedName = Field(description="A Stack by name or as space/name.")
    outputs: dict[OutputName, EnvName] = Field(
        default_factory=dict, description="Outputs of that stack, each with the variable that it is given in."
    )

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, value: object) -> object:
        return {"stack": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Tell editors that a bare name is fine as well."""
        schema = handler.resolve_ref_schema(handler(core))
        return {"anyOf": [schema["properties"]["stack"], schema]}


def dependency_problems(spec: Mapping[str, Any]) -> Iterator[Problem]:
    """Give the stacks named twice, and the variables that may not be set, or that several want to set."""
    seen = set()
    setters = dict.fromkeys(mapping_at(spec, "env"), "spec.env")
    for index, entry in enumerate(list_at(spec, "dependsOn")):
        name = entry.get("stack") if isinstance(entry, dict) else entry
        if not isinstance(name, str):
            continue
        if name in seen:
            yield Problem(
                ("dependsOn", index, "stack"), "duplicate-dependency", f"the stack {name[:130]!r} is named twice"
            )
        seen.add(name)
        for output, variable in mapping_at(entry, "outputs").items() if isinstance(entry, dict) else ():
            if not isinstance(variable, str):
                continue
            path = ("dependsOn", index, "outputs", output)
            if kind_of(variable) is not Variable.PLAIN:
                summary = f"{variable[:80]} may not be set from an output"
                yield Problem(path, "env-not-allowed", summary, "choose another variable")
            elif variable in setters:
                summary = f"{variable[:80]} is set by {setters[variable][:140]} and by output {str(output)[:80]}"
                yield Problem(path, "duplicate-env", summary, "choose another variable for one of them")
            setters.setdefault(variable, f"output {output} of {name}")
