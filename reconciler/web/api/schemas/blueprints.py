"""The shapes about blueprints, and about the documents that instances make."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from reconciler.web.api.schemas.admission import MissingJson
from reconciler.web.api.schemas.shapes import Shape


class BlueprintJson(Shape):
    """One version of a blueprint."""

    space: str
    name: str
    version: str
    description: str | None


class BlueprintInputJson(Shape):
    """One input of a blueprint."""

    name: str
    type: str
    required: bool
    default: Any = None
    pattern: str | None
    min: float | None
    max: float | None
    options: list[str]
    description: str | None


class BlueprintDetailJson(BlueprintJson):
    """A blueprint's version with its inputs; `versions` are all its versions, the oldest first.

    `spaces`: where instances can use it, as far as the caller sees.
    """

    versions: list[str]
    inputs: list[BlueprintInputJson]
    spaces: list[str]


class RenderIn(Shape):
    """An instance to try out, in the blueprint's own space unless `space` names another one."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(max_length=64)
    inputs: dict[str, Any] = Field(default_factory=dict)
    space: str | None = Field(None, max_length=63)
    name: str = Field("example", max_length=63)


class DiagnosticJson(Shape):
    """One finding; file, line and column are null if no file is to blame."""

    severity: str
    code: str
    summary: str
    hint: str | None
    file: str | None
    line: int | None
    column: int | None


class MadeJson(Shape):
    """A document that an instance would change, and the right to that which the caller lacks; null: none."""

    kind: str
    space: str
    name: str
    verb: str
    missing: MissingJson | None


class RenderedJson(Shape):
    """The documents that an instance makes, with secrets as references, and the diagnostics about them.

    For one that is tried out also what would change with it, its own document as YAML, and the file for that, from the
    top of the configuration.
    """

    documents: list[dict[str, Any]]
    diagnostics: list[DiagnosticJson]
    changes: list[MadeJson] = Field(default_factory=list)
    written: str | None = None
    file: str | None = None


class InstanceJson(Shape):
    """An instance in force: the blueprint that it follows, its newest version, and what it makes."""

    space: str
    name: str
    blueprint: str
    version: str
    newest: str | None
    inputs: dict[str, Any]
    stacks: list[str]
    file: str
