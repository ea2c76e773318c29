"""Blueprints as a catalogue, their inputs as the fields of a form, and what such a form says."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rbac.identity import IdentityMode
from reconciler.web.api.schemas.admission import HeldJson
from reconciler.web.api.schemas.blueprints import BlueprintInputJson, BlueprintJson, RenderedJson
from reconciler.web.api.schemas.orders import OrderJson
from spaces.model.inputs import InputType, value_of
from spaces.names import Kind

_PREFIX = "input."


@dataclass(frozen=True, slots=True)
class BlueprintOffer:
    """A blueprint in the catalogue: its versions, the newest first, and what the newest says of itself."""

    space: str
    name: str
    description: str
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """An input as a field of the form. `field`: its name there; `value`: what stands in it; `hint`: what it accepts."""

    it: BlueprintInputJson
    field: str
    value: str
    hint: str

    @property
    def lengths(self) -> dict[str, int]:
        """The fewest and the most characters, as attributes of the field."""
        texts = self.it.type in {InputType.STRING, InputType.TEXT}
        given = {"minlength": self.it.min, "maxlength": self.it.max} if texts else {}
        return {name: int(length) for name, length in given.items() if length is not None and length >= 0}


def offers(blueprints: Iterable[BlueprintJson]) -> list[BlueprintOffer]:
    """Return the catalogue, of versions that are sorted from the oldest to the newest within each name."""
    found = []
    for (space, name), group in groupby(blueprints, key=lambda each: (each.space, each.name)):
        versions = list(group)
        newest = tuple(each.version for each in reversed(versions))
        found.append(BlueprintOffer(space, name, versions[-1].description or "", newest))
    return found


def fields_of(inputs: Iterable[BlueprintInputJson], sent: Mapping[str, str] | None) -> list[Field]:
    """Return the fields of the form with what was sent, or with the defaults."""
    found = []
    for declared in inputs:
        name = _PREFIX + declared.name
        value = _text(declared.default) if sent is None else sent.get(name, "")
        found.append(Field(declared, name, value, _hint(declared)))
    return found


def inputs_of(inputs: Iterable[BlueprintInputJson], sent: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that a form gives for the inputs; what it leaves empty is not given."""
    given = ((declared, sent.get(_PREFIX + declared.name, "")) for declared in inputs)
    # Browsers send line breaks as two characters.
    return {declared.name: value_of(declared.type, text.replace("\r\n", "\n")) for declared, text in given if text}


def commands(rendered: RenderedJson, name: str, blueprint: str, identity: str) -> str:
    """Return the git commands that bring an instance's document onto a branch, as its author has to."""
    file, branch = shlex.quote(rendered.file or ""), f"blueprint-{name}"
    sign = " --gpg-sign" if identity == IdentityMode.SIGNED else ""
    return "\n".join(
        (
            f"git switch --create {branch}",
            f"git add {file}",
            f"git commit{sign} --message {shlex.quote(f'Make {name} by {blueprint}')}",
            f"git push --set-upstream origin {branch}",
        )
    )


def is_about(held: HeldJson, order: OrderJson) -> bool:
    """Whether a held change is the instance that somebody ordered."""
    return (held.kind, held.space, held.name) == (Kind.BLUEPRINT_INSTANCE, order.space, order.name)


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _hint(declared: BlueprintInputJson) -> str:
    unit = "" if declared.type == InputType.NUMBER else " characters"
    parts = [declared.description or ""]
    if declared.type == InputType.SECRET:
        parts.append("Where the secret is, not its value: file:NAME, env:NAME or vault:PATH#KEY")
    if declared.pattern:
        parts.append(f"It matches {declared.pattern}")
    if declared.min is not None and declared.max is not None:
        parts.append(f"{declared.min:g} to {declared.max:g}{unit}")
    elif declared.min is not None:
        parts.append(f"{declared.min:g}{unit} or more")
    elif declared.max is not None:
        parts.append(f"{declared.max:g}{unit} at most")
    return ". ".join(part.rstrip(".") for part in parts if part)
