"""The Blueprint: documents with blanks, and the inputs that fill them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from spaces.expressions.spans import OPENS
from spaces.model.base import FILE, SOPS_SECRET, VERSION, Path, Problem, QualifiedName, SpecModel, mapping_at, matching
from spaces.model.inputs import BlueprintInput, InputValue, input_problems

MAX_DOCUMENTS = 200
"""The most documents that one instance may make, including those of the instances that it makes."""

Version = Annotated[str, matching(VERSION)]
TemplateDocument = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "properties": {
                "kind": {"type": "string", "enum": ["Stack", "Context", "BlueprintInstance"]},
                "metadata": {"type": "object"},
                "spec": {"type": "object"},
            },
            "required": ["kind", "metadata"],
            "additionalProperties": False,
        }
    ),
]


class BlueprintSpec(SpecModel):
    """Documents for many places, written once: each BlueprintInstance fills in the inputs."""

    version: Version = Field(description="The version. A name can have several; instances say which one they follow.")
    inputs: tuple[BlueprintInput, ...] = Field((), description="The inputs that an instance fills in.")
    template: tuple[TemplateDocument, ...] = Field(
        description="Documents without apiVersion, with `${{ … }}` in values; they belong to the instance's space."
    )

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield the problems of the inputs. The template is checked together with the documents that it makes."""
        yield from super().problems(raw)
        yield from input_problems(raw)
        if raw.get("template") == []:
            yield Problem(("template",), "invalid-value", "spec.template must hold at least one document")

    def attachments(self) -> Iterator[tuple[Path, str]]:
        """Yield the files that the template mounts, and its SOPS files, by a path without expressions."""
        for index, document in enumerate(self.template):
            yield from _sops_files(document, ("template", index))
            for name, value in mapping_at(mapping_at(document, "spec"), "files").items():
                source = value.get("source") if isinstance(value, dict) else None
                if isinstance(source, str) and OPENS not in source and re.search(FILE, source):
                    yield ("template", index, "spec", "files", name, "source"), source


class BlueprintInstanceSpec(SpecModel):
    """The documents that a Blueprint makes in this space with these inputs. They stay linked to the Blueprint."""

    blueprint: QualifiedName = Field(description="A Blueprint by name or as space/name.")
    version: Version = Field(description="The blueprint's version to follow.")
    inputs: dict[str, InputValue] = Field(default_factory=dict, description="The values of the inputs, by name.")

    def attachments(self) -> Iterator[tuple[Path, str]]:
        """Yield the SOPS files of secret inputs."""
        return _sops_files(self.inputs, ("inputs",))


def _sops_files(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the SOPS files that values as written name, with the paths to their names."""
    if isinstance(value, Mapping):
        written = value.get("sops")
        if len(value) == 1 and isinstance(written, str) and OPENS not in written and re.search(SOPS_SECRET, written):
            yield (*path, "sops"), written.partition("#")[0]
        else:
            for key, item in value.items():
                yield from _sops_files(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _sops_files(item, (*path, index))


def versioned(name: str, version: str) -> str:
    """Return the name of one version of a blueprint, as `name@version`; no other name contains @."""
    return f"{name}@{version}"
