"""Reads Terraform code: which files of a directory belong to a module, and what one of them says.

The service reads a revision (`terraform_modules`), the run's own process the directory that the tool is about to see
(`terraform_directory`). Neither understands expressions: the tool itself explains broken code best.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.tools.terraform.hcl_scan import Block, Expression, Text, scan

FILE_LIMIT = 4 * 1024 * 1024
"""Bytes of a file that are looked at; a larger one is left to the tool."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What one file says: local module sources by module name, and whether it names a backend or `cloud`."""

    modules: Mapping[str, str] = field(default_factory=dict)
    backend: bool = False


_NOTHING = FileFacts()


@dataclass(frozen=True, slots=True)
class CodeFile:
    """A file that belongs to a module; those named `…_override` change what others declare."""

    name: str
    is_json: bool
    is_override: bool


def code_files(names: Collection[str], *, tofu: bool) -> list[CodeFile]:
    """Return a module's files among the names in its directory, in the order in which the tool reads them."""
    return sorted(_code_files(names, tofu=tofu), key=lambda file: (file.is_override, file.name))


def _code_files(names: Collection[str], *, tofu: bool) -> Iterator[CodeFile]:
    for name in names:
        if name.startswith(".") or name.endswith("~") or (name.startswith("#") and name.endswith("#")):
            continue
        for ending in (".tofu.json", ".tofu", ".tf.json", ".tf"):
            if not name.endswith(ending):
                continue
            stem = name.removesuffix(ending)
            mine = ending.startswith(".tofu")
            shadowed = tofu and not mine and stem + ending.replace(".tf", ".tofu") in names
            if (tofu or not mine) and not shadowed:
                yield CodeFile(name, ending.endswith(".json"), stem == "override" or stem.endswith("_override"))
            break


def facts(data: bytes, *, is_json: bool) -> FileFacts:
    """Return what a file says about modules and backends, as far as a broken one can be read."""
    if len(data) > FILE_LIMIT or not (b"module" in data or b"backend" in data or b"cloud" in data):
        return _NOTHING
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    modules: dict[str, str] = {}
    backend = False
    for found in _in_json(text) if is_json else _in_hcl(text):
        match found:
            case ("module", name, source) if _is_local(source):
                modules[name] = source
            case ("backend", _, _):
                backend = True
            case _:
                pass
    return FileFacts(modules, backend)


def _is_local(source: str) -> bool:
    # An absolute path is no module of the repository either; following it is what finds that out.
    return source.startswith(("./", "../", "/")) or source in {".", ".."}


def _in_hcl(text: str) -> Iterator[tuple[str, str, str]]:
    for found in scan(text):
        match found:
            case Text((("module", name),), "source", source):
                yield "module", name, source
            case Block((("terraform",), ("backend", _) | ("cloud",))):
                yield "backend", "", ""
            case _:
                pass


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _in_json(text: str) -> Iterator[tuple[str, str, str]]:
    for part in _objects(_json(text)):
        for modules in _objects(part.get("module")):
            for name, bodies in modules.items():
                for body in _objects(bodies):
                    if isinstance(body.get("source"), str):
                        yield "module", name, body["source"]
        for settings in _objects(part.get("terraform")):
            if settings.get("backend") or "cloud" in settings:
                yield "backend", "", ""


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield an object, or the objects of a list: JSON syntax allows one for the other everywhere."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            yield item


@dataclass(frozen=True, slots=True)
class Variable:
    """What one file says about a variable; None where it says nothing about that."""

    type: str | None = None
    """The first word of its type: `string`, `list`, `any`."""
    default: bool | None = None
    nullable: bool | None = None

    def overridden(self, by: Variable) -> Variable:
        """Return the variable as a later file leaves it."""
        return Variable(
            self.type if by.type is None else by.type,
            self.default if by.default is None else by.default,
            self.nullable if by.nullable is None else by.nullable,
        )


def variables(data: bytes, *, is_json: bool) -> Iterator[tuple[str, Variable]]:
    """Yield the variables that a file declares, bit by bit."""
    if len(data) > FILE_LIMIT or b"variable" not in data:
        return
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    yield from _variables_in_json(text) if is_json else _variables_in_hcl(text)


def _variables_in_hcl(text: str) -> Iterator[tuple[str, Variable]]:
    for found in scan(text):
        match found:
            case Block((("variable", name),)):
                yield name, Variable()
            case Text((("variable", name),), "type", word) | Expression((("variable", name),), "type", word):
                yield name, Variable(type=word)
            case Text((("variable", name),), "default") | Expression((("variable", name),), "default"):
                yield name, Variable(default=True)
            case Expression((("variable", name),), "nullable", word):
                yield name, Variable(nullable=word != "false")
            case _:
                pass


def _variables_in_json(text: str) -> Iterator[tuple[str, Variable]]:
    for part in _objects(_json(text)):
        for declared in _objects(part.get("variable")):
            for name, bodies in declared.items():
                for body in _objects(bodies):
                    word = body.get("type")
                    yield (
                        name,
                        Variable(
                            word.partition("(")[0].strip() if isinstance(word, str) else None,
                            True if "default" in body else None,
                            None if "nullable" not in body else body["nullable"] is not False,
                        ),
                    )
