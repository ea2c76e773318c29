"""What a stack takes of others, as it is kept in the row of the stack."""

from __future__ import annotations

from typing import Any

from reconciler.core.state import Need
from spaces.model.dependency import OutputUse
from spaces.names import StackId


def need_to_json(need: Need) -> list[Any]:
    """Return a need as JSON."""
    uses = {name: use.model_dump(exclude_none=True, by_alias=True) for name, use in need.outputs.items()}
    return [str(need.parent), uses, *([True] if need.always else [])]


def need_from_json(body: list[Any]) -> Need:
    """Return the need in what `need_to_json` returned."""
    parent, uses, *always = body
    # Earlier versions kept the variable alone. What is kept was checked when its document was read.
    outputs = {
        name: OutputUse.model_construct(env=use)
        if isinstance(use, str)
        else OutputUse.model_construct(env=use.get("env"), file=use.get("file"), preview_as=use.get("previewAs"))
        for name, use in uses.items()
    }
    return Need(StackId.parse(parent), outputs, always=bool(always))
