"""The base of the shapes that the API speaks, and nothing else speaks."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

Item = TypeVar("Item")


class Shape(BaseModel):
    """Keys are camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True, frozen=True)


class Page(Shape, Generic[Item]):
    """One page of a list. `next` is the cursor of the next one; null: this is the last."""

    items: list[Item]
    next: str | None = None
