"""The base of the API's shapes, which nothing outside the API uses."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

Item = TypeVar("Item")
Written = Annotated[str, BeforeValidator(str)]
"""A name that the service holds as a value of its own type, such as a stack's id."""


class Shape(BaseModel):
    """A shape of the API. Keys are camelCase. A record with the same field names can be read with `model_validate`."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True, from_attributes=True, frozen=True
    )


class ChangeCountsJson(Shape):
    """How many resources a plan touches, by action, and how many outputs it changes.

    A resource that is imported or moved, and changed as well, counts for both.
    """

    create: int
    update: int
    delete: int
    replace: int
    forget: int
    import_: int = Field(alias="import")
    move: int
    outputs: int

    @property
    def by_action(self) -> dict[str, int]:
        """The numbers by the names of actions."""
        return self.model_dump(by_alias=True)


class Page(Shape, Generic[Item]):
    """One page of a list. `next` is the cursor of the next page; null on the last one."""

    items: list[Item]
    next: str | None = None
