"""What a stack takes from another one: that it comes first, and its outputs, each with the places that they go to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema

from spaces.model.base import (
    MOST_ITEMS,
    EnvName,
    FilePath,
    Flag,
    Model,
    OutputName,
    Path,
    Problem,
    QualifiedName,
    list_at,
    mapping_at,
)
from spaces.model.configuration import plain_path
from spaces.model.variables import VariableClass, classify_variable


class OutputUse(Model):
    """Where an output of another stack goes."""

    env: EnvName | None = Field(None, description="The variable that receives it.")
    file: FilePath | None = Field(None, description="The file that receives it as JSON, as in spec.files.")
    preview_as: Annotated[Any, WithJsonSchema({})] = Field(
        None,
        description="What stands in for it, in plans that are only looked at, while the other stack does not have it. "
        "Nothing is ever applied with it.",
    )

    @property
    def places(self) -> tuple[str, ...]:
        """The variable and the file, in words that name each place of a run once."""
        file = None if self.file is None else f"file {plain_path(self.file)}"
        return tuple(place for place in (self.env, file) if place is not None)


if TYPE_CHECKING:
    _OutputUse = OutputUse  # which it is after the last step
else:
    _OutputUse = Annotated[
        Annotated[EnvName, Tag("[variable]")] | Annotated[OutputUse, Tag("[use]")],
        Discriminator(lambda value: "[use]" if isinstance(value, dict | OutputUse) else "[variable]"),
        AfterValidator(lambda value: OutputUse(env=value) if isinstance(value, str) else value),
    ]


class Dependency(Model):
    """A stack that must be in sync first. A bare name means that none of its outputs are used."""

    stack: QualifiedName = Field(description="A Stack by name or as space/name.")
    always: Flag = Field(
        False, description="true: each time that stack applies something, this one runs, whatever its outputs are."
    )
    outputs: dict[OutputName, _OutputUse] = Field(
        default_factory=dict,
        max_length=MOST_ITEMS,
        description="Outputs of that stack, each with the variable that receives it, or with `env`, `file` or both.",
    )

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, value: object) -> object:
        return {"stack": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Add the bare name to the schema, for editors."""
        schema = handler.resolve_ref_schema(handler(core))
        return {"anyOf": [schema["properties"]["stack"], schema]}


def dependency_problems(spec: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield stacks that are named twice, and variables and files that may not be set or that are set twice."""
    seen = set()
    taken = _Taken(spec)
    for index, entry in enumerate(list_at(spec, "dependsOn")):
        name = entry.get("stack") if isinstance(entry, dict) else entry
        if not isinstance(name, str):
            continue
        if name in seen:
            yield Problem(
                ("dependsOn", index, "stack"), "duplicate-dependency", f"the stack {name[:130]!r} is named twice"
            )
        seen.add(name)
        for output, use in mapping_at(entry, "outputs").items() if isinstance(entry, dict) else ():
            path: Path = ("dependsOn", index, "outputs", output)
            by = f"output {str(output)[:80]} of {name[:130]}"
            if isinstance(use, str):
                yield from taken.variable(path, use, by)
            elif isinstance(use, dict):
                if use.get("env") is None and use.get("file") is None:
                    summary = f"{by} goes nowhere: it needs env or file"
                    yield Problem(path, "missing-key", summary, "name a variable, or a file", at_key=True)
                yield from taken.variable((*path, "env"), use.get("env"), by)
                yield from taken.file((*path, "file"), use.get("file"), by)


class _Taken:
    """The variables and files of a document that have a value already, each with what gives it."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._variables = dict.fromkeys(mapping_at(spec, "env"), "spec.env")
        files = (name for name in mapping_at(spec, "files") if isinstance(name, str))
        self._files = {plain_path(name): "spec.files" for name in files}

    def variable(self, path: Path, name: object, by: str) -> Iterator[Problem]:
        """Yield why an output cannot go to a variable, and note that it does."""
        if not isinstance(name, str):
            return
        if classify_variable(name) is not VariableClass.PLAIN:
            summary = f"{name[:80]} may not be set from an output"
            yield Problem(path, "env-not-allowed", summary, "choose another variable")
        elif name in self._variables:
            summary = f"{name[:80]} is set by {self._variables[name]} and by {by}"
            yield Problem(path, "duplicate-env", summary, "choose another variable for one of them")
        self._variables.setdefault(name, by)

    def file(self, path: Path, name: object, by: str) -> Iterator[Problem]:
        """Yield why an output cannot go to a file, and note that it does."""
        if not isinstance(name, str):
            return
        plain = plain_path(name)
        if (other := self._files.get(plain)) is not None:
            summary = f"the file {plain[:80]} is written by {other} and by {by}"
            yield Problem(path, "duplicate-key", summary, "choose another path for one of them")
        elif around := next((each for each in self._files if _nested(each, plain)), None):
            summary = f"the files {plain[:80]} and {around[:80]} cannot be there both: one of them would be a directory"
            yield Problem(path, "invalid-path", summary, "give one of them another path")
        self._files.setdefault(plain, by)


def _nested(one: str, other: str) -> bool:
    """Whether one of two paths lies below the other."""
    return one.startswith(f"{other}/") or other.startswith(f"{one}/")
