"""The base of the API's shapes, which nothing outside the API uses."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel


def _with_zone(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError("needs a zone, as 2030-12-31T18:00:00Z")
    return time


Item = TypeVar("Item")
Written = Annotated[str, BeforeValidator(str)]
"""A name that the service holds as a value of its own type, such as a stack's id."""
Moment = Annotated[datetime, AfterValidator(_with_zone)]
"""A time that somebody sends."""


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
