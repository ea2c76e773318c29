"""Finds where Terraform's code says an attribute's value: as a plain value, or as a variable and its default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.adopting.edits import ByHand, Default, Edit, line_at
from reconciler.tools.terraform.code import code_files
from reconciler.tools.terraform.hcl_scan import Block, Expression, Header, Text, scan
from reconciler.tools.terraform.variables import expression

_VALUE = re.compile(
    r"(?:var\.(?P<variable>[^\W\d][\w-]*)|(?P<value>-?\d+(?:\.\d+)?|true|false))[ \t]*(?=\r?\n|\}|#|//|/\*|\Z)"
)
_ADDRESS = re.compile(r"([^\W\d][\w-]*)\.([^\W\d][\w-]*)")


@dataclass(frozen=True, slots=True)
class _Said:
    file: str
    text: str
    found: Text | Expression


def find_attribute(
    files: Mapping[str, str], address: str, name: str, was: Any, now: Any, *, tofu: bool
) -> Edit | ByHand | Default:
    """Return where an attribute of a resource is said; `files` are the texts of the module's directory, by name."""
    named = _ADDRESS.fullmatch(address)
    if named is None:
        return ByHand("it is one of several, in a module, or a data source: change what makes it")
    header = ("resource", *named.groups())
    said = _find(files, header, name, tofu=tofu)
    if said is None:
        return ByHand(f"the code says nothing of {name} of {address}")
    if isinstance(said, ByHand):
        return said
    match _value(said):
        case re.Match() as found if (variable := found["variable"]) is not None:
            default = _find(files, ("variable", variable), "default", tofu=tofu)
            how = _edit(default, was, now) if isinstance(default, _Said) else default
            return Default(variable, said.file, line_at(said.text, said.found.at), how)
        case _:
            return _edit(said, was, now)


def _edit(said: _Said, was: Any, now: Any) -> Edit | ByHand:
    line = line_at(said.text, said.found.at)
    if not isinstance(now, str | int | float | bool):
        return ByHand("it is no single value", said.file, line)
    if isinstance(said.found, Text):
        there, end = said.found.value, said.found.end
    else:
        found = _value(said)
        if found is None or found["value"] is None:
            return ByHand("an expression gives it", said.file, line)
        there, end = found["value"], said.found.at + len(found["value"])
    if there != (was if isinstance(was, str) else expression(was)):
        return ByHand(f"the file says {there[:80]!r} there", said.file, line)
    return Edit(said.file, said.found.at, end, expression(now), line)


def _value(said: _Said) -> re.Match[str] | None:
    return _VALUE.match(said.text, said.found.at) if isinstance(said.found, Expression) else None


def _find(files: Mapping[str, str], header: Header, name: str, *, tofu: bool) -> _Said | ByHand | None:
    """Return where an attribute directly in a block is said; None where that is nowhere, or nobody can read it."""
    places: list[_Said] = []
    for file in code_files(files, tofu=tofu):
        if file.is_json:
            continue
        places += [
            _Said(file.name, files[file.name], found)
            for found in scan(files[file.name])
            if not isinstance(found, Block) and found.path == (header,) and found.name == name
        ]
    if len(places) > 1:
        return ByHand("several files say it", places[-1].file, line_at(places[-1].text, places[-1].found.at))
    return places[0] if places else None
