"""How the real world differs from what was applied."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from reconciler.web.api.schemas.shapes import Shape


class AttributeJson(Shape):
    """One attribute that differs: `was` as it was applied, `is` as it is. Sensitive values are masked."""

    name: str
    was: Any
    is_: Any = Field(alias="is")


class DriftJson(Shape):
    """One resource of a stack that differs, by the last check of the stack.

    `difference`: `changed`, `replaced`, `missing` (it was applied and is not there) or `added`. `address` is null where
    the tool does not name what differs. `run` is the check that found it, `at` its time.
    """

    stack: str
    address: str | None
    type: str | None
    provider: str | None
    difference: str
    attributes: list[AttributeJson]
    run: str
    at: datetime


class AdoptionJson(Shape):
    """One value that differs, and where Git says it. `attribute` null: the resource as a whole.

    `change`: `edit` where the text at `line` of `file` is to be `new`; `byHand` where `how` says what to do.
    `inSource`: the file lies in the repository of the stack's source, otherwise in that of the configuration.
    """

    address: str
    attribute: str | None
    was: Any
    is_: Any = Field(alias="is")
    file: str | None
    line: int | None
    in_source: bool
    change: str
    new: str | None
    how: str
